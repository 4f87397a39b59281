"""File locks that work between processes of several users in a shared folder."""

import contextlib
import fcntl
import os
import pwd
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path, *, waits: bool = True) -> Iterator[None]:
    """Wait for the lock of a file and hold it within the context; a missing file is created.

    A file of another user may be read-only, which is enough. It is never deleted: a waiting process could otherwise
    lock the deleted file while another locks its successor.

    Args:
        path: the file.
        waits: whether to wait for a process that holds the lock.

    Raises:
        BlockingIOError: when another process holds the lock, and `waits` is false.
        OSError: when the file can neither be made nor read; it names the owner.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:  # another user's: in a shared folder the kernel may refuse even the attempt to create it
        try:
            handle = os.open(path, os.O_RDONLY)
        except PermissionError as error:
            named = path if os.path.lexists(path) else path.parent
            raise PermissionError(error.errno, f"{error.strerror}: {named} belongs to {owner_of(named)}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def owner_of(path: Path) -> str:
    """Return the name of a file's owner, or the user number if it has no name."""
    number = path.lstat().st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"

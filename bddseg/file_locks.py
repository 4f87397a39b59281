"""A lock that processes of several users can hold, on a file in a folder that they share."""

import contextlib
import fcntl
import os
import pwd
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file while the context lasts, and wait for it before; the file is made where it is not there.

    A file that another user has made may be read alone, which is enough. It is never deleted: who waits for it could
    hold the lock of a file that is gone, beside the next one's.

    Raises:
        OSError: when the file can neither be made nor read; it names the owner.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:  # somebody else's; in a folder for all, the kernel may refuse even the attempt to create it
        try:
            handle = os.open(path, os.O_RDONLY)
        except PermissionError as error:
            named = path if os.path.lexists(path) else path.parent
            raise PermissionError(error.errno, f"{error.strerror}: {named} belongs to {owner_of(named)}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def owner_of(path: Path) -> str:
    """Return the name of the user that a file belongs to, or the number where there is no name."""
    number = path.lstat().st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"

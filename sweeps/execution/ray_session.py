"""The session folder of our own Ray: in the user's cache, under a path that is short enough for its sockets.

Nothing here imports Ray: obstacles to its start are found before.
"""

import contextlib
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from bddseg.file_locks import locked, owner_of
from bddseg.files import write_file
from sweeps.errors import ClusterError
from sweeps.execution.system_limits import check_limits

LOOPBACK = "127.0.0.1"
PROBE_SECONDS = 5

SOCKET_PATH_LIMIT = 107
"""Longest path of a Unix socket, in bytes: sockaddr_un holds 108 and ends with a zero."""

LONGEST_SOCKET = "session_2026-01-01_00-00-00_000000_4194304/sockets/dash_TaskEventsHead"
"""The longest path that Ray makes below its folder; the number is a process id."""

REMOVALS = 25
"""Attempts to remove a session folder: daemons that outlive their Ray briefly still write into it."""

OWNER = "owner.lock"
"""Lock that the process of the session folder's Ray holds."""

SHORT = "short-path"
"""File of a session folder with the path of the short folder that links to it, if there is one."""

SHORT_PARENTS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - folders within them are made by mkdtemp
PREFIX = "bddray-"


def user_folder(cache: Path) -> Path:
    """Return the folder of this user's Ray sessions; a cache may be shared, sessions and tokens are not.

    Raises:
        ClusterError: when it belongs to another user, or cannot be made.
    """
    folder = cache / f"ray-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.lstat().st_uid != os.getuid():
            raise ClusterError(f"{folder} belongs to {owner_of(folder)}: move it away, or set BDDSEG_CACHE")
        folder.chmod(0o700)
    except OSError as error:
        raise ClusterError(f"{folder} cannot be made ({error.strerror}): set BDDSEG_CACHE to another folder") from error
    return folder


def check_machine(cache: Path) -> None:
    """Check quickly that Ray can be started on this machine: Ray itself would wait for minutes.

    Raises:
        ClusterError: naming the obstacle and a remedy.
    """
    try:
        with socket.create_server((LOOPBACK, 0)) as server:
            socket.create_connection(server.getsockname(), timeout=PROBE_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            f"Ray cannot be started: {LOOPBACK} cannot be reached ({error.strerror or error}); is the loopback "
            "interface up?"
        ) from error
    check_limits()
    with open_session(cache):
        make_token(cache)


@contextlib.contextmanager
def open_session(cache: Path) -> Iterator[Path]:
    """Yield a new folder for one Ray; remove it at the end, and first those that killed processes left.

    Raises:
        ClusterError: when no folder can be made.
    """
    parent = user_folder(cache)
    try:
        with locked(parent / "lock"):
            for lock in parent.glob(f"r-*/{OWNER}"):
                if _is_abandoned(lock):
                    _remove(lock.parent, attempts=1)
            folder = Path(tempfile.mkdtemp(prefix="r-", dir=parent))
            owner = FileLock(folder / OWNER, is_singleton=False)
            owner.acquire()
    except OSError as error:
        raise ClusterError(f"{parent} cannot be used ({error.strerror}): set BDDSEG_CACHE to another folder") from error
    try:
        yield short_path(folder)
    finally:
        owner.release()
        _remove(folder, attempts=REMOVALS)


def abandoned_sessions(cache: Path) -> list[Path]:
    """Return the session folders of this user's Rays whose process was killed; nothing is created."""
    return [lock.parent for lock in sorted((cache / f"ray-{os.getuid()}").glob(f"r-*/{OWNER}")) if _is_abandoned(lock)]


def remove_abandoned(folder: Path) -> bool:
    """Remove a session folder if no process holds it; return whether it is gone."""
    with locked(folder.parent / "lock"):
        if _is_abandoned(folder / OWNER):
            _remove(folder, attempts=1)
    return not folder.exists()


def make_token(cache: Path) -> Path:
    """Return the file with the token of this user's Rays; it is made once and kept.

    Raises:
        ClusterError: when it cannot be made.
    """
    folder = user_folder(cache)
    path = folder / "token"
    try:
        with locked(folder / "lock"):  # the second of two processes must not replace what the first has read
            if not path.exists():
                write_file(path, secrets.token_hex(32), private=True)
    except OSError as error:
        raise ClusterError(
            f"{path} cannot be written ({error.strerror}): set BDDSEG_CACHE to another folder"
        ) from error
    return path


def short_path(folder: Path) -> Path:
    """Return a path of a session folder under which Ray can make its sockets: its own, or a short link to it.

    Where the folder's file system has no sockets, it is the path of another folder, which then has all of Ray's files.
    The short folder is private to this user; Ray makes the folders below it writable for everyone.

    Raises:
        ClusterError: when there is none, with the paths that were tried.
    """
    attempts = []
    for parent in (None, *_short_parents()):
        try:
            path = folder if parent is None else _make_short(parent, folder)
            _check_length(path)
            _try_socket(path)
        except OSError as error:
            attempts.append(f"{parent or folder.parent} ({error.strerror or error})")
            _remove_short(folder)
        else:
            return path
    raise ClusterError(
        f"no folder is suitable for Ray's sockets, whose paths may have {SOCKET_PATH_LIMIT} bytes. Tried: "
        f"{', '.join(attempts)}. Set TMPDIR to a writable folder with a short path"
    )


def _make_short(parent: Path, folder: Path) -> Path:
    """Return a short path of a session folder; the session folder records it first, so that it is always removed."""
    short = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        write_file(folder / SHORT, os.fsencode(short))
    except OSError:
        short.rmdir()
        raise
    try:
        _try_socket(folder)
        (short / "r").symlink_to(folder)
    except OSError:  # the session folder's file system has no sockets
        (short / "r").mkdir()
    return short / "r"


def _short_parents() -> list[Path]:
    named = [os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), *SHORT_PARENTS]
    return list(dict.fromkeys(Path(path) for path in named if Path(path).is_absolute()))


def _check_length(path: Path) -> None:
    """Raise OSError when a path is too long for Ray's sockets below it."""
    size = len(os.fsencode(path / LONGEST_SOCKET))
    if size > SOCKET_PATH_LIMIT:
        raise OSError(f"{size} bytes")


def _try_socket(folder: Path) -> None:
    """Make a socket and remove it, through a path that is always short; raise OSError when that fails."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        short = Path(f"/proc/self/fd/{handle}")  # Linux alone has it
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str((short if short.exists() else folder) / "probe"))
        (folder / "probe").unlink()
    finally:
        os.close(handle)


def _remove(folder: Path, attempts: int) -> None:
    _remove_short(folder)
    for _ in range(attempts):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.2)


def _remove_short(folder: Path) -> None:
    """Remove the short folder that a session folder records; a damaged record cannot remove any other folder."""
    note = folder / SHORT
    with contextlib.suppress(OSError, ValueError):
        short = Path(os.fsdecode(note.read_bytes()))
        if short.name.startswith(PREFIX) and short.lstat().st_uid == os.getuid():
            shutil.rmtree(short, ignore_errors=True)
        note.unlink()


def _is_abandoned(lock: Path) -> bool:
    """Return whether the process that held the lock has ended."""
    try:
        with FileLock(lock, timeout=0, is_singleton=False):
            return True
    except (Timeout, OSError):
        return False

"""Where one Ray keeps its files: a folder in the user's cache, under a path that is short enough for its sockets.

Nothing here imports Ray: what keeps one from starting is found before.
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
"""The longest path that Ray makes below the folder it is given; the number is of the process."""

REMOVALS = 25
"""Attempts to remove a session folder: daemons that outlive their Ray for moments still write into it."""

OWNER = "owner.lock"
"""Held by the process whose Ray a session folder belongs to."""

SHORT = "short-path"
"""File of a session folder that names the short folder with a link to it, where there is one."""

SHORT_PARENTS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - folders within them are made by mkdtemp
PREFIX = "bddray-"


def user_folder(cache: Path) -> Path:
    """Return where this user's Rays keep their files; a cache may be shared, sessions and tokens are not.

    Raises:
        ClusterError: when it belongs to somebody else, or cannot be made.
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
    """Try what a Ray of our own needs of this machine, within moments: Ray itself would wait for minutes.

    Raises:
        ClusterError: naming what is missing, and the cure.
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
    """Give a new folder for one Ray; remove it at the end, and those of processes that were killed.

    Raises:
        ClusterError: when there is no place for it.
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


def make_token(cache: Path) -> Path:
    """Return the file with the password of this user's Rays; it is made where it is not there, and kept.

    Raises:
        ClusterError: when it cannot be made.
    """
    folder = user_folder(cache)
    path = folder / "token"
    try:
        with locked(folder / "lock"):  # of two that start at once the second must not replace what the first has read
            if not path.exists():
                write_file(path, secrets.token_hex(32), private=True)
    except OSError as error:
        raise ClusterError(
            f"{path} cannot be written ({error.strerror}): set BDDSEG_CACHE to another folder"
        ) from error
    return path


def short_path(folder: Path) -> Path:
    """Return a path of a session folder under which Ray can make its sockets: its own, or a link to it.

    Where the folder's file system holds no sockets, it is the path of another folder, and all of Ray's files lie there.
    The short folder is this user's alone; Ray lets everybody write to the folders that it makes.

    Raises:
        ClusterError: when there is none, with what was tried.
    """
    tried = []
    for parent in (None, *_short_parents()):
        try:
            path = folder if parent is None else _make_short(parent, folder)
            _check_length(path)
            _try_socket(path)
        except OSError as error:
            tried.append(f"{parent or folder.parent} ({error.strerror or error})")
            _remove_short(folder)
        else:
            return path
    raise ClusterError(
        f"Ray's sockets find no place; their paths may have {SOCKET_PATH_LIMIT} bytes. Tried: {', '.join(tried)}. Set "
        "TMPDIR to a folder with a short path that you can write"
    )


def _make_short(parent: Path, folder: Path) -> Path:
    """Return a short path of a session folder, which names it, so that it is removed whatever happens."""
    short = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        write_file(folder / SHORT, os.fsencode(short))
    except OSError:
        short.rmdir()
        raise
    try:
        _try_socket(folder)
        (short / "r").symlink_to(folder)
    except OSError:  # no sockets there, whatever the path
        (short / "r").mkdir()
    return short / "r"


def _short_parents() -> list[Path]:
    named = [os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), *SHORT_PARENTS]
    return list(dict.fromkeys(Path(path) for path in named if Path(path).is_absolute()))


def _check_length(path: Path) -> None:
    """Raise OSError where a path is too long for Ray's sockets below it."""
    size = len(os.fsencode(path / LONGEST_SOCKET))
    if size > SOCKET_PATH_LIMIT:
        raise OSError(f"{size} bytes")


def _try_socket(folder: Path) -> None:
    """Make a socket and take it away again, by a path that is always short; raise OSError where that fails."""
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
    """Remove the short folder that a session folder names, if it is one: nothing else that a damaged file may say."""
    note = folder / SHORT
    with contextlib.suppress(OSError, ValueError):
        short = Path(os.fsdecode(note.read_bytes()))
        if short.name.startswith(PREFIX) and short.lstat().st_uid == os.getuid():
            shutil.rmtree(short, ignore_errors=True)
        note.unlink()


def _is_abandoned(lock: Path) -> bool:
    """Return whether the process that held the lock is gone."""
    try:
        with FileLock(lock, timeout=0, is_singleton=False):
            return True
    except (Timeout, OSError):
        return False

"""Atomic file writing, strict JSON, and reading that never blocks."""

import contextlib
import errno
import json
import math
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

LONGEST_NAME = 200
"""Bytes of a file name that its temporary name repeats: file systems allow 255, and a random suffix follows."""


KINDS = ((stat.S_ISDIR, "folder"), (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))


def read_file(path: Path) -> bytes:
    """Return the content of a file.

    A pipe, socket, device or folder is refused at once, since reading it could block forever.

    Raises:
        OSError: in the system's words, or saying what it is instead of a file.
    """
    _check_is_file(path.stat())  # before it is opened: opening a device can have effects
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        _check_is_file(os.fstat(handle))
        return file.read()


def read_json(path: Path) -> Any:
    """Return the value that a JSON file holds.

    Raises:
        OSError: as `read_file` does.
        ValueError: saying what is wrong with the text: no JSON, no UTF-8, nested too deeply.
    """
    content = read_file(path)
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no text at byte {error.start}") from error
    except json.JSONDecodeError as error:
        where = f"it is no JSON at line {error.lineno} column {error.colno}"
        raise ValueError(where if content else "it is empty") from error


def _check_is_file(status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kind = next((word for holds, word in KINDS if holds(status.st_mode)), "device")
    raise OSError(errno.EISDIR if kind == "folder" else errno.EINVAL, f"it is a {kind}, but must be a file")


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = False, private: bool = False) -> Iterator[BinaryIO]:
    """Yield a binary file that replaces `path` when the context ends without an error.

    Until then it has a hidden name in the same folder; after an error it is deleted.

    Args:
        path: the file to write; its folder must exist.
        durable: whether content and name are flushed to disk first, so that a power cut loses neither.
        private: whether only the owner may read it; otherwise the process's umask decides.

    Raises:
        OSError: when the file cannot be written.
    """
    temporary = path.with_name(f".{_beginning(path.name)}-{secrets.token_hex(4)}.tmp")
    # not by tempfile, which ignores the umask and always sets the mode 0600
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk, if the file system can do that for folders."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Flush the content of a file to disk.

    Raises:
        OSError: when the file is missing, or the disk fails.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Flush all files below a folder to disk.

    Raises:
        OSError: when the disk fails.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            sync_file(path)
        elif path.is_dir():
            sync_folder(path)
    sync_folder(folder)


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, flushed to disk so that a power cut loses no name.

    Raises:
        OSError: when it cannot be made.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def write_file(path: Path, content: bytes | str, *, durable: bool = False, private: bool = False) -> None:
    """Write a file atomically; text is encoded as UTF-8. See `replacing`."""
    with replacing(path, durable=durable, private=private) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, value: Any, *, indent: int | None = None, durable: bool = False) -> None:
    """Write a value atomically as strict JSON; see `strict` for NaN and infinity."""
    write_file(path, json.dumps(strict(value), indent=indent, allow_nan=False) + "\n", durable=durable)


def strict(value: Any) -> Any:
    """Return the value with None in place of NaN and infinity, which JSON cannot express."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: strict(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [strict(inner) for inner in value]
    return value


def _beginning(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[:LONGEST_NAME])

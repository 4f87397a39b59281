"""Folder listings: files with accepted names, and the names of everything else."""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bddseg.errors import AccessError

NO_SUCH_NAME = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
NO_FILE = " (no file)"
PACKED = (".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar")
NAMED = 3
"""Number of names shown of a long list."""


@dataclass(frozen=True)
class Listing:
    """The content of a folder, by name."""

    accepted: tuple[Path, ...]
    other_names: tuple[str, ...]
    """Names of everything else, with a note if it is no file."""


def list_folder(folder: Path, is_accepted: Callable[[str], bool]) -> Listing:
    """Return the content of a folder; empty if there is no such folder.

    A link counts as a file: a broken one is refused by name when it is read.

    Raises:
        AccessError: when the system refuses to list it.
    """
    try:
        with os.scandir(folder) as entries:
            items = sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return Listing((), ())
    except OSError as error:
        raise AccessError(f"{folder} cannot be listed: {error.strerror}") from error
    files = {entry.name: _is_file(entry) for entry in items}
    accepted = tuple(folder / name for name, is_file in files.items() if is_file and is_accepted(name))
    other_names = (name for name, is_file in files.items() if not is_file or not is_accepted(name))
    return Listing(accepted, tuple(name if files[name] else f"{name}{NO_FILE}" for name in other_names))


def is_there(path: Path) -> bool:
    """Return whether a file, a folder or a link, even a broken one, has this name.

    Raises:
        AccessError: when the system refuses the answer, mostly because a parent folder may not be entered.
    """
    return _status(path) is not None


def is_visible(path: Path) -> bool:
    """Return whether the path exists and is accessible to us."""
    return os.path.exists(path)  # noqa: PTH110 - Path's own raises where it may not look


def is_folder(path: Path) -> bool:
    """Return whether the path is a folder or a link to one; raises as `is_there` does."""
    status = _status(path, follows=True)
    return status is not None and stat.S_ISDIR(status.st_mode)


def names_in(folder: Path) -> list[str]:
    """Return the sorted names in a folder; none if there is no such folder.

    Raises:
        AccessError: when the system refuses to list it.
    """
    try:
        return sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        if _names_nothing(error):
            return []
        raise AccessError(f"{folder} cannot be listed: {getattr(error, 'strerror', None) or error}") from error


def _status(path: Path, *, follows: bool = False) -> os.stat_result | None:
    try:
        return path.stat() if follows else path.lstat()
    except (OSError, ValueError) as error:
        if _names_nothing(error):
            return None
        raise AccessError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _names_nothing(error: Exception) -> bool:
    """Return whether an error means that the name does not exist, or cannot exist."""
    return isinstance(error, ValueError) or getattr(error, "errno", None) in NO_SUCH_NAME


def in_short(names: Sequence[str]) -> str:
    """Return the first names and the number of the others."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a file or a link; unknown ones count as files and fail when they are read."""
    try:
        return entry.is_symlink() or entry.is_file(follow_symlinks=False)
    except OSError:
        return True


def archives_in(root: Path) -> tuple[str, ...]:
    """Return the names of packed files in a folder and one level below; none where they cannot be listed."""
    with contextlib.suppress(OSError):
        below = [path for path in sorted(root.iterdir()) if path.is_dir()]
        paths = [path for folder in (root, *below) for path in sorted(folder.iterdir())]
        return tuple(path.relative_to(root).as_posix() for path in paths if path.name.lower().endswith(PACKED))
    return ()


def folders_in(root: Path) -> tuple[Path, ...]:
    """Return the folders in a folder; none where it cannot be listed."""
    with contextlib.suppress(OSError):
        return tuple(path for path in sorted(root.iterdir()) if path.is_dir())
    return ()

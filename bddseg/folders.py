"""What lies in a folder: the files whose names are taken, and everything else by name, so that it can be counted."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bddseg.errors import AccessError

NAMED = 3
"""Of many names so many are shown."""


@dataclass(frozen=True)
class Listing:
    """The content of a folder, by name."""

    taken: tuple[Path, ...]
    others: tuple[str, ...]
    """Names; with a note where it is no file."""


def list_folder(folder: Path, is_taken: Callable[[str], bool]) -> Listing:
    """Return what lies in a folder; nothing where there is none.

    A link is taken for what it is named: one that leads nowhere is refused by name when it is read.

    Raises:
        AccessError: when the system does not list it.
    """
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return Listing((), ())
    except OSError as error:
        raise AccessError(f"{folder} cannot be listed: {error.strerror}") from error
    files = {entry.name: _is_file(entry) for entry in found}
    taken = tuple(folder / name for name, is_file in files.items() if is_file and is_taken(name))
    others = (name for name, is_file in files.items() if not is_file or not is_taken(name))
    return Listing(taken, tuple(name if files[name] else f"{name} (no file)" for name in others))


def in_short(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Return whether this is a file or a link; what the system does not say is left to the reader of the file."""
    try:
        return entry.is_symlink() or entry.is_file(follow_symlinks=False)
    except OSError:
        return True

"""Which data a frames cache was used for, and when it was used last: so that a cache without use can be removed."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from bddseg.files import read_json, write_json

FILE = "uses.json"
MOST = 100
"""Fingerprints that are recorded for one cache: a cache has several where groups or drives were described again."""


@dataclass(frozen=True)
class FramesUses:
    """The uses of one frames cache."""

    fingerprints: frozenset[str]
    """Of the data that it was used for; none where an earlier version made it."""
    last: float
    """Seconds since 1970."""


def note_use(folder: Path, fingerprint: str) -> None:
    """Note that a frames cache is used now; in a cache of another user, which cannot be written, nothing is noted."""
    path = folder / FILE
    with contextlib.suppress(OSError):
        fingerprints = _read(path)
        if fingerprint in fingerprints:
            os.utime(path)
        else:
            write_json(path, {"fingerprints": [*fingerprints, fingerprint][-MOST:]})


def read_uses(folder: Path) -> FramesUses:
    """Return the uses of a frames cache; without a note, the last use is the last time that its files were read.

    Raises:
        OSError: when the folder cannot be read.
    """
    states = [path.stat() for path in folder.iterdir()]
    last = max((max(state.st_mtime, state.st_atime) for state in states), default=folder.stat().st_mtime)
    return FramesUses(frozenset(_read(folder / FILE)), last)


def _read(path: Path) -> list[str]:
    try:
        fingerprints = read_json(path)["fingerprints"]
        return [text for text in fingerprints if isinstance(text, str)]
    except (OSError, ValueError, TypeError, KeyError):
        return []

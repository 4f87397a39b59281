"""Names of images -> the drive they were taken on, and, where names count frames, which are neighbours."""

import functools
import itertools
import re
from collections.abc import Collection, Sequence

BDD100K = r"([0-9a-f]{8})-[0-9a-f]{8}(?![0-9a-f])"
"""Names of BDD100K: the first of two blocks of 8 hex digits is the drive."""

_NUMBERED = re.compile(r"(.*?)(\d*)$", re.DOTALL)


def drive_of(name: str, pattern: str = "") -> str | None:
    """Return the drive that a name tells, None where it tells none.

    In small letters: the same drive may be written in either.

    Args:
        pattern: regular expression at the beginning of a name (`data.drive_pattern`); its first group is the drive, or
            all that matches where it has none. Empty: the rule of BDD100K.
    """
    match = _compiled(pattern or BDD100K).match(name)
    if match is None:
        return None
    drive = match.group(1) if match.re.groups else match.group()
    return drive.lower() if drive else None


def unit_of(name: str, pattern: str = "") -> str:
    """Return what a sample is kept together with where drives stay whole: its drive, or itself where it names none."""
    return drive_of(name, pattern) or f"image {name}"


def clip_of(name: str) -> tuple[str, int]:
    """Return what precedes the last number of a name, and that number: frames of one clip are counted."""
    before, number = _NUMBERED.match(name).groups()  # type: ignore[union-attr]
    return before, int(number or 0)


def count_neighbours(names: Sequence[str], among: Collection[int], of: Collection[int]) -> int:
    """Return how many images `among` have the image before or after them in their clip `of` the others; positions."""
    order = sorted((*among, *of), key=lambda position: clip_of(names[position]))
    chosen, leaking = frozenset(among), set[int]()
    for first, second in itertools.pairwise(order):
        if clip_of(names[first])[0] == clip_of(names[second])[0] and (first in chosen) != (second in chosen):
            leaking.add(first if first in chosen else second)
    return len(leaking)


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)

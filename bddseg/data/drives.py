"""Drives and neighbouring frames of images, derived from their names."""

import functools
import itertools
import re
from collections.abc import Collection, Sequence

from bddseg.data.folders import in_short
from bddseg.errors import DataError

BDD100K = r"([0-9a-f]{8})-[0-9a-f]{8}(?![0-9a-f])"
"""Names of BDD100K: the first of two blocks of 8 hex digits is the drive."""

_NUMBERED = re.compile(r"(.*?)(\d*)$", re.DOTALL)


def drive_of(name: str, pattern: str = "") -> str | None:
    """Return the drive that a name contains, None if it contains none.

    In lower case, since names of one drive may differ in case.

    Args:
        name: of an image.
        pattern: regular expression at the start of a name (`data.drive_pattern`); its first group is the drive, or the
            whole match without groups. Empty: the rule of BDD100K.
    """
    match = _compiled(pattern or BDD100K).match(name)
    if match is None:
        return None
    drive = match.group(1) if match.re.groups else match.group()
    return drive.lower() if drive else None


def unit_of(name: str, pattern: str = "") -> str:
    """Return the unit that a split keeps together: the drive of a sample, or the sample itself without one."""
    return drive_of(name, pattern) or f"image {name}"


def check_drives(names: Sequence[str], pattern: str, key: str, *, may_be_one: bool = False) -> None:
    """Refuse a rule that finds no drive, or the same one in all names; "" is that of BDD100K, which need not find any.

    Args:
        names: of all images.
        pattern: see `drive_of`.
        key: of the rule, as messages name it.
        may_be_one: accept a single drive: the images are not split by drives.

    Raises:
        DataError: with the first names.
    """
    drives = {drive_of(name, pattern) for name in names} if pattern else {None, ""}
    if drives == {None}:
        raise DataError(f"{key} {pattern!r} finds a drive at the beginning of no name: {in_short(sorted(names))}")
    if len(drives) == 1 and len(names) > 1 and not may_be_one:
        raise DataError(
            f"{key} {pattern!r} finds the same drive, {drives.pop()!r}, in all {len(names)} names, but must tell "
            f"drives apart: {in_short(sorted(names))}"
        )


def clip_of(name: str) -> tuple[str, int]:
    """Return the clip of a name and the frame number in it: the last number and the text before it."""
    before, number = _NUMBERED.match(name).groups()  # type: ignore[union-attr]
    return before, int(number or 0)


def count_neighbours(names: Sequence[str], among: Collection[int], of: Collection[int]) -> int:
    """Return how many of the images at `among` have a neighbour in their clip that is at `of`; both are positions."""
    order = sorted((*among, *of), key=lambda position: clip_of(names[position]))
    chosen, leaking = frozenset(among), set[int]()
    for first, second in itertools.pairwise(order):
        if clip_of(names[first])[0] == clip_of(names[second])[0] and (first in chosen) != (second in chosen):
            leaking.add(first if first in chosen else second)
    return len(leaking)


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)

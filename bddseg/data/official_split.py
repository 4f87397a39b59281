"""The parts of a folder, kept as the split."""

from collections.abc import Sequence
from fractions import Fraction

from bddseg.config import DataSettings
from bddseg.data.drives import check_drives, drive_of, unit_of
from bddseg.data.folders import in_short
from bddseg.data.split import PARTS, Split, SplitItem, rank_name, thin_parts
from bddseg.data.strata import Stratum
from bddseg.errors import DataError

NEEDED = ("train", "val")
"""Parts without which nothing can be trained or compared; without a test part there is no test set."""


def keep_parts(data: DataSettings, names: Sequence[str], strata: Sequence[Stratum], parts: Sequence[str]) -> Split:
    """Return the split that has each sample in the part of its folder.

    Args:
        data: the limit of images, which reduces every part, and the rule that finds drives.
        names: of the samples.
        strata: of the samples, which keep their shares where images are limited.
        parts: of the samples: train, val or test.

    Raises:
        DataError: when a sample has no part, the folder has no train or val part, or no name matches the rule.
    """
    _check_parts(names, parts)
    check_drives(names, data.drive_pattern, "data.drive_pattern", may_be_one=True)
    members: list[list[SplitItem]] = [[] for _ in PARTS]
    for position, (name, stratum, part) in enumerate(zip(names, strata, parts, strict=True)):
        unit = unit_of(name, data.drive_pattern)
        members[PARTS.index(part)].append(SplitItem(position, stratum, unit, rank_name(data.split_seed, name)))
    for items in members:
        items.sort(key=lambda item: item.rank)
    if 0 < data.max_images < len(names):
        members = thin_parts(members, [Fraction(len(items), len(names)) for items in members], data.max_images)
    train, val, test = (tuple(sorted(item.position for item in items)) for items in members)
    by_drive = any(drive_of(name, data.drive_pattern) for name in names)
    return Split(train, val, test, by_drive, _warning(members) if by_drive else "", data.drive_pattern)


def _check_parts(names: Sequence[str], parts: Sequence[str]) -> None:
    if strays := [name for name, part in zip(names, parts, strict=True) if part not in PARTS]:
        raise DataError(
            f"the split is official, but {len(strays)} of {len(names)} images are in no folder of a part "
            f"({', '.join(PARTS)}): {in_short(strays)}"
        )
    if missing := [part for part in NEEDED if part not in parts]:
        raise DataError(
            f"the split is official, but the folder has no {' and no '.join(missing)} part; with split: own the images "
            "are split here"
        )


def _warning(members: Sequence[Sequence[SplitItem]]) -> str:
    """Return a warning about drives that are in several parts; empty if each is in one."""
    units = [{item.unit for item in items} for items in members]
    shared = sorted((units[0] & units[1]) | (units[0] & units[2]) | (units[1] & units[2]))
    if not shared:
        return ""
    return (
        f"{len(shared)} drives are in several official parts ({in_short(shared)}), so neighbouring frames may be in "
        "both and scores can be too high"
    )

"""Splits samples into train, val and test, or into folds: by whole drives, balanced over groups, seeded."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from bddseg.config import DataSettings
from bddseg.data.drives import check_drives, count_neighbours, drive_of, unit_of
from bddseg.data.folders import in_short
from bddseg.data.strata import Stratum
from bddseg.errors import ConfigError, DataError
from bddseg.words import count

PARTS = ("train", "val", "test")
LEAK_WARNING = "names carry no drive, so neighbouring frames may be in different parts and scores can be too high"
REMEDY = "say how names tell it: --set data.drive_pattern=REGEX"
ATTEMPTS = 16
"""Seeded orders in which drives are assigned to parts; the best balanced result is used."""

FEW_DRIVES, MANY_IMAGES = 4, 20
"""A warning names fewer drives than this in at least so many validation images."""


@dataclass(frozen=True)
class Split:
    """Positions of the samples in each part, ascending: training, validation and the sealed test part."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    by_drive: bool
    """Whether every drive is in one part only; False if no name contains a drive."""
    warning: str
    """A sentence if frames of one drive may be in different parts, otherwise empty."""
    drive_pattern: str = ""
    """Regular expression for the drive in a name, see `bddseg.data.drives.drive_of`."""
    balance: tuple[str, ...] = ()
    """Attributes that were balanced besides the groups."""


@dataclass(frozen=True)
class SplitItem:
    """The properties of one sample that a split depends on."""

    position: int
    stratum: Stratum
    unit: str
    """The drive, or the sample itself, which is kept together; see `unit_of`."""
    rank: str
    """Seeded hash of the name, which orders the samples."""


def split_marks(names: Sequence[str]) -> tuple[str, ...]:
    """Return additional input of the data fingerprint; empty if the split is that of earlier versions.

    Earlier versions ignored all drives if one name had none, or was written in upper case. Trials that were trained on
    such a split must neither be resumed nor reused on the current one.
    """
    drives = [drive_of(name) for name in names]
    was_by_drive = all(drive and name.startswith(drive) for drive, name in zip(drives, names, strict=True))
    return () if was_by_drive or not any(drives) else ("drives, and single images",)


def split_samples(
    names: Sequence[str],
    strata: Sequence[Stratum],
    *,
    seed: int = 1337,
    val_fraction: float = 0.2,
    test_fraction: float = 0.1,
    max_images: int = 0,
    drive_pattern: str = "",
) -> Split:
    """Return the parts of the samples, independent of their order.

    If names contain drives, these are kept whole and the fractions are met as well as possible; a name without one
    counts as a drive of its own, with a warning. If no name contains one, frames are split one by one and the fractions
    are met exactly. Groups have nearly the same share in every part.

    Args:
        names: file names without suffix.
        strata: stratum of each sample, see `bddseg.data.strata`.
        seed: of the split.
        val_fraction: share of the validation part.
        test_fraction: share of the test part.
        max_images: > 0 reduces the parts of the full split, so that no image changes its part; 0 keeps all.
        drive_pattern: see `bddseg.data.drives.drive_of`.

    Raises:
        ConfigError: when a fraction or max_images is out of range.
        DataError: when a part would be empty, or no name matches the pattern.
    """
    fractions = _fractions(val_fraction, test_fraction)
    if max_images < 0:
        raise ConfigError(f"max_images is {max_images}, but must be >= 0 (0 takes all)")
    items = [
        SplitItem(position, stratum, unit_of(name, drive_pattern), rank_name(seed, name))
        for position, (name, stratum) in enumerate(zip(names, strata, strict=True))
    ]
    items.sort(key=lambda item: item.rank)
    strays = sorted(name for name in names if drive_of(name, drive_pattern) is None)
    by_drive = len(strays) < len(items)
    check_drives(names, drive_pattern, "data.drive_pattern")
    parts = _deal_drives(items, fractions, str(seed)) if by_drive else _deal_frames(items, fractions)
    if 0 < max_images < len(items):
        parts = thin_parts(parts, fractions, max_images)
    for name, part in zip(PARTS, parts, strict=True):
        if not part:
            raise DataError(_emptiness(name, items, by_drive, fractions, max_images))
    train, val, test = (tuple(sorted(item.position for item in part)) for part in parts)
    warnings = (
        _warning(names, strays, train, val),
        _few_drives([unit_of(names[index], drive_pattern) for index in val]) if by_drive else "",
        _no_drives(names, drive_pattern, train, val) if drive_pattern else "",
    )
    return Split(train, val, test, by_drive, "; ".join(filter(None, warnings)), drive_pattern)


def usual_split(
    data: DataSettings, names: Sequence[str], strata: Sequence[Stratum], balance: Sequence[str] = ()
) -> Split:
    """Return the split of the images by these settings; folds are made from it by `split_of`.

    `balance` names the attributes that the strata have besides the groups.
    """
    split = split_samples(
        names,
        strata,
        seed=data.split_seed,
        val_fraction=data.val_fraction,
        test_fraction=data.test_fraction,
        max_images=data.max_images,
        drive_pattern=data.drive_pattern,
    )
    return replace(split, balance=tuple(balance))


def split_of(data: DataSettings, split: Split, names: Sequence[str], strata: Sequence[Stratum]) -> Split:
    """Return the split of a trial: the usual one, or a fold made from it.

    With a single fold, train and val are both trained on.
    """
    if not data.folds:
        return split
    if not data.has_validation:
        return replace(split, train=tuple(sorted((*split.train, *split.val))), val=())
    return fold_split(split, names, strata, folds=data.folds, fold=data.fold, seed=data.split_seed, cut=data.cut)


def fold_split(
    split: Split,
    names: Sequence[str],
    strata: Sequence[Stratum],
    *,
    folds: int,
    fold: int,
    seed: int = 1337,
    cut: int = 0,
) -> Split:
    """Return a split for cross-validation: one fold of train and val together is val, the others train; test stays.

    Every image of train and val is in exactly one fold; drives are kept whole if the split keeps them whole, and groups
    have nearly the same share in every fold. Positions refer to names and strata, as in the split.

    Args:
        split: the usual split.
        names: of all samples.
        strata: of all samples.
        folds: number of folds.
        fold: index of the validation fold, from 0.
        seed: of the assignment.
        cut: index of the partition into folds; each one assigns the images differently.

    Raises:
        ConfigError: when there is no such fold.
        DataError: when there are fewer drives, or images, than folds.
    """
    if folds < 2 or not 0 <= fold < folds:
        raise ConfigError(f"fold is {fold} of {folds}, but must be from 0 to below the number of folds, which is >= 2")
    dealt = f"{seed}, cut {cut}" if cut else str(seed)
    items = [
        SplitItem(
            position,
            strata[position],
            unit_of(names[position], split.drive_pattern),
            _hash(dealt, f"fold:{names[position]}"),
        )
        for position in (*split.train, *split.val)
    ]
    items.sort(key=lambda item: item.rank)
    units = len({item.unit for item in items}) if split.by_drive else len(items)
    if units < folds:
        unit_names = f"drives (with {len(items)} images)" if split.by_drive else "images"
        raise DataError(
            f"train and val have {units} {unit_names}, too few for {folds} folds: ask for fewer, or add images"
        )
    shares = [Fraction(1, folds)] * folds
    parts = _deal_drives(items, shares, dealt) if split.by_drive else _deal_frames(items, shares)
    val = {item.position for item in parts[fold]}
    train = sorted(item.position for item in items if item.position not in val)
    return replace(split, train=tuple(train), val=tuple(sorted(val)))


def _warning(names: Sequence[str], strays: Sequence[str], train: Sequence[int], val: Sequence[int]) -> str:
    """Return a warning about names without a drive, with its remedy; empty if there are none."""
    if not strays:
        return ""
    driveless = frozenset(strays)
    driveless_val = [position for position in val if names[position] in driveless]
    leaks = count_neighbours(names, driveless_val, [position for position in train if names[position] in driveless])
    leak = f"; {leaks} of {len(val)} validation images have their neighbour in training" if leaks else ""
    if len(strays) == len(names):
        return f"{LEAK_WARNING}{leak}; {REMEDY}"
    carry = "carries" if len(strays) == 1 else "carry"
    return (
        f"{len(strays)} of {len(names)} names {carry} no drive ({in_short(strays)}): each counts as a drive "
        f"of its own, so neighbouring frames among them may be in different parts and scores can be too high{leak}; "
        f"{REMEDY}"
    )


def _few_drives(val: Sequence[str]) -> str:
    """Return a warning about few drives among many validation images; empty if there are enough."""
    drives = len(set(val))
    if drives >= FEW_DRIVES or len(val) < MANY_IMAGES:
        return ""
    return f"{len(val)} validation images are of {count(drives, 'drive')}: too few to say anything of other drives"


def _no_drives(names: Sequence[str], pattern: str, train: Sequence[int], val: Sequence[int]) -> str:
    """Return a warning if neighbouring images show that a pattern matches images rather than drives."""
    drives = len({unit_of(name, pattern) for name in names})
    leaks = count_neighbours(names, val, train)
    if 2 * drives <= len(names) or 2 * leaks <= len(val):
        return ""
    return (
        f"data.drive_pattern makes {drives} drives of {len(names)} images, and {leaks} of {len(val)} validation images "
        "have their neighbour in training: does its first group hold more than the drive?"
    )


def apportion(total: int, weights: Sequence[Fraction | int]) -> list[int]:
    """Return whole shares that sum to the total, by largest remainder; the later of equal remainders wins.

    With the weights' sum at least the total and all of them whole, no share exceeds its weight.
    """
    whole = sum(weights)
    quotas = [Fraction(total) * weight / whole if whole else Fraction(0) for weight in weights]
    shares = [int(quota) for quota in quotas]
    neediest = sorted(range(len(shares)), key=lambda index: (shares[index] - quotas[index], -index))
    for index in neediest[: total - sum(shares)]:
        shares[index] += 1
    return shares


def _fractions(val: float, test: float) -> tuple[Fraction, ...]:
    """Return the parts' shares exactly as written: 0.7 / 0.2 / 0.1 of 440 is 308 / 88 / 44, not 307.99."""
    for name, value in (("val_fraction", val), ("test_fraction", test)):
        if not 0 < value < 1:
            raise ConfigError(f"{name} is {value}, but must be > 0 and < 1")
    if val + test >= 1:
        raise ConfigError(
            f"val_fraction + test_fraction is {val + test:g}, but must be < 1 to leave images for training"
        )
    exact_val, exact_test = Fraction(str(val)), Fraction(str(test))
    return 1 - exact_val - exact_test, exact_val, exact_test


def rank_name(seed: int | str, name: str) -> str:
    """Return a seeded hash of a name, by which samples are ordered."""
    return _hash(seed, name)


def _hash(seed: int | str, text: str) -> str:
    return hashlib.sha256(f"{seed}:{text}".encode()).hexdigest()


def _deal_frames(items: Sequence[SplitItem], fractions: Sequence[Fraction]) -> list[list[SplitItem]]:
    """Return parts with exact totals; each stratum is divided in proportion to what the parts still need."""
    needed = apportion(len(items), fractions)
    parts: list[list[SplitItem]] = [[] for _ in fractions]
    for stratum in _distinct(items):
        members = [item for item in items if item.stratum == stratum]
        shares = apportion(len(members), needed)
        for part, share in zip(parts, shares, strict=True):
            part += members[:share]
            members = members[share:]
        needed = [need - share for need, share in zip(needed, shares, strict=True)]
    return parts


def _deal_drives(items: Sequence[SplitItem], fractions: Sequence[Fraction], seed: str) -> list[list[SplitItem]]:
    """Return parts of whole drives: the best balanced of several seeded greedy assignments."""
    sizes = _drive_sizes(items)
    whole = [sum(counts) for counts in zip(*sizes.values(), strict=True)]
    targets = [[float(fraction * count) for count in whole] for fraction in fractions]
    orders = (sorted(sizes, key=lambda drive: _hash(seed, f"{attempt}:{drive}")) for attempt in range(ATTEMPTS))
    deals = [_deal(order, sizes, targets) for order in orders]
    best = min(deals, key=lambda deal: _imbalance(deal, sizes, targets))
    return [[item for item in items if best[item.unit] == part] for part in range(len(fractions))]


def _drive_sizes(items: Sequence[SplitItem]) -> dict[str, list[int]]:
    """Return the size of each drive: its images by group, by each value of the other attributes, and in total."""
    marks = sorted({mark for item in items for mark in enumerate(item.stratum)})
    counts: dict[str, Counter[tuple[int, str]]] = {}
    totals: Counter[str] = Counter()
    for item in items:
        counts.setdefault(item.unit, Counter()).update(enumerate(item.stratum))
        totals[item.unit] += 1
    return {drive: [*(count[mark] for mark in marks), totals[drive]] for drive, count in counts.items()}


def _distinct(items: Iterable[SplitItem]) -> list[Stratum]:
    """Return the strata in an order that does not depend on that of the samples."""
    return sorted({item.stratum for item in items})


def _deal(
    order: Sequence[str], sizes: Mapping[str, Sequence[int]], targets: Sequence[Sequence[float]]
) -> dict[str, int]:
    """Return the part of every drive, greedily where it lowers the imbalance most; every part gets at least one."""
    filled = [[0] * len(target) for target in targets]
    deal: dict[str, int] = {}
    for remaining, drive in zip(range(len(order), 0, -1), order, strict=True):
        empty = [part for part, counts in enumerate(filled) if not counts[-1]]
        allowed = empty if remaining <= len(empty) else range(len(filled))
        part = min(allowed, key=lambda part: _growth(filled[part], sizes[drive], targets[part]))
        filled[part] = [count + extra for count, extra in zip(filled[part], sizes[drive], strict=True)]
        deal[drive] = part
    return deal


def _growth(counts: Sequence[int], extra: Sequence[int], target: Sequence[float]) -> float:
    """Return by how much the part's sum of (count - target)^2 / target grows with the extra images."""
    terms = zip(counts, extra, target, strict=True)
    return sum(more * (more + 2 * (count - goal)) / goal for count, more, goal in terms if goal)


def _imbalance(
    deal: Mapping[str, int], sizes: Mapping[str, Sequence[int]], targets: Sequence[Sequence[float]]
) -> float:
    """Return the sum of (count - target)^2 / target over all parts, groups and totals."""
    imbalance = 0.0
    for part, target in enumerate(targets):
        inside = [sizes[drive] for drive, drive_part in deal.items() if drive_part == part]
        counts = [sum(size[index] for size in inside) for index in range(len(target))]
        imbalance += sum((count - goal) ** 2 / goal for count, goal in zip(counts, target, strict=True) if goal)
    return imbalance


def thin_parts(
    parts: Sequence[Sequence[SplitItem]], fractions: Sequence[Fraction], max_images: int
) -> list[list[SplitItem]]:
    """Return the parts reduced to their shares of max_images; within a part groups keep their shares."""
    shares = apportion(max_images, fractions)
    room = [len(part) for part in parts]
    sizes = [min(share, most) for share, most in zip(shares, room, strict=True)]
    for index, most in enumerate(room):  # the share of a part that is too small goes to the others, training first
        sizes[index] += min(max_images - sum(sizes), most - sizes[index])
    return [_draw(part, size) for part, size in zip(parts, sizes, strict=True)]


def _draw(part: Sequence[SplitItem], size: int) -> list[SplitItem]:
    members = [[item for item in part if item.stratum == stratum] for stratum in _distinct(part)]
    shares = apportion(size, [len(stratum) for stratum in members])
    return [item for stratum, share in zip(members, shares, strict=True) for item in stratum[:share]]


def _emptiness(
    part: str, items: Sequence[SplitItem], by_drive: bool, fractions: Sequence[Fraction], max_images: int
) -> str:
    drives = f" in {len({item.unit for item in items})} whole drives" if by_drive else ""
    limit = f", max_images {max_images}" if max_images else ""
    shares = " / ".join(f"{name} {float(share):g}" for name, share in zip(PARTS, fractions, strict=True))
    return (
        f"the {part} part would be empty: {len(items)} images{drives}{limit} at fractions {shares}; "
        "use more images or larger fractions"
    )

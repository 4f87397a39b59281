"""The folds of a confirmation: which of them its finalists have run, and which finalists lack some."""

from collections.abc import Mapping, Sequence

from bddseg.words import count
from sweeps.sanitize import clean
from sweeps.storage.records import SweepRecord, TrialRow

FOLD, CUT = "data.fold", "data.cut"
Fold = tuple[int, int]
"""The cut of the images, and the fold in it."""


def fold_of(row: TrialRow) -> Fold:
    """Return the fold of a run; -1 where it is not recorded."""
    cut, fold = (row.settings.get(key) for key in (CUT, FOLD))
    return cut if type(cut) is int else 0, fold if type(fold) is int else -1


def count_folds(rows: Sequence[TrialRow]) -> int:
    """Return the number of folds; 0 where it is not recorded."""
    counts = {row.settings.get("data.folds") for row in rows}
    (count,) = counts if len(counts) == 1 else (0,)
    return count if type(count) is int else 0


def last_round(
    folds: Mapping[str, Mapping[Fold, TrialRow]], exclusions: Mapping[str, int]
) -> tuple[list[Fold], dict[str, str]]:
    """Return the folds of the last round that two finalists have completed, and why others have not.

    Where runs are added until it is decided, only finalists that are still in question get another.
    """
    lengths = sorted(map(len, folds.values()), reverse=True)
    runs = lengths[min(1, len(lengths) - 1)] if lengths else 0
    every = sorted({fold for own in folds.values() for fold in own})[:runs]
    behind = {}
    for name, own in folds.items():
        if set(every) <= set(own):
            continue
        if name in exclusions:
            after = count(exclusions[name], "run")
            behind[name] = f"it was excluded after {after}, when others had as many: its score was surely lower"
        else:
            behind[name] = f"it has evidence of {len(own)} of {count(runs, 'run')} only"
    return every, behind


def read_exclusions(record: SweepRecord) -> dict[str, int]:
    """Return the number of runs after which each finalist was excluded, from the recorded looks."""
    confirmation = record.manifest.get("confirmation")
    looks = confirmation.get("looks", []) if isinstance(confirmation, Mapping) else []
    before: set[str] = {clean(row.finalist) for row in record.trials}
    exclusions: dict[str, int] = {}
    for look in looks:
        exclusions |= dict.fromkeys(before - set(look["remaining"]), look["runs"])
        before &= set(look["remaining"])
    return exclusions


def shared_folds(folds: Mapping[str, Mapping[Fold, TrialRow]], *, is_final: bool) -> tuple[list[Fold], dict[str, str]]:
    """Return the folds that all compared finalists have, and the finalists that lack some.

    Of a confirmation that has ended all folds count, and a finalist that lacks one is not compared; while it runs,
    those count that every finalist has.
    """
    every = sorted({fold for runs in folds.values() for fold in runs})
    if not is_final:
        every = [fold for fold in every if all(fold in runs for runs in folds.values())]
    behind = {
        name: f"it has evidence of {len(runs)} of {len(every)} folds only"
        for name, runs in folds.items()
        if not set(every) <= set(runs)
    }
    return every, behind

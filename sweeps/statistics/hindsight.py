"""What a trial that was stopped early might have reached, by what the completed ones gained after the same epoch."""

import math
from collections.abc import Sequence

LEAST = 6
"""Completed trials without which nothing is said."""


def overtaking(value: float, epoch: int, completed: Sequence[Sequence[float]], best: float) -> float | None:
    """Return the share of completed trials whose gain after an epoch would have lifted a stopped trial over the best.

    An extrapolation: the stopped trial was not trained further. None where too few trials completed.

    Args:
        value: of the stopped trial, its best up to the epoch.
        completed: val/miou by epoch, from the first, of each completed trial; NaN is no value.
        best: the highest score of a completed trial.
    """
    gains = [gain for curve in completed if (gain := _gain(curve, epoch)) is not None]
    if len(completed) < LEAST or not gains:
        return None
    return sum(value + gain > best for gain in gains) / len(gains)


def _gain(curve: Sequence[float], epoch: int) -> float | None:
    before, after = (_best(part) for part in (curve[:epoch], curve))
    return None if before is None or after is None else after - before


def _best(values: Sequence[float]) -> float | None:
    return max((value for value in values if not math.isnan(value)), default=None)

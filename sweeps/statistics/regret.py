"""Extrapolate what a stopped trial might have reached from the later gains of completed trials."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEAST = 6
"""Completed trials that an extrapolation needs."""


@dataclass(frozen=True)
class Hindsight:
    """What a stopped trial might have reached: an extrapolation, for it was not trained further."""

    overtaking: float
    """Share of completed trials with a gain that would have taken it past the best."""
    regret: float
    """Its mean lead over the best in those cases; other cases count as 0."""


def weigh_stop(value: float, epoch: int, completed: Sequence[Sequence[float]], best: float) -> Hindsight | None:
    """Return what a stopped trial might have reached; None where too few trials completed to say.

    Args:
        value: of the stopped trial, its best up to the epoch.
        completed: val/miou by epoch, from the first, of each completed trial; NaN is no value.
        best: the highest score of a completed trial.
    """
    gains = [gain for curve in completed if (gain := _gain(curve, epoch)) is not None]
    if len(completed) < LEAST or not gains:
        return None
    ahead = [value + gain - best for gain in gains]
    return Hindsight(sum(lead > 0 for lead in ahead) / len(ahead), sum(max(0.0, lead) for lead in ahead) / len(ahead))


def _gain(curve: Sequence[float], epoch: int) -> float | None:
    before, after = (_best(part) for part in (curve[:epoch], curve))
    return None if before is None or after is None else after - before


def _best(values: Sequence[float]) -> float | None:
    return max((value for value in values if not math.isnan(value)), default=None)

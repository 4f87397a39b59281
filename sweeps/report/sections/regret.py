"""Replay early stopping on the completed trials of a sweep."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from sweeps.schedulers.rungs import Rungs
from sweeps.statistics.regret import LEAST

Curve = Mapping[int, float]
"""Epoch -> validation mIoU."""

ORDERS = 200
MOST = 100
"""Trials that are replayed at most."""


@dataclass(frozen=True)
class Replay:
    """The results of the rungs' rule on completed trials in random orders of arrival."""

    trials: int
    lost: float
    """Share of orders in which the best trial would have been stopped."""
    regret: float
    """Mean deficit of the best remaining trial to the best of all, as a fraction of 1."""
    epochs: float
    """Share of their epochs that would have been trained."""


def replay(curves: Sequence[Curve], rungs: Sequence[int], reduction: int, *, seed: int = 0) -> Replay | None:
    """Return the outcome of the rule on these trials; None for too few trials.

    A trial arrives at all its rungs before the next one comes, as with a single slot. The best is who has the highest
    value at any epoch.
    """
    if len(curves) < LEAST or not rungs:
        return None
    used = [_course(curve, rungs) for curve in _thin(sorted(curves, key=_best, reverse=True))]
    chance, full = random.Random(seed), sum(course.epochs for course in used)
    outcomes = [_replay_once(chance.sample(used, len(used)), reduction) for _ in range(ORDERS)]
    gaps = [used[0].best - best for best, _ in outcomes]
    return Replay(
        trials=len(used),
        lost=fmean(gap > 0 for gap in gaps),
        regret=fmean(gaps),
        epochs=fmean(epochs / full for _, epochs in outcomes),
    )


@dataclass(frozen=True)
class _Course:
    epochs: int
    best: float
    best_at: Mapping[int, float]
    """Rung -> best value up to there."""


def _course(curve: Curve, rungs: Sequence[int]) -> _Course:
    last = max(curve)
    return _Course(last, _best(curve), {rung: _best(curve, rung) for rung in rungs if min(curve) <= rung < last})


def _replay_once(order: Sequence[_Course], reduction: int) -> tuple[float, int]:
    """Return the best value of the remaining trials, and the epochs trained."""
    memory, epochs, best = Rungs(reduction), 0, 0.0
    for number, course in enumerate(order):
        stop = next((rung for rung, value in course.best_at.items() if memory.judge(rung, str(number), value)), None)
        epochs += stop or course.epochs
        best = best if stop else max(best, course.best)
    return best, epochs


def _best(curve: Curve, until: int | None = None) -> float:
    return max(value for epoch, value in curve.items() if until is None or epoch <= until)


def _thin(ranked: Sequence[Curve]) -> list[Curve]:
    """Return at most so many curves, evenly from the best to the worst."""
    count = len(ranked)
    return list(ranked) if count <= MOST else [ranked[index * (count - 1) // (MOST - 1)] for index in range(MOST)]

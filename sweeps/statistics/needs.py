"""What an undecided verdict would take, and what it could have shown: images, runs, the smallest lead."""

import math

import numpy as np
from scipy.special import ndtri

from sweeps.statistics import power
from sweeps.statistics.contest import Contest, detectable
from sweeps.statistics.findings import Needed
from sweeps.statistics.lineup import Lineup
from sweeps.statistics.noise import Noise

NOTHING = Needed(None, None, 1.0)
"""Of a single unit, or run, nothing can be reckoned, and no difference shown."""


def needed_screening(
    contest: Contest, images: np.ndarray, lineup: Lineup, noise: Noise, margin: float
) -> Needed | None:
    """Return what would decide a screening; None where there is nothing to compare.

    The variance of a difference is that of images, which shrinks with their number, plus that of runs, likewise.

    Shape:
        images: (T, B), deviations of scores owed to images alone.
    """
    if contest.is_blind or len(lineup.ids) < 2:
        return NOTHING if len(lineup.ids) > 1 else None
    limit, rivals = min(detectable(contest), 1.0), contest.tied[1:]
    if not rivals:
        return Needed(lineup.images, lineup.runs, limit)
    by_images = max(float((images[at] - images[contest.leader]).var()) for at in rivals)
    by_runs = 2 * noise.sd**2
    allowed = (_target(contest, margin) / (contest.critical + float(ndtri(power.POWER)))) ** 2
    alone = (
        power.images_needed(lineup.images, by_images, by_runs, allowed),
        power.runs_needed(1, by_images, by_runs, allowed),
    )
    if alone != (None, None):
        return Needed(*_at_least(alone, lineup), limit)
    both = math.ceil(2 * lineup.images * by_images / allowed), math.ceil(2 * by_runs / allowed)
    return Needed(None, None, limit, both)


def bearable_sd(contest: Contest, images: np.ndarray) -> float | None:
    """Return the largest noise between runs with which the leader would still be alone ahead; None where it is not.

    A lead holds while it exceeds critical * sqrt(variance of images + 2 sd ** 2), and is solved for sd.

    Shape:
        images: (T, B), deviations of scores owed to images alone.
    """
    rivals = contest.order[1:]
    if contest.is_blind or not len(rivals) or len(contest.tied) > 1:
        return None
    by_images = (images[rivals] - images[contest.leader]).var(1)
    room = (contest.difference[rivals] / contest.critical) ** 2 - by_images
    return math.sqrt(max(float(room.min()), 0.0) / 2)


def needed_confirmation(
    first: Contest, contest: Contest, by_units: np.ndarray, lineup: Lineup, margin: float
) -> Needed | None:
    """Return what would decide a confirmation; `first` is its contest before the paired t test had its say.

    Shape:
        by_units: (T, B), scores under draws of units alone, runs as they are.
    """
    if contest.is_blind or len(lineup.ids) < 2:
        return NOTHING if len(lineup.ids) > 1 else None
    rivals, runs, sd = contest.tied[1:], lineup.runs, residual_sd(lineup.run_scores)
    limit = min(max(detectable(first), sd * power.lead_over(max(len(rivals), 1), runs)), 1.0)
    if not rivals or limit == 0:
        return Needed(lineup.images, lineup.runs, limit)
    of_runs = 2 * sd**2  # of a difference, in one run
    of_images = runs * max(float(np.nanvar(by_units[at] - by_units[contest.leader])) for at in rivals)
    target = _target(contest, margin)
    allowed = of_runs * (target / limit) ** 2
    alone = (
        power.images_needed(lineup.images, of_images, max(of_runs - of_images, 0.0), allowed),
        power.runs_to_lead(target, sd, len(rivals)),
    )
    return Needed(*_at_least(alone, lineup), limit)


def residual_sd(run_scores: np.ndarray) -> float:
    """Return the standard deviation between runs of a setting, without what all settings share in a fold.

    Shape:
        run_scores: (T, R), at least 2 of each.
    """
    trials, runs = run_scores.shape
    rest = run_scores - run_scores.mean(0) - run_scores.mean(1, keepdims=True) + run_scores.mean()
    return float(np.sqrt((rest**2).sum() / ((trials - 1) * (runs - 1))))


def _at_least(alone: tuple[int | None, int | None], lineup: Lineup) -> tuple[int | None, int | None]:
    images, runs = alone
    return (None if images is None else max(images, lineup.images)), (None if runs is None else max(runs, lineup.runs))


def _target(contest: Contest, margin: float) -> float:
    """Return the difference to be shown: that of the nearest rival, were it the truth, but not less than the margin."""
    return max(margin, float(-contest.difference[contest.tied[1]]))

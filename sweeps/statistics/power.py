"""The smallest difference in mIoU that so many runs and images can show: what to know before anything is trained."""

import math
from functools import cache

import numpy as np

from sweeps.statistics.significance import corrected_t, t_quantile

ALPHA, POWER = 0.05, 0.8
"""Of a two-sided paired t test: how often it sees a difference where there is none, and finds one that is there."""

RUN_SD = 0.6
"""Standard deviation of mIoU over seeds and folds, in points, that is assumed before a sweep has measured its own.

Source: published seed noise of segmentation networks lies between 0.3 and 1.2 points; this is the middle.
"""

MOST_RUNS = 100
"""Of a setting; nobody trains more."""

SIMULATED = 2000
"""Confirmations by which the power of several tests at once is found."""

UNIT_SD = 3.0
"""Standard deviation, over images (or drives), of the difference between two settings, in points; assumed likewise."""


def smallest_difference(pairs: int, sd: float) -> float:
    """Return the least true difference that a paired t test finds with probability POWER at level ALPHA.

    In the unit of `sd`, the standard deviation of the differences; infinite for fewer than two pairs. With 5 pairs of
    sd sqrt(2) * 0.6 it is 1.43. Source: Cohen 1988, Statistical Power Analysis, section 2.3.3: the effect size d at
    which the noncentral t with pairs - 1 degrees of freedom and noncentrality d * sqrt(pairs) exceeds the critical
    value of the central t with probability POWER.
    """
    if pairs < 2:
        return math.inf
    from statsmodels.stats.power import TTestPower  # takes two seconds to import

    return sd * float(TTestPower().solve_power(nobs=pairs, alpha=ALPHA, power=POWER, alternative="two-sided"))


def run_difference(runs: int, run_sd: float = RUN_SD) -> float:
    """Return what so many runs of two settings can show, in points, were images no source of chance."""
    return smallest_difference(runs, math.sqrt(2) * run_sd)


def image_difference(units: int, unit_sd: float = UNIT_SD) -> float:
    """Return what so many images (drives, where they are known) can show, in points, were runs no source of chance."""
    return smallest_difference(units, unit_sd)


def joint_difference(runs: int, units: int) -> float:
    """Return what runs and images together can show, in points: independent sources of chance add in squares."""
    return math.hypot(run_difference(runs), image_difference(units))


def images_needed(images: int, image_variance: float, run_variance: float, allowed: float) -> int | None:
    """Return how many images bring both variances together to what is allowed; None when the runs' alone exceeds it."""
    return None if run_variance >= allowed else math.ceil(images * image_variance / (allowed - run_variance))


def runs_needed(runs: int, image_variance: float, run_variance: float, allowed: float) -> int | None:
    """Return how many runs bring both variances together to what is allowed; None when the images' alone exceeds it."""
    return None if image_variance >= allowed else math.ceil(runs * run_variance / (allowed - image_variance))


@cache
def lead_over(rivals: int, runs: int) -> float:
    """Return the least true lead over so many equal rivals at which the corrected paired t with Holm excludes them all.

    With probability POWER, in the unit of the standard deviation between runs of one setting; infinite for fewer than
    two runs. By simulation of SIMULATED confirmations with normal noise: 3.35 for one rival and 5 runs.
    """
    if runs < 2 or rivals < 1:
        return math.inf
    noise = np.random.default_rng([rivals, runs]).standard_normal((SIMULATED, rivals + 1, runs))
    differences = noise[:, :1] - noise[:, 1:]
    mean, error, _ = corrected_t(differences)
    critical = [t_quantile(1 - ALPHA / 2 / place, runs - 1) for place in range(1, rivals + 1)]
    low, high = 0.0, 1000.0
    while high - low > 1e-3:
        lead = (low + high) / 2
        excludes = (np.sort((mean + lead) / error, axis=1) > critical).all(1)
        low, high = (low, lead) if excludes.mean() >= POWER else (lead, high)
    return high


def runs_to_lead(lead: float, sd: float, rivals: int, *, most: int = MOST_RUNS) -> int | None:
    """Return the fewest runs with which a true lead is found over so many rivals; None when it takes more than most."""
    low, high = 1, most
    if sd * lead_over(rivals, high) > lead:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if sd * lead_over(rivals, middle) <= lead else (middle, high)
    return high

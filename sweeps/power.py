"""The smallest difference in mIoU that so many runs and images can show: what to know before anything is trained."""

import math

ALPHA, POWER = 0.05, 0.8
"""Of a two-sided paired t test: how often it sees a difference where there is none, and finds one that is there."""

RUN_SD = 0.6
"""Standard deviation of mIoU over seeds and folds, in points, that is assumed before a sweep has measured its own.

Source: published seed noise of segmentation networks lies between 0.3 and 1.2 points; this is the middle.
"""

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

"""Smallest gap between two groups of images that a verdict can tell, before anything is trained."""

import math
from collections.abc import Sequence

from sweeps.statistics.hypothesis_tests import ALPHA, POWER, t_quantile
from sweeps.statistics.seed_noise import BOUND_FREEDOM, FLOOR
from sweeps.statistics.slices import DRIVES, telling_quantiles

GAP_UNIT_SD = 0.10
"""Standard deviation, over drives, of what one contributes to the mIoU of all (jackknife): 0.101 over 17 drives of the
streets, and 0.088 over 132 real images, both at 64 px after ten epochs."""


def gap_error(images: Sequence[int], drives: Sequence[int], runs_share: float = 1.0) -> tuple[float, float]:
    """Return the expected standard error of the gap between two groups, and its degrees of freedom.

    As `sweeps.statistics.slices` has it: the spread of the drives of both groups, and the noise of runs, which is
    larger in a group that has few of the images.

    Args:
        images, drives: of both groups.
        runs_share: variance of the mean of the runs, as a multiple of the variance of one.
    """
    of_drives = GAP_UNIT_SD**2 * sum(1 / number for number in drives)
    of_runs = FLOOR**2 * runs_share * sum(sum(images) / number for number in images)
    freedom = (of_drives + of_runs) ** 2 / (of_drives**2 / (min(drives) - 1 or 1) + of_runs**2 / BOUND_FREEDOM)
    return math.sqrt(of_drives + of_runs), freedom


def smallest_gap(images: Sequence[int], drives: Sequence[int], runs_share: float = 1.0, alpha: float = ALPHA) -> float:
    """Return the smallest true gap that is found with POWER, as a fraction of 1; infinite with too few drives.

    Args:
        images, drives, runs_share: as `gap_error` takes them.
        alpha: the level of the test, which several comparisons share.
    """
    if min(drives) < DRIVES or not min(images):
        return math.inf
    error, freedom = gap_error(images, drives, runs_share)
    return (t_quantile(1 - alpha / 2, freedom) + t_quantile(POWER, freedom)) * error


def smallest_margin(
    images: Sequence[int], drives: Sequence[int], runs_share: float = 1.0, alpha: float = ALPHA
) -> float:
    """Return the smallest margin within which a gap of 0 is shown to lie, with a power of 80 %; infinite as above."""
    if min(drives) < DRIVES or not min(images):
        return math.inf
    return telling_quantiles(alpha) * gap_error(images, drives, runs_share)[0]

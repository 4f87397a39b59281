"""Intervals and tests of one figure from its bootstrap draws and the noise of runs."""

import math
from dataclasses import dataclass

import numpy as np

from sweeps.statistics.hypothesis_tests import ALPHA, p_above, t_quantile
from sweeps.statistics.results import Interval

LOST = 0.05
"""A figure that is missing in a larger share of draws gets no interval."""


@dataclass(frozen=True, eq=False)
class ResampledFigure:
    """A figure with its value in every bootstrap draw, and the variance between runs."""

    estimate: float
    draws: np.ndarray
    units: int
    """Number of units behind it."""
    run_variance: float = 0.0
    run_freedom: float = math.inf
    """Degrees of freedom with which the variance is known."""

    def error(self) -> tuple[float, float]:
        """Return standard error and degrees of freedom; NaN and 0 where they cannot be estimated.

        Source of the degrees of freedom of a sum: Satterthwaite 1946, An approximate distribution of estimates of
        variance components.
        """
        usable = self.draws[np.isfinite(self.draws)]
        is_rare = not len(usable) or len(usable) < (1 - LOST) * len(self.draws)
        if self.units < 2 or is_rare or not math.isfinite(self.estimate) or not math.isfinite(self.run_variance):
            return math.nan, 0
        of_units = float(((usable - self.estimate) ** 2).mean()) * self.units / (self.units - 1)
        total = of_units + self.run_variance
        per_freedom = of_units**2 / (self.units - 1) + self.run_variance**2 / self.run_freedom
        return math.sqrt(total), total**2 / per_freedom if per_freedom else math.inf

    def tests(self, margin: float) -> tuple[float, float]:
        """Return the p values of two one-sided tests for being within the margin, and of a two-sided one against 0.

        Source: Schuirmann 1987, A comparison of the two one-sided tests procedure and the power approach.
        """
        error, freedom = self.error()
        above = [_p_above(self.estimate - bound, error, freedom) for bound in (-margin, 0.0, margin)]
        return max(above[0], 1 - above[2]), 2 * min(above[1], 1 - above[1])

    def interval(self, alpha: float = ALPHA) -> Interval | None:
        """Return the 1 - alpha interval; None where it cannot be estimated."""
        error, freedom = self.error()
        half = error * t_quantile(1 - alpha / 2, freedom)
        return Interval(self.estimate, self.estimate - half, self.estimate + half) if math.isfinite(half) else None

    def minus(self, other: "ResampledFigure") -> "ResampledFigure":
        """Return the paired difference; runs of different settings are independent."""
        return ResampledFigure(
            estimate=self.estimate - other.estimate,
            draws=self.draws - other.draws,
            units=min(self.units, other.units),
            run_variance=self.run_variance + other.run_variance,
            run_freedom=min(self.run_freedom, other.run_freedom),
        )


def _p_above(gap: float, error: float, freedom: float) -> float:
    """Return the probability of an estimate so far above a bound, were the truth at it; 1/2 where nothing is known."""
    if error == 0:
        return 0.5 if gap == 0 else float(gap < 0)
    return p_above(gap / error, freedom)

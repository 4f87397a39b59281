"""A figure under many draws and in several runs -> its interval, and whether it is surely small or surely not 0."""

import math
from dataclasses import dataclass, field

import numpy as np

from sweeps.statistics.findings import Interval
from sweeps.statistics.significance import ALPHA, p_above, t_quantile

LOST = 0.05
"""A figure that is missing in a larger share of draws gets no interval."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A figure, what it is in every draw of the units, and in every run where there are several."""

    estimate: float
    draws: np.ndarray
    units: int
    """On how many units it rests."""
    runs: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def judges(self) -> list[tuple[float, int]]:
        """Return standard error and degrees of freedom by the units, and by the runs; NaN where there is no saying.

        The runs' own spread has all that is uncertain in it, but of few runs; that of the units lacks what another seed
        would change. The more cautious of the two counts.
        """
        usable = self.draws[np.isfinite(self.draws)]
        known = self.runs[np.isfinite(self.runs)]
        is_rare = not len(usable) or len(usable) < (1 - LOST) * len(self.draws) or not math.isfinite(self.estimate)
        found = [(math.nan, 0)]
        if self.units > 1 and not is_rare:
            loss = self.units / (self.units - 1)
            found = [(math.sqrt(float(((usable - self.estimate) ** 2).mean()) * loss), self.units - 1)]
        if len(self.runs):
            error = float(known.std(ddof=1)) / math.sqrt(len(known)) if len(known) > 1 else math.nan
            found.append((error, len(known) - 1))
        return found

    def tests(self, margin: float) -> tuple[float, float]:
        """Return the p values of two one-sided tests for being within the margin, and of a two-sided one against 0.

        Source: Schuirmann 1987, A comparison of the two one-sided tests procedure and the power approach.
        """
        within, apart = [], []
        for error, freedom in self.judges():
            above = [_p_above(self.estimate - bound, error, freedom) for bound in (-margin, 0.0, margin)]
            within.append(max(above[0], 1 - above[2]))
            apart.append(2 * min(above[1], 1 - above[1]))
        return max(within), max(apart)

    def interval(self, alpha: float = ALPHA) -> Interval | None:
        """Return the 1 - alpha interval; None where there is no saying."""
        halves = [error * t_quantile(1 - alpha / 2, freedom) for error, freedom in self.judges()]
        if not all(map(math.isfinite, halves)):
            return None
        return Interval(self.estimate, self.estimate - max(halves), self.estimate + max(halves))

    def minus(self, other: "Sample") -> "Sample":
        """Return the paired difference."""
        units = min(self.units, other.units)
        return Sample(self.estimate - other.estimate, self.draws - other.draws, units, self.runs - other.runs)


def _p_above(gap: float, error: float, freedom: int) -> float:
    """Return the probability of an estimate so far above a bound, were the truth at it; 1/2 where nothing is known."""
    if error == 0:
        return 0.5 if gap == 0 else float(gap < 0)
    return p_above(gap / error, freedom)

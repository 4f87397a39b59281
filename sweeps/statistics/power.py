"""Simulate the power of a confirmation: which lead a number of runs detects."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sweeps.statistics.hypothesis_tests import ALPHA, POWER, overlap
from sweeps.statistics.seed_noise import pool_variance

MOST_RUNS_PLANNED = 100
"""Runs of a setting up to which a sample size is searched; a larger design is reported as out of reach."""

SIMULATED, DRAWS = 2000, 2000
"""Simulated confirmations for a power, and replicates for a critical value."""

UNIT_SD = 0.065
"""Standard deviation, over images or drives, of the difference in mIoU between two trained networks; measured on real
frames at 64 px."""


@dataclass(frozen=True)
class Design:
    """The design of a confirmation: finalists, runs of each on folds, and the expected noise."""

    finalists: int
    runs: int
    run_sd: float
    """Standard deviation between runs of a setting, apart from their images."""
    image_sd: float
    """Standard error that the images of all folds together leave in the difference of two settings."""
    rise: float | None = None
    """See `Noise.rise`: the prior of the confirmation, where curves are known."""

    def finds(self, lead: float) -> float:
        """Return the power: how often the best of equal rivals is alone ahead with this true lead.

        Source of the procedure: `sweeps.statistics.comparisons.compare_settings`.
        """
        if self.runs < 2 or self.finalists < 2:
            return 0.0
        differences, reach = _simulate(self)
        return float((differences + lead > reach[:, None]).all(1).mean())

    def smallest_lead(self) -> float:
        """Return the smallest true lead that is detected with POWER; infinite if none is."""
        if self.runs < 2 or self.finalists < 2:
            return math.inf
        differences, reach = _simulate(self)
        return max(0.0, float(np.quantile((reach[:, None] - differences).max(1), POWER)))


def runs_to_find(lead: float, finalists: int, run_sd: float, image_sd: float, rise: float | None = None) -> int | None:
    """Return the fewest runs of each finalist that detect a lead; None for more than MOST_RUNS_PLANNED.

    Args:
        lead: the true lead of the best finalist over all others.
        finalists: how many are compared.
        run_sd, image_sd, rise: see `Design`.
    """
    low, high = 1, MOST_RUNS_PLANNED
    if Design(finalists, high, run_sd, image_sd, rise).smallest_lead() > lead:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        is_enough = Design(finalists, middle, run_sd, image_sd, rise).smallest_lead() <= lead
        low, high = (low, middle) if is_enough else (middle, high)
    return high


@lru_cache(maxsize=64)
def _simulate(design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Return, of many confirmations of equal finalists, the first one's differences to all others and what they exceed.

    Of normal runs the means and the squares that a two-way layout leaves are independent, so that no single run is
    drawn: hundreds of finalists and runs take no more memory than their means.

    Shape:
        returns: (S, T - 1) differences, (S,) what a difference must exceed.
    """
    generator = np.random.default_rng([design.finalists, design.runs])
    settings, runs = design.finalists, design.runs
    fold_variance = design.image_sd**2 / 2 * runs  # of one setting on one fold; folds share no image
    variance_of_run = design.run_sd**2 + fold_variance
    means = math.sqrt(variance_of_run / runs) * generator.standard_normal((SIMULATED, settings), dtype=np.float32)
    freedom = (settings - 1) * (runs - 1)
    total = variance_of_run * generator.chisquare(freedom, SIMULATED)
    squares = np.maximum(
        total - freedom * fold_variance, total / (1 + freedom)
    )  # as `sweeps.statistics.verdict` has it
    variance, known_freedom = pool_variance(squares, freedom, design.rise, has_floor=True)
    errors = np.sqrt(2 * variance * overlap(runs, runs) + design.image_sd**2)
    least, most = float(known_freedom.min()), float(known_freedom.max())
    critical = np.full(SIMULATED, _critical(design, most))
    if most > least:  # between the two, by how many degrees of freedom each has
        critical += (_critical(design, least) - critical) * (1 / known_freedom - 1 / most) / (1 / least - 1 / most)
    return means[:, :1] - means[:, 1:], critical * errors


def _critical(design: Design, freedom: float) -> float:
    """Return the quantile of the largest studentised difference of equal settings, noise known with so much freedom."""
    generator = np.random.default_rng([design.finalists, design.runs, 1])
    share = overlap(design.runs, design.runs)
    pooled = np.sqrt(freedom / generator.chisquare(freedom, DRAWS))
    run_noise = design.run_sd * math.sqrt(share) * generator.standard_normal((design.finalists, DRAWS)) * pooled
    scatter = run_noise + design.image_sd / math.sqrt(2) * generator.standard_normal((design.finalists, DRAWS))
    error = math.hypot(math.sqrt(2 * share) * design.run_sd, design.image_sd)
    return float(np.quantile(np.ptp(scatter, axis=0) / error, 1 - ALPHA)) if error else 0.0

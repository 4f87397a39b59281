"""Tests of counts: are categories equally frequent, is a share as expected, do two attributes belong together?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2_contingency, chisquare
from statsmodels.stats.power import GofChisquarePower
from statsmodels.stats.proportion import proportions_ztest

from sweeps.statistics.hypothesis_tests import ALPHA, holm


@dataclass(frozen=True)
class GoodnessOfFit:
    """A chi-square test of counts against equal frequencies."""

    chi_square: float
    freedom: int
    p: float
    cohens_w: float
    """Effect size; 0.1 is small, 0.3 medium, 0.5 large (Cohen 1988, section 7.2)."""
    power: float
    """How often a test of so many images finds an effect of this size at 5 %."""
    residuals: tuple[float, ...]
    """Standardised (Pearson): (count - expected) / sqrt(expected)."""
    z: tuple[float, ...]
    """One-proportion tests: each share against that of equal frequencies."""
    p_holm: tuple[float, ...]
    """Their p values, corrected for their number."""


@dataclass(frozen=True)
class Association:
    """A chi-square test of independence of the rows and columns of a table of counts."""

    chi_square: float
    freedom: int
    p: float
    cramers_v: float
    """From 0, independent, to 1, one decides the other."""


def fit_equal_frequencies(counts: Sequence[int]) -> GoodnessOfFit | None:
    """Return the test of counts against equal frequencies; None for fewer than two categories or no image."""
    observed = np.asarray(counts, dtype=float)
    total, categories = float(observed.sum()), len(observed)
    if categories < 2 or not total:
        return None
    expected = total / categories
    fit = chisquare(observed)
    cohens_w = math.sqrt(float(fit.statistic) / total)
    power = GofChisquarePower().power(cohens_w, total, ALPHA, n_bins=categories) if cohens_w else ALPHA
    share = 1 / categories
    tests = [proportions_ztest(count, total, value=share, prop_var=share) for count in observed]
    return GoodnessOfFit(
        chi_square=float(fit.statistic),
        freedom=categories - 1,
        p=float(fit.pvalue),
        cohens_w=cohens_w,
        power=float(power),
        residuals=tuple(float(value) for value in (observed - expected) / math.sqrt(expected)),
        z=tuple(float(z) for z, _ in tests),
        p_holm=tuple(float(p) for p in holm([p for _, p in tests])),
    )


def associate(table: np.ndarray) -> Association | None:
    """Return the test of a table of counts; None where fewer than two rows or columns have any.

    Source of V: Cramér 1946, Mathematical Methods of Statistics, section 21.9.

    Shape:
        table: (rows, columns), counts.
    """
    counts = np.asarray(table)
    counts = counts[counts.sum(1) > 0][:, counts.sum(0) > 0]
    if min(counts.shape) < 2:
        return None
    result = chi2_contingency(counts, correction=False)
    largest = counts.sum() * (min(counts.shape) - 1)
    return Association(
        float(result.statistic), int(result.dof), float(result.pvalue), math.sqrt(float(result.statistic) / largest)
    )

"""Small samples and many questions: quantiles of Student's t, Holm's correction, the corrected paired t test."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

ALPHA = 0.05


def t_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t; infinite without a degree of freedom."""
    if freedom < 1:
        return math.copysign(math.inf, probability - 0.5)
    return float(stdtrit(freedom, probability))


def p_above(t: float, freedom: float) -> float:
    """Return the probability that Student's t exceeds t; 1/2 where nothing is known."""
    if freedom < 1 or math.isnan(t):
        return 0.5
    return float(stdtr(freedom, -t)) if math.isfinite(t) else float(t < 0)


def widening(units: float) -> float:
    """Return by how much the spread of a bootstrap over so few units is to be enlarged; infinite for one.

    sqrt(n / (n - 1)) for the variance that resampling loses, times t / z for its being estimated: 1.59 for n = 5.
    """
    if units < 2:
        return math.inf
    return math.sqrt(units / (units - 1)) * t_quantile(1 - ALPHA / 2, units - 1) / float(ndtri(1 - ALPHA / 2))


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Return the p values corrected for their number. Source: Holm 1979, A simple sequentially rejective procedure."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return corrected


def holm_levels(p_values: Sequence[float] | np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """Return the level at which Holm's procedure tests each; once one fails, the rest share its level."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = alpha / np.arange(len(p), 0, -1)
    failed = np.flatnonzero(p[order] > steps)
    levels = np.empty_like(p)
    levels[order] = np.minimum(steps, steps[failed[0]]) if len(failed) else steps
    return levels


def overlap_factor(runs: int) -> float:
    """Return sqrt(1 + n * test / train) for n folds: what training images in common add to a standard error.

    Source: Nadeau and Bengio 2003, Inference for the generalization error, section 5: 1/n becomes 1/n + test/train,
    and of n folds test/train is 1 / (n - 1).
    """
    return math.sqrt(1 + runs / (runs - 1)) if runs > 1 else math.inf


def corrected_t(differences: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, standard error and two-sided p of paired differences over runs on folds, corrected for overlap.

    Shape:
        differences: (..., R).  returns: (...) each; p is 1 where all differences are 0, or there is but one run.
    """
    runs = differences.shape[-1]
    mean = differences.mean(-1)
    if runs < 2:
        return mean, np.full(mean.shape, math.inf), np.ones(mean.shape)
    error = differences.std(-1, ddof=1) / math.sqrt(runs) * overlap_factor(runs)
    t = np.divide(np.abs(mean), error, out=np.where(mean == 0, 0.0, math.inf), where=error > 0)
    return mean, error, 2 * stdtr(runs - 1, -t)

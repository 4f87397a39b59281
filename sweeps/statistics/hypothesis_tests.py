"""Student's t for small samples, Holm's correction, and the variance of overlapping training sets."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

ALPHA = 0.05
POWER = 0.8
"""Power with which a detectable lead is found."""


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
    """Return the factor that corrects the spread of a bootstrap over few units; infinite for one unit.

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


def overlap(runs: int, folds: int) -> float:
    """Return the variance of the mean of runs on folds, as a multiple of the variance of one run.

    1 / runs, and the share of their variance that runs have in common, since they train on the same images.

    Source: Nadeau and Bengio 2003, Inference for the generalization error, section 5 (1/n becomes 1/n + test/train);
    for repeated cuts Bouckaert and Frank 2004, Evaluating the replicability of significance tests, section 3.
    """
    return 1 / runs + 1 / (folds - 1) if folds > 1 else math.inf

"""Figures of groups of images in bootstrap draws, and the noise of runs in differences between groups."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from sweeps.statistics.alignment import AlignedEvidence
from sweeps.statistics.bootstrap import weigh
from sweeps.statistics.seed_noise import SHRINKAGE, Noise

CELLS = 2**22
"""Numbers of resampled counts that are in memory at a time."""

Figure = Callable[[np.ndarray], np.ndarray]
"""(..., C, C) -> (...), or (..., C)"""


def gap_noise(
    aligned: AlignedEvidence, index: int, sides: Sequence[np.ndarray], noise: Noise, figure: Figure
) -> tuple[float, float]:
    """Return the variance that other runs would bring into a setting's gap, and its degrees of freedom.

    A score over a share of the images differs more between runs than one over all: the noise of the whole, scaled by
    the shares, is the prior, pooled with the gaps of the setting's own runs where they saw the same images.
    """
    repeats = noise.own_freedom[index]
    gaps = run_gaps(aligned, index, sides, figure) if repeats else np.empty(0)
    return pool_noise(index, sides, noise, gaps)


def run_gaps(aligned: AlignedEvidence, index: int, sides: Sequence[np.ndarray], figure: Figure) -> np.ndarray:
    """Return the gap of a figure in each run of a setting.

    Shape:
        returns: (R,), or (R, C) for a figure with classes.
    """
    return np.asarray([figure(run[sides[0]].sum(0)) - figure(run[sides[1]].sum(0)) for run in aligned.runs_of(index)])


def pool_noise(index: int, sides: Sequence[np.ndarray], noise: Noise, gaps: np.ndarray) -> tuple[float, float]:
    """Return variance and degrees of freedom as `gap_noise` does, from the gaps of the runs.

    Shape:
        gaps: (R,), empty where the runs saw other images.
    """
    if noise.is_unknown:
        return float("nan"), 0.0
    scaled = float(noise.run_variance[index]) * sum(1 / float(side.mean()) for side in sides)
    squares, repeats = 0.0, int(noise.own_freedom[index])
    if repeats:
        squares = float(((gaps - gaps.mean()) ** 2).sum())
        if not np.isfinite(squares):
            squares, repeats = 0.0, 0
    variance = (SHRINKAGE * scaled + squares) / (SHRINKAGE + repeats)
    return variance * float(noise.share[index]), min(noise.freedom, SHRINKAGE + repeats) if repeats else noise.freedom


def count_units(aligned: AlignedEvidence, mask: np.ndarray) -> int:
    """Return the number of units that the chosen images belong to."""
    return len(np.unique(aligned.unit[mask]))


def resample_sides(
    aligned: AlignedEvidence, counts: np.ndarray, masks: Sequence[np.ndarray], draws: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield the pooled counts of a setting on each set of images in some of the draws, in their order.

    All draws of 32 classes at once would take gigabytes.

    Shape:
        counts: (N, C, C).  masks: M of (N,).  yields: (M, b, C, C), float64.
    """
    chosen = np.stack([counts * mask[:, None, None] for mask in masks])  # (M, N, C, C)
    table = np.moveaxis(aligned.by_unit(chosen, axis=1), 1, -1)  # (M, C, C, U)
    step = max(1, CELLS // table[..., 0].size)
    for start in range(0, len(draws), step):
        for _, sums in weigh(table, draws[start : start + step]):
            yield np.moveaxis(sums, -1, 1)

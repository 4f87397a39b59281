"""Bootstrap draws of drives (or images) and runs, the same for every trial, and mIoU under each of them.

Only intersection and union of every class are needed, so a draw is a row of weights and all draws are matrix products.
"""

import itertools
from collections.abc import Iterator

import numpy as np

DRAWN, WEIGHED = 256, 1024
"""Draws at a time: bounds memory."""

EXACT = 2**24
"""Below it single precision holds every whole number, so that sums of counts are exact in whatever order."""


def draw_units(run_of_unit: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return how often each draw takes each unit: runs are drawn with replacement, then units within each run drawn.

    With one run this is the plain bootstrap. Source: Davison and Hinkley 1997, Bootstrap Methods, section 3.8.

    Shape:
        run_of_unit: (U,), ascending.  returns: (B, U), int16.
    """
    generator = np.random.default_rng([seed, 1])
    sizes = np.bincount(run_of_unit)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    found = np.empty((draws, len(run_of_unit)), dtype=np.int16)
    for start in range(0, draws, DRAWN):
        found[start : start + DRAWN] = _draw(generator, sizes, starts, min(DRAWN, draws - start))
    return found


def _draw(generator: np.random.Generator, sizes: np.ndarray, starts: np.ndarray, draws: int) -> np.ndarray:
    runs, units = len(sizes), int(sizes.sum())
    picked = generator.integers(runs, size=(draws, runs))
    places = generator.random((draws, runs, sizes.max()), dtype=np.float32)  # (b, R, most units of a run)
    inside = np.minimum(places * sizes[picked][..., None], sizes[picked][..., None] - 1).astype(np.int64)
    cells = inside + starts[picked][..., None] + np.arange(draws)[:, None, None] * units
    is_real = np.arange(sizes.max()) < sizes[picked][..., None]
    return np.bincount(cells[is_real], minlength=draws * units).reshape(draws, units)


def weigh(table: np.ndarray, draws: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the sums of the table under each draw, some draws at a time; sums are exact.

    In single precision, over as many units at a time as keep every sum below EXACT; in double where these are few.

    Shape:
        table: (..., U), whole numbers.  draws: (B, U).  yields: which draws, (..., b).
    """
    rows = table.reshape(-1, table.shape[-1])
    heaviest = rows.max(0)
    single = rows.astype(np.float32)
    for start in range(0, len(draws), WEIGHED):
        chosen = slice(start, min(start + WEIGHED, len(draws)))
        weights = draws[chosen].T  # (U, b)
        edges = _edges(weights * heaviest[:, None])
        if edges is None:
            sums = rows.astype(np.float64) @ weights.astype(np.float64)
        else:
            light = weights.astype(np.float32)
            parts = [single[:, a:b] @ light[a:b] for a, b in itertools.pairwise(edges)]
            sums = np.asarray(parts[0] if len(parts) == 1 else np.sum(parts, axis=0, dtype=np.float64))
        yield chosen, sums.reshape(*table.shape[:-1], sums.shape[-1])


def _edges(heavy: np.ndarray) -> list[int] | None:
    """Return where to cut the units so that no sum over a piece reaches EXACT; None when pieces would be tiny."""
    units, pieces = len(heavy), 1
    while units // pieces >= min(32, units):
        edges = np.linspace(0, units, pieces + 1).astype(int)
        if np.add.reduceat(heavy, edges[:-1], axis=0).max() < EXACT:
            return [int(edge) for edge in edges]
        pieces *= 2
    return None


def resample_miou(intersection: np.ndarray, union: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return the mIoU of each under every draw; a class that a draw leaves empty leaves its mean.

    Shape:
        intersection, union: (T, C, U).  draws: (B, U).  returns: (T, B), float32; NaN where a draw has no class.
    """
    found = np.empty((len(union), len(draws)), dtype=np.float32)
    pairs = zip(weigh(intersection, draws), weigh(union, draws), strict=True)
    for (chosen, above), (_, below) in pairs:
        found[:, chosen] = mean_ratio(above, below, axis=1)
    return found


def mean_ratio(above: np.ndarray, below: np.ndarray, axis: int) -> np.ndarray:
    """Return the mean of above / below along the axis over what has a positive below; NaN where nothing has."""
    if below.min(initial=1) > 0:
        return (above / below).mean(axis)
    present = below > 0
    ratio = np.divide(above, below, out=np.zeros_like(above), where=present)
    number = present.sum(axis)
    total = ratio.sum(axis)
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)


def score_left_out(intersection: np.ndarray, union: np.ndarray, draws: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return, for each draw, the mIoU of the trial chosen in it on the units that it left out; NaN where none was.

    Source: Tsamardinos et al. 2018, Bootstrapping the out-of-sample predictions for efficient and accurate
    cross-validation (BBC-CV).

    Shape:
        intersection, union: (T, C, U).  draws: (B, U).  chosen: (B,).  returns: (B,).
    """
    found = np.full(len(draws), np.nan)
    for trial in np.unique(chosen):
        at = np.flatnonzero(chosen == trial)
        rest = (draws[at] == 0).astype(np.float64).T  # (U, b)
        found[at] = mean_ratio(intersection[trial] @ rest, union[trial] @ rest, axis=0)
    return found

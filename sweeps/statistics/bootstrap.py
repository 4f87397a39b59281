"""Bootstrap drives or images with the same draws for every trial, and compute mIoU under each draw.

Only intersection and union of every class are needed, so a draw is a row of weights and all draws are matrix products.
"""

import itertools
from collections.abc import Iterator

import numpy as np

DRAWN, WEIGHED = 256, 1024
"""Draws at a time: bounds memory."""

EXACT = 2**24
"""Below it single precision represents every integer, so that sums of counts are exact in any order."""


def draw_units(units: int, draws: int, seed: int) -> np.ndarray:
    """Return the weights of a plain bootstrap: how often each draw contains each unit.

    Source: Davison and Hinkley 1997, Bootstrap Methods, section 3.8 (units drawn whole).

    Shape:
        returns: (B, U), int16.
    """
    generator = np.random.default_rng([seed, 1])
    drawn = np.empty((draws, units), dtype=np.int16)
    for start in range(0, draws, DRAWN):
        size = min(DRAWN, draws - start)
        picked = generator.integers(units, size=(size, units)) + np.arange(size)[:, None] * units
        drawn[start : start + size] = np.bincount(picked.ravel(), minlength=size * units).reshape(size, units)
    return drawn


def weigh(table: np.ndarray, draws: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the weighted sums of a table for each draw, in batches of draws; sums are exact.

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
    """Return the boundaries of unit ranges whose sums stay below EXACT; None if the ranges would be tiny."""
    units, pieces = len(heavy), 1
    while units // pieces >= min(32, units):
        edges = np.linspace(0, units, pieces + 1).astype(int)
        if np.add.reduceat(heavy, edges[:-1], axis=0).max() < EXACT:
            return [int(edge) for edge in edges]
        pieces *= 2
    return None


def resample_deviations(
    intersection: np.ndarray, union: np.ndarray, truth: np.ndarray, draws: np.ndarray, widening: np.ndarray
) -> np.ndarray:
    """Return the deviation of each mIoU under every draw, with each class's contribution widened separately.

    A class that a draw leaves without a true pixel deviates by nothing in it. Classes that few units have are the ones
    that a bootstrap understates; widened together with all others they would decide about every interval.

    Shape:
        intersection, union: (T, C, U).  truth: (C, U).  draws: (B, U).  widening: (C,).
        returns: (T, B), float32.
    """
    present = truth.sum(1) > 0
    intersection, union, truth, wide = intersection[:, present], union[:, present], truth[present], widening[present]
    whole = intersection.sum(2) / union.sum(2)  # (T, C)
    deviations = np.empty((len(union), len(draws)), dtype=np.float32)
    sums = zip(weigh(intersection, draws), weigh(union, draws), weigh(truth, draws), strict=True)
    for (chosen, above), (_, below), (_, true) in sums:
        is_there = true > 0  # (C, b)
        ratio = np.divide(above, below, out=np.broadcast_to(whole[:, :, None], above.shape).copy(), where=is_there)
        deviations[:, chosen] = np.einsum("tcb,c->tb", ratio - whole[:, :, None], wide / len(wide))
    return deviations


def mean_ratio(above: np.ndarray, below: np.ndarray, axis: int) -> np.ndarray:
    """Return the mean of above / below along the axis where below is positive; NaN where it never is."""
    if below.min(initial=1) > 0:
        return (above / below).mean(axis)
    present = below > 0
    ratio = np.divide(above, below, out=np.zeros_like(above), where=present)
    number = present.sum(axis)
    total = ratio.sum(axis)
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)

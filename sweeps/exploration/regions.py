"""Connected regions of equal labels in a mask, and the pixels that an opening removes."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True, eq=False)
class Regions:
    """The connected regions of a mask; pixels that touch at a side belong together.

    Shape:
        runs: (H, W), int32, number of the horizontal run of each pixel.  region_of_run: (runs,).
        values, sizes_px: (regions,), label and number of pixels.
    """

    runs: np.ndarray
    region_of_run: np.ndarray
    values: np.ndarray
    sizes_px: np.ndarray


def find_regions(labels: np.ndarray) -> Regions:
    """Return the regions of all labels at once.

    Runs are joined instead of pixels: a mask of 1280x720 has some 20,000 runs, so that all of its classes take 15 ms,
    where `scipy.ndimage.label` takes as much for each class.

    Shape:
        labels: (H, W), uint8.
    """
    is_start = np.ones(labels.shape, dtype=bool)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=is_start[:, 1:])
    starts = np.flatnonzero(is_start)
    lengths = np.diff(starts, append=labels.size)
    runs = np.repeat(np.arange(len(starts), dtype=np.int32), lengths)
    # two runs touch where both have the label, first at the column where the later of them starts
    touches = np.flatnonzero((labels[1:] == labels[:-1]) & (is_start[1:] | is_start[:-1]))
    upper, lower = runs[touches], runs[touches + labels.shape[1]]
    edges = coo_array((np.ones(len(upper), dtype=np.int8), (upper, lower)), shape=(len(starts), len(starts)))
    count, region_of_run = connected_components(edges, directed=False)
    values = np.empty(count, dtype=labels.dtype)
    values[region_of_run] = labels.ravel()[starts]
    sizes_px = np.bincount(region_of_run, weights=lengths, minlength=count).astype(np.int64)
    return Regions(runs.reshape(labels.shape), region_of_run, values, sizes_px)


def survives_opening(labels: np.ndarray) -> np.ndarray:
    """Return which pixels an opening of their own class by 3x3 pixels leaves: those in a square of one label.

    Shape:
        labels: (H, W), uint8.  returns: (H, W), bool.
    """
    survives = np.zeros(labels.shape, dtype=bool)
    if min(labels.shape) < 3:
        return survives
    across = (labels[:, :-2] == labels[:, 1:-1]) & (labels[:, 1:-1] == labels[:, 2:])  # three alike in a row
    down = labels[:-1, 1:-1] == labels[1:, 1:-1]
    squares = across[:-2] & across[1:-1] & across[2:] & down[:-1] & down[1:]
    wide = np.zeros((squares.shape[0], labels.shape[1]), dtype=bool)
    for shift in range(3):
        wide[:, shift : shift + squares.shape[1]] |= squares
    for shift in range(3):
        survives[shift : shift + len(squares)] |= wide
    return survives

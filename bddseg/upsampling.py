"""Upsampling of a network's scores to classes at image size, tile by tile, in bounded memory."""

import numpy as np

TILE_PX = 1024
"""Side of the tiles in which scores are upsampled: 5 classes take 21 MB a tile."""

Neighbours = tuple[np.ndarray, np.ndarray, np.ndarray]


def enlarge_classes(scores: np.ndarray, width_px: int, height_px: int) -> np.ndarray:
    """Return the class of each pixel of an image: scores are interpolated first, then compared.

    Class boundaries become smooth; nearest-neighbour upsampling would show the network's pixels as blocks.

    Shape:
        scores: (C, h, w), float32.  returns: (height_px, width_px), uint8.

    Source: torch.nn.functional.interpolate, bilinear with align_corners=False.
    """
    classes = np.empty((height_px, width_px), dtype=np.uint8)
    rows, columns = _neighbours(height_px, scores.shape[1]), _neighbours(width_px, scores.shape[2])
    for first_column in range(0, width_px, TILE_PX):
        across = slice(first_column, first_column + TILE_PX)
        wide = _between(scores, columns, across)  # (C, h, tile)
        for first_row in range(0, height_px, TILE_PX):
            down = slice(first_row, first_row + TILE_PX)
            tile = _between(wide.swapaxes(1, 2), rows, down)  # (C, tile, tile), transposed
            classes[down, across] = tile.argmax(0).T
    return classes


def _neighbours(pixels: int, cells: int) -> Neighbours:
    """Return the two cells around each pixel's centre, and the weight of the second, from 0 to 1."""
    centres = ((np.arange(pixels) + 0.5) * (cells / pixels) - 0.5).clip(0, cells - 1)
    low = centres.astype(np.intp)
    return low, np.minimum(low + 1, cells - 1), (centres - low).astype(np.float32)


def _between(scores: np.ndarray, neighbours: Neighbours, part: slice) -> np.ndarray:
    """Return the scores interpolated for some of the pixels along the last axis."""
    low, high, share = (values[part] for values in neighbours)
    below = scores[..., low]
    return below + (scores[..., high] - below) * share

"""Pictures whose values have a meaning <-> PNG: so masks stay exact, and one file is one picture to look at.

A sheet has square tiles side by side. Values below 8 are classes and verdicts, the same in every sheet; above, colours
of a photograph. A sheet of maps has colours from the lowest to the highest value instead.
"""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from bddseg.labels import CLASSES, IGNORE, PALETTE

IGNORED, RIGHT, WRONG = len(CLASSES), len(CLASSES) + 1, len(CLASSES) + 2
COLOURS = (*PALETTE, (24, 24, 28), (226, 232, 238), (190, 20, 90))
"""RGB of the values below 8: the classes, ignored, right and wrong."""

FIRST_FREE = len(COLOURS)
LEVELS = 64
"""Colours of a map: more cannot be told apart, and make files larger."""

COMPRESSION = 6
"""Of a PNG: 9 takes seven times as long for 4 % less."""

LARGEST_PX = 256
"""Side of a tile at most: larger frames are shown reduced."""

MOST_BYTES = 1 << 20
"""Of a file that is read."""

UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for what is no picture."""


@dataclass(frozen=True)
class TileStrip:
    """A decoded file."""

    values: np.ndarray
    palette: bytes

    def tile(self, place: int) -> np.ndarray:
        """Return the values of one tile.

        Shape:
            returns: (side, side), uint8.
        """
        side = self.values.shape[0]
        return self.values[:, place * side : (place + 1) * side]

    def picture(self, place: int) -> bytes:
        """Return one tile as a PNG of its own."""
        return encode(self.tile(place), self.palette)


def draw_panel(image: np.ndarray, truth: np.ndarray, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> TileStrip:
    """Return the sheet of an image: each pair is what a trial predicts, and where that is right (0) or wrong (1).

    Shape:
        image: (H, W, 3), uint8.  truth and both of each pair: (H, W).
    """
    side = min(len(truth), LARGEST_PX)
    photograph = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
    reduced = photograph.quantize(256 - FIRST_FREE, method=Image.Quantize.MEDIANCUT)
    tiles = [np.asarray(reduced) + FIRST_FREE, _values(truth)]
    for predicted, verdict in pairs:
        tiles += [_values(predicted), np.where(truth == IGNORE, IGNORED, RIGHT + verdict)]
    smaller = [tile if len(tile) == side else _thinned(tile, side) for tile in tiles]
    return TileStrip(np.hstack(smaller).astype(np.uint8), _fixed_colours() + bytes(reduced.getpalette() or []))


def draw_maps(maps: np.ndarray, ranges: Sequence[tuple[float, float]]) -> TileStrip:
    """Return the sheet of the gates' maps, each coloured from its lowest to its highest value.

    Shape:
        maps: (gates, H, W).
    """
    lows, highs = (np.array(side)[:, None, None] for side in zip(*ranges, strict=True))
    shares = (maps - lows) / np.maximum(highs - lows, 1e-9)
    side = min(maps.shape[1], LARGEST_PX)
    values = np.round(np.round(np.clip(shares, 0, 1) * (LEVELS - 1)) * 255 / (LEVELS - 1)).astype(np.uint8)
    return TileStrip(np.hstack([_thinned(tile, side) for tile in values]), map_colours())


def map_colours() -> bytes:
    """Return the 256 colours of attention maps: viridis, readable for the colour-blind and in grey.

    Shape:
        returns: 768 bytes, RGB.
    """
    from matplotlib import colormaps  # a sweep that draws nothing need not wait for it

    return bytes(colormaps["viridis"](np.arange(256), bytes=True)[:, :3].tobytes())


def _fixed_colours() -> bytes:
    return bytes(value for colour in COLOURS for value in colour)


def _values(classes: np.ndarray) -> np.ndarray:
    return np.where(classes == IGNORE, IGNORED, classes)


def _thinned(tile: np.ndarray, side: int) -> np.ndarray:
    """Return every so-manieth pixel: values are names, between which there is nothing."""
    places = (np.arange(side) + 0.5) * len(tile) / side
    return tile[np.ix_(places.astype(int), places.astype(int))]


def encode(values: np.ndarray, palette: bytes) -> bytes:
    """Return a PNG of values with a palette no longer than it has to be."""
    image = Image.fromarray(np.ascontiguousarray(values))
    image.putpalette(palette[: 3 * (int(values.max()) + 1)])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=COMPRESSION)
    return buffer.getvalue()


def decode(content: bytes, side: int, tiles: int) -> TileStrip | None:
    """Return the sheet of a PNG of our own making; None for anything else, told before its pixels are unpacked."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if len(content) > MOST_BYTES or image.mode != "P" or image.size != (tiles * side, side):
                return None
            return TileStrip(np.asarray(image), bytes(image.getpalette() or []).ljust(768, b"\0"))
    except UNREADABLE:
        return None

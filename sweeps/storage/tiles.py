"""Pictures of class labels and colours <-> PNG with a palette, which keeps the labels exact.

A sheet has square tiles side by side. Its first values are the classes, then three verdicts, the same in every sheet of
a sweep; above, colours of a photograph. A sheet of maps has colours from the lowest to the highest value instead.
"""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from bddseg.task import IGNORE, Colour

NOT_JUDGED, RIGHT, WRONG = range(3)
"""Values of a tile above those of the classes, in this order: ignored, right and wrong."""

VERDICTS: tuple[Colour, ...] = ((24, 24, 28), (226, 232, 238), (190, 20, 90))
"""Their colours."""

LEVELS = 64
"""Colours of a map: more cannot be distinguished, and make files larger."""

COMPRESSION = 6
"""Of a PNG: 9 takes seven times as long for files that are 4 % smaller."""

LARGEST_PX = 256
"""Side of a tile at most: larger frames are shown reduced."""

MOST_BYTES = 1 << 20
"""Most bytes of a file that is read."""

UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for a file that is no picture."""


@dataclass(frozen=True)
class TileStrip:
    """The tiles of a decoded file, side by side."""

    values: np.ndarray
    palette: bytes

    def tile(self, position: int) -> np.ndarray:
        """Return the values of one tile.

        Shape:
            returns: (side, side), uint8.
        """
        side = self.values.shape[0]
        return self.values[:, position * side : (position + 1) * side]

    def picture(self, position: int) -> bytes:
        """Return one tile as a PNG of its own."""
        return encode(self.tile(position), self.palette)


def meaningful_colours(palette: Sequence[Colour]) -> tuple[Colour, ...]:
    """Return the colour of every value with a meaning: the classes, then ignored, right and wrong."""
    return (*palette, *VERDICTS)


def draw_panel(
    image: np.ndarray,
    truth: np.ndarray,
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    palette: Sequence[Colour],
) -> TileStrip:
    """Return the tiles of an image: each pair is a trial's prediction, and where it is right (0) or wrong (1).

    `palette` has the colour of each class.

    Shape:
        image: (H, W, 3), uint8.  truth and both of each pair: (H, W).
    """
    side, colours, classes = min(len(truth), LARGEST_PX), meaningful_colours(palette), len(palette)
    photograph = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
    reduced = photograph.quantize(256 - len(colours), method=Image.Quantize.MEDIANCUT)
    tiles = [np.asarray(reduced) + len(colours), _values(truth, classes)]
    for predicted, verdict in pairs:
        judged = np.where(truth == IGNORE, NOT_JUDGED, RIGHT + verdict)
        tiles += [_values(predicted, classes), classes + judged]
    smaller = [tile if len(tile) == side else _subsampled(tile, side) for tile in tiles]
    return TileStrip(
        np.hstack(smaller).astype(np.uint8),
        bytes(value for colour in colours for value in colour) + bytes(reduced.getpalette() or []),
    )


def draw_maps(maps: np.ndarray, ranges: Sequence[tuple[float, float]]) -> TileStrip:
    """Return the tiles of the gates' maps, each coloured from its lowest to its highest value.

    Shape:
        maps: (gates, H, W).
    """
    lows, highs = (np.array(side)[:, None, None] for side in zip(*ranges, strict=True))
    shares = (maps - lows) / np.maximum(highs - lows, 1e-9)
    side = min(maps.shape[1], LARGEST_PX)
    values = np.round(np.round(np.clip(shares, 0, 1) * (LEVELS - 1)) * 255 / (LEVELS - 1)).astype(np.uint8)
    return TileStrip(np.hstack([_subsampled(tile, side) for tile in values]), map_colours())


def map_colours() -> bytes:
    """Return the 256 colours of attention maps: viridis, readable for the colour-blind and in grey.

    Shape:
        returns: 768 bytes, RGB.
    """
    from matplotlib import colormaps  # slow to import, and most sweeps draw nothing

    return bytes(colormaps["viridis"](np.arange(256), bytes=True)[:, :3].tobytes())


def _values(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.where(labels == IGNORE, classes + NOT_JUDGED, labels)


def _subsampled(tile: np.ndarray, side: int) -> np.ndarray:
    """Subsample without interpolation: values are class labels."""
    pixels = ((np.arange(side) + 0.5) * len(tile) / side).astype(int)
    return tile[np.ix_(pixels, pixels)]


def encode(values: np.ndarray, palette: bytes) -> bytes:
    """Return a PNG of values, with a palette as short as possible."""
    image = Image.fromarray(np.ascontiguousarray(values))
    image.putpalette(palette[: 3 * (int(values.max()) + 1)])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=COMPRESSION)
    return buffer.getvalue()


def decode(content: bytes, side: int, tiles: int) -> TileStrip | None:
    """Return the tiles of a PNG that `encode` made; None for any other file, without decoding its pixels."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if len(content) > MOST_BYTES or image.mode != "P" or image.size != (tiles * side, side):
                return None
            return TileStrip(np.asarray(image), bytes(image.getpalette() or []).ljust(768, b"\0"))
    except UNREADABLE:
        return None

"""A sweep's pictures <-> files: panels of images with what trials predict on them, and maps of attention.

A sheet is one PNG of square tiles side by side whose values have a meaning: below 8 they are classes and verdicts, the
same in every sheet; above, colours of the photograph. So masks stay exact and one file is one picture to look at.
A panel's tiles are image, truth, then prediction and agreement of each trial; a map's tiles are its gates.
"""

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bddseg.labels import CLASSES, IGNORE, PALETTE
from sweeps.facts import clean

FORMAT = 1
FOLDER, INDEX = "panels", "panels.json"
"""Where the files lie among the artifacts of a sweep, and the one that says what they are."""

KINDS = ("fixed", "ahead", "behind", "worst")
"""Why an image is shown: always; leader far ahead of, or behind another trial; worst of the leader."""

ROLES = ("leader", "runner-up", "reference", "best attention net")
IGNORED, RIGHT, WRONG = len(CLASSES), len(CLASSES) + 1, len(CLASSES) + 2
COLOURS = (*PALETTE, (24, 24, 28), (226, 232, 238), (190, 20, 90))
"""RGB of the values below 8: the classes, ignored, right and wrong."""

FIRST_FREE = len(COLOURS)
LEVELS = 64
"""Colours of a map: more cannot be told apart, and make files larger."""

LARGEST_PX = 256
"""Side of a tile at most: larger frames are shown reduced."""

MOST_ENTRIES, MOST_TILES, MOST_BYTES, LONGEST_WORD = 100, 12, 1 << 20, 500
FILE = re.compile(r"(panel|attention)-\d{3}\.png")
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises for what is no picture."""

Files = Callable[[Sequence[str]], Mapping[str, bytes]]


@dataclass(frozen=True)
class Shown:
    """A trial whose predictions are shown."""

    trial_id: str
    role: str


@dataclass(frozen=True)
class Panel:
    """One image, and why it is shown; several may share a file."""

    kind: str
    against: str
    """The trial that the leader is compared with; empty where there is none."""
    name: str
    scene: str
    mious: tuple[float | None, ...]
    """Of this image alone, for each trial shown."""
    file: str


@dataclass(frozen=True)
class Attention:
    """What the gates of a trial let through on one image."""

    trial_id: str
    role: str
    name: str
    scene: str
    ranges: tuple[tuple[float, float], ...]
    """Lowest and highest coefficient that the colours of each gate stand for, the deepest gate first."""
    file: str


@dataclass(frozen=True)
class Sheet:
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


@dataclass(frozen=True)
class Album:
    """All pictures of a sweep."""

    part: str
    """What the images are: `validation`, or the fold of a confirmation that they are from."""
    size_px: int
    trials: tuple[Shown, ...]
    panels: tuple[Panel, ...]
    attention: tuple[Attention, ...]
    sheets: Mapping[str, Sheet]


def draw_panel(image: np.ndarray, truth: np.ndarray, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Sheet:
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
    return Sheet(np.hstack(smaller).astype(np.uint8), _fixed_colours() + bytes(reduced.getpalette() or []))


def draw_maps(maps: np.ndarray, ranges: Sequence[tuple[float, float]]) -> Sheet:
    """Return the sheet of the gates' maps, each coloured from its lowest to its highest value.

    Shape:
        maps: (gates, H, W).
    """
    lows, highs = (np.array(side)[:, None, None] for side in zip(*ranges, strict=True))
    shares = (maps - lows) / np.maximum(highs - lows, 1e-9)
    side = min(maps.shape[1], LARGEST_PX)
    values = np.round(np.round(np.clip(shares, 0, 1) * (LEVELS - 1)) * 255 / (LEVELS - 1)).astype(np.uint8)
    return Sheet(np.hstack([_thinned(tile, side) for tile in values]), map_colours())


def save_album(folder: Path, album: Album) -> list[Path]:
    """Write the pictures and what they are; return the files, the index last."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, sheet in album.sheets.items():
        (folder / name).write_bytes(encode(sheet.values, sheet.palette))
    plain = {
        "version": FORMAT,
        "part": album.part,
        "size_px": album.size_px,
        "trials": [asdict(trial) for trial in album.trials],
        "panels": [_panel_words(album, panel) for panel in album.panels],
        "attention": [asdict(found) for found in album.attention],
    }
    (folder / INDEX).write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n")
    return [*(folder / name for name in album.sheets), folder / INDEX]


def read_album(index: Mapping[str, Any] | None, files: Files) -> Album | None:
    """Return the album that an index, which anybody may have written, speaks of; None when there is nothing to show.

    `files` gives the bytes of files by name, as far as they are there. An entry that is not in the known form, or
    whose file is no such picture, is left out.
    """
    if not isinstance(index, Mapping) or index.get("version") != FORMAT:
        return None
    trials = tuple(Shown(*found) for entry in _entries(index, "trials") if (found := _words(entry, "trial_id", "role")))
    size = index.get("size_px")
    if type(size) is not int or not 0 < size <= LARGEST_PX or not 0 < len(trials) <= MOST_TILES:
        return None
    panels = [panel for entry in _entries(index, "panels") if (panel := _panel(entry, trials))]
    maps = [attention for entry in _entries(index, "attention") if (attention := _attention(entry))]
    tiles = {panel.file: 2 + 2 * len(trials) for panel in panels} | {found.file: len(found.ranges) for found in maps}
    content = files(list(tiles)) if tiles else {}
    decoded = {name: _decode(content[name], size, tiles[name]) for name in tiles if name in content}
    sheets = {name: sheet for name, sheet in decoded.items() if sheet is not None}
    return Album(
        part=clean(index.get("part", ""))[:LONGEST_WORD],
        size_px=size,
        trials=trials,
        panels=tuple(panel for panel in panels if panel.file in sheets),
        attention=tuple(found for found in maps if found.file in sheets),
        sheets=sheets,
    )


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
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _decode(content: bytes, side: int, tiles: int) -> Sheet | None:
    """Return the sheet of a PNG of our own making; None for anything else, told before its pixels are unpacked."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if len(content) > MOST_BYTES or image.mode != "P" or image.size != (tiles * side, side):
                return None
            return Sheet(np.asarray(image), bytes(image.getpalette() or []).ljust(768, b"\0"))
    except UNREADABLE:
        return None


def _panel_words(album: Album, panel: Panel) -> dict[str, Any]:
    ids = [trial.trial_id for trial in album.trials]
    words = asdict(panel)
    return {**words, "mious": dict(zip(ids, words["mious"], strict=True))}


def _entries(index: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = index.get(key)
    return [entry for entry in found if isinstance(entry, Mapping)][:MOST_ENTRIES] if isinstance(found, list) else []


def _words(entry: Mapping[str, Any], *keys: str) -> tuple[str, ...] | None:
    found = [entry.get(key) for key in keys]
    words = tuple(clean(word) for word in found if isinstance(word, str) and len(word) <= LONGEST_WORD)
    return words if len(words) == len(keys) else None


def _panel(entry: Mapping[str, Any], trials: Sequence[Shown]) -> Panel | None:
    words, mious = _words(entry, "kind", "against", "name", "scene", "file"), entry.get("mious")
    if words is None or not isinstance(mious, Mapping) or words[0] not in KINDS or not FILE.fullmatch(words[-1]):
        return None
    kind, against, name, scene, file = words
    return Panel(kind, against, name, scene, tuple(_share(mious.get(trial.trial_id)) for trial in trials), file)


def _attention(entry: Mapping[str, Any]) -> Attention | None:
    words, ranges = _words(entry, "trial_id", "role", "name", "scene", "file"), entry.get("ranges")
    if words is None or not isinstance(ranges, list) or not FILE.fullmatch(words[-1]):
        return None
    pairs = [tuple(map(_share, pair)) for pair in ranges if isinstance(pair, list) and len(pair) == 2]
    if not 0 < len(pairs) == len(ranges) <= MOST_TILES or any(None in pair for pair in pairs):
        return None
    trial_id, role, name, scene, file = words
    return Attention(trial_id, role, name, scene, tuple(pairs), file)  # type: ignore[arg-type]


def _share(value: Any) -> float | None:
    """Return a number from 0 to 1, None for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= 1 else None

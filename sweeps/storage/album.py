"""A sweep's pictures <-> files: panels of images with what trials predict on them, and maps of attention.

Each file is a sheet (`sweeps.storage.tiles`). A panel's tiles are image, truth, then prediction and agreement of each
trial; a map's tiles are its gates.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bddseg.files import write_json
from sweeps.sanitize import clean
from sweeps.storage.tiles import LARGEST_PX, TileStrip, decode, encode

FORMAT = 1
FOLDER, INDEX = "panels", "panels.json"
"""Where the files lie among the artifacts of a sweep, and the one that says what they are."""

KINDS = ("fixed", "ahead", "behind", "worst")
"""Why an image is shown: always; leader far ahead of, or behind another trial; worst of the leader."""

MOST_ENTRIES, MOST_TILES, LONGEST_WORD = 100, 12, 500
FILE = re.compile(r"(panel|attention)-\d{3}\.png")
Files = Callable[[Sequence[str]], Mapping[str, bytes]]


@dataclass(frozen=True)
class PanelTrial:
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
class PredictionPanels:
    """All pictures of a sweep."""

    part: str
    """What the images are: `validation`, or the fold of a confirmation that they are from."""
    size_px: int
    trials: tuple[PanelTrial, ...]
    panels: tuple[Panel, ...]
    attention: tuple[Attention, ...]
    sheets: Mapping[str, TileStrip]


def save_album(folder: Path, album: PredictionPanels) -> list[Path]:
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
    write_json(folder / INDEX, plain, indent=1)
    return [*(folder / name for name in album.sheets), folder / INDEX]


def read_album(index: Mapping[str, Any] | None, files: Files) -> PredictionPanels | None:
    """Return the album that an index, which anybody may have written, speaks of; None when there is nothing to show.

    `files` gives the bytes of files by name, as far as they are there. An entry that is not in the known form, or
    whose file is no such picture, is left out.
    """
    if not isinstance(index, Mapping) or index.get("version") != FORMAT:
        return None
    trials = tuple(
        PanelTrial(*found) for entry in _entries(index, "trials") if (found := _words(entry, "trial_id", "role"))
    )
    size = index.get("size_px")
    if type(size) is not int or not 0 < size <= LARGEST_PX or not 0 < len(trials) <= MOST_TILES:
        return None
    panels = [panel for entry in _entries(index, "panels") if (panel := _panel(entry, trials))]
    maps = [attention for entry in _entries(index, "attention") if (attention := _attention(entry))]
    tiles = {panel.file: 2 + 2 * len(trials) for panel in panels} | {found.file: len(found.ranges) for found in maps}
    content = files(list(tiles)) if tiles else {}
    decoded = {name: decode(content[name], size, tiles[name]) for name in tiles if name in content}
    sheets = {name: sheet for name, sheet in decoded.items() if sheet is not None}
    return PredictionPanels(
        part=clean(index.get("part", ""))[:LONGEST_WORD],
        size_px=size,
        trials=trials,
        panels=tuple(panel for panel in panels if panel.file in sheets),
        attention=tuple(found for found in maps if found.file in sheets),
        sheets=sheets,
    )


def _panel_words(album: PredictionPanels, panel: Panel) -> dict[str, Any]:
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


def _panel(entry: Mapping[str, Any], trials: Sequence[PanelTrial]) -> Panel | None:
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

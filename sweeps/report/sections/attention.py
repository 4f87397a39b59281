"""Report -> maps of attention: what the gates of a network let through, on the images that every sweep shows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sweeps.report.gather import Report
from sweeps.report.section import Section
from sweeps.report.sections.predictions import PictureRow, Tile, name_trial, photograph, picture_source
from sweeps.storage.album import Attention, PredictionPanels
from sweeps.storage.tiles import encode, map_colours


@dataclass(frozen=True)
class AttentionGate:
    """One gate of a network, and what its colours stand for."""

    label: str
    low: float
    high: float


@dataclass(frozen=True)
class Gated:
    """A trial with gates on every image."""

    role: str
    name: str
    gates: tuple[AttentionGate, ...]
    rows: tuple[PictureRow, ...]


@dataclass(frozen=True)
class Maps:
    """What the section's template shows."""

    bar: str
    """Picture of the colours, from the lowest to the highest value."""
    trials: tuple[Gated, ...]


def build_section(report: Report) -> Section | None:
    """Return the maps of the sweep's album; None where no network shown has gates."""
    album = report.album
    if album is None or not album.attention:
        return None
    bar = picture_source(encode(np.arange(256, dtype=np.uint8)[None], map_colours()))
    return Section("attention", "Attention", _say(album), data=Maps(bar, tuple(_trials(album, report))))


def _say(album: PredictionPanels) -> str:
    gates = max(len(found.ranges) for found in album.attention)
    who = " and the ".join(dict.fromkeys(found.role for found in album.attention))
    return (
        f"How much of each skip connection the {gates} gates of the {who} let through, the deepest gate first; each "
        "gate has a colour scale of its own."
    )


def _trials(album: PredictionPanels, report: Report) -> Iterator[Gated]:
    found: dict[str, list[Attention]] = {}
    for it in album.attention:
        found.setdefault(it.trial_id, []).append(it)
    for trial_id, maps in found.items():
        ranges = maps[0].ranges
        gates = tuple(AttentionGate(_label(place, len(ranges)), *ends) for place, ends in enumerate(ranges))
        rows = tuple(_row(album, it, gates) for it in maps if it.ranges == ranges)
        yield Gated(maps[0].role, name_trial(report, trial_id), gates, rows)


def _label(place: int, gates: int) -> str:
    """Return at what size a gate works: the decoder comes from below, doubling it each time."""
    depth = gates - 1 - place
    return f"1/{2**depth} size" if depth else "full size"


def _row(album: PredictionPanels, it: Attention, gates: tuple[AttentionGate, ...]) -> PictureRow:
    sheet = album.sheets[it.file]
    panel = next((panel for panel in album.panels if panel.name == it.name), None)
    tiles = [photograph(album.sheets[panel.file], it.name)] if panel else []
    for place, gate in enumerate(gates):
        mean = gate.low + (gate.high - gate.low) * float(sheet.tile(place).mean()) / 255
        words = f"Map of the gate at {gate.label} on {it.name}: {mean:.2f} on average"
        tiles.append(
            Tile(picture_source(sheet.picture(place)), f"{gate.label}, mean {mean:.2f}", words, is_exact=False)
        )
    return PictureRow(it.name, it.scene or "no scene known", tuple(tiles), ())

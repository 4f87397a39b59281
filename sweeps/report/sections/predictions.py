"""Report predictions of a few trials on the same images, and the maps of their attention gates."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bddseg.task import Task
from bddseg.words import count
from sweeps.formatting import write_iou, write_share
from sweeps.report.gather import Report
from sweeps.report.section import Section
from sweeps.statistics.sides import attribute_word, sides_of
from sweeps.storage.album import KINDS, Attention, Panel, PredictionPanels
from sweeps.storage.tiles import NOT_JUDGED, RIGHT, WRONG, TileStrip, encode, map_colours, meaningful_colours

VERDICT_NAMES = ("not judged", "right", "wrong")
"""The meaning of the values above the classes in a tile strip."""


@dataclass(frozen=True)
class Tile:
    """One small picture with its label and text alternative."""

    source: str
    """A `data:` address."""
    label: str
    alt_text: str
    is_exact: bool
    """Its pixels are classes: enlarged, they must not be blurred."""


@dataclass(frozen=True)
class PictureRow:
    """One image with all its tiles."""

    name: str
    scene: str
    tiles: tuple[Tile, ...]
    mious: tuple[float | None, ...]

    @property
    def columns(self) -> int:
        """Return the number of columns of tiles on a narrow page, with pairs side by side."""
        return len(self.tiles) if len(self.tiles) <= 5 else 4


@dataclass(frozen=True)
class Group:
    """The images that were chosen for the same reason."""

    kind: str
    title: str
    rows: tuple[PictureRow, ...]


@dataclass(frozen=True)
class Gallery:
    """The data of the section's template."""

    trials: tuple[tuple[str, str], ...]
    """Role and name."""
    legend: tuple[tuple[str, str], ...]
    """Word and CSS colour."""
    groups: tuple[Group, ...]
    scene: str
    """The attribute that is shown with each image; empty without groups."""


@dataclass(frozen=True)
class AttentionGate:
    """One gate of a network, and the range of its colour scale."""

    label: str
    low: float
    high: float


@dataclass(frozen=True)
class Gated:
    """The attention maps of one trial."""

    role: str
    name: str
    gates: tuple[AttentionGate, ...]
    rows: tuple[PictureRow, ...]


@dataclass(frozen=True)
class Maps:
    """The data of the section's template."""

    bar: str
    """Picture of the colours, from the lowest to the highest value."""
    trials: tuple[Gated, ...]


def build_predictions(report: Report) -> Section | None:
    """Return the panels of the sweep's album; None where the sweep has none."""
    album = report.album
    if album is None or not album.panels:
        return None
    task = report.task
    names, colours = (*task.classes, *VERDICT_NAMES), meaningful_colours(task.palette)
    legend = tuple((word, f"rgb{colour}") for word, colour in zip(names, colours, strict=True))
    trials = tuple((trial.role, name_trial(report, trial.trial_id)) for trial in album.trials)
    return Section(
        "predictions",
        "Predictions",
        _say(album),
        data=Gallery(trials, legend, tuple(_groups(album, task)), attribute_word(task.attribute)),
    )


def name_trial(report: Report, trial_id: str) -> str:
    """Return a trial's name, or its id where the report has no such trial."""
    entry = report.find(trial_id)
    return entry.name if entry else trial_id


def picture_source(content: bytes, kind: str = "png") -> str:
    """Return a picture as a data URI; `kind` is its format as MIME has it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def photograph(sheet: TileStrip, name: str) -> Tile:
    """Return the image itself, the first tile of a panel."""
    return Tile(picture_source(sheet.picture(0)), "image", f"Photograph {name}", is_exact=False)


def _say(album: PredictionPanels) -> str:
    *first_roles, last = [trial.role for trial in album.trials]
    subject = f"the {', '.join(first_roles)} and {last}" if first_roles else f"the {last}"
    images = len({panel.file for panel in album.panels})
    is_usual = album.part == "validation"
    shown = count(images, "validation image") if is_usual else f"{count(images, 'image')} of {album.part}"
    fixed = sum(panel.kind == "fixed" for panel in album.panels)
    always = "the same in every sweep on these data" if is_usual else "chosen by their names"
    return f"Predictions of {subject} on {shown}; the first {fixed} are {always}."


def _groups(album: PredictionPanels, task: Task) -> Iterator[Group]:
    panels_by_kind: dict[tuple[str, str], list[Panel]] = {}
    for panel in sorted(album.panels, key=lambda panel: KINDS.index(panel.kind)):
        panels_by_kind.setdefault((panel.kind, panel.against), []).append(panel)
    roles = {trial.trial_id: trial.role for trial in album.trials}
    for (kind, against), panels in panels_by_kind.items():
        rows = tuple(_row(album, panel, task) for panel in panels)
        yield Group(kind, _title(kind, len(rows), roles.get(against, "other trial"), album, task), rows)


def _title(kind: str, images: int, other: str, album: PredictionPanels, task: Task) -> str:
    first, sides = album.trials[0].role, sides_of(task)
    order = f", {sides[0].on_first} first" if sides else ""
    titles: Mapping[str, str] = {
        "fixed": f"{count(images, 'fixed image')}{order}",
        "ahead": f"{count(images, 'image')} on which the {first} is furthest ahead of the {other}",
        "behind": f"{count(images, 'image')} on which the {first} is furthest behind the {other}",
        "worst": f"{count(images, 'image')} on which the {first} is worst",
    }
    return titles[kind]


def _row(album: PredictionPanels, panel: Panel, task: Task) -> PictureRow:
    sheet = album.sheets[panel.file]
    tiles = [photograph(sheet, panel.name), _painted(sheet, 1, "truth", "Truth", task)]
    for number, (trial, miou) in enumerate(zip(album.trials, panel.mious, strict=True)):
        label = f"{trial.role} {write_iou(miou)}"
        title = f"Prediction of the {trial.role}, mIoU {write_iou(miou)}"
        tiles.append(_painted(sheet, 2 + 2 * number, label, title, task))
        tiles.append(_judged(sheet, 3 + 2 * number, trial.role, task))
    return PictureRow(panel.name, panel.scene or unknown_scene(task), tuple(tiles), panel.mious)


def unknown_scene(task: Task) -> str:
    """Return the words for an image whose scene is not known; nothing without groups."""
    return f"no {attribute_word(task.attribute)} known" if task.attribute else ""


def _painted(sheet: TileStrip, number: int, label: str, title: str, task: Task) -> Tile:
    shares, names = _shares(sheet.tile(number), len(task.classes)), (*task.classes, *VERDICT_NAMES)
    parts = [f"{names[value]} {write_share(shares[value])}" for value in np.argsort(-shares) if shares[value] > 0]
    return Tile(picture_source(sheet.picture(number)), label, f"{title}: {', '.join(parts)}", is_exact=True)


def _judged(sheet: TileStrip, number: int, role: str, task: Task) -> Tile:
    shares = _shares(sheet.tile(number), len(task.classes))[len(task.classes) :]
    judged = shares[RIGHT] + shares[WRONG]
    right = f"{write_share(shares[RIGHT] / judged)} of the pixels judged" if judged else "nothing is judged"
    return Tile(
        picture_source(sheet.picture(number)), "agreement", f"Where the {role} is right: {right}", is_exact=True
    )


def _shares(values: np.ndarray, classes: int) -> np.ndarray:
    """Return the share of pixels of each meaningful value: the classes and the three verdicts.

    Shape:
        returns: (classes + 3,), float64.
    """
    meanings = classes + len(VERDICT_NAMES)
    meant = np.where(values < meanings, values, classes + NOT_JUDGED)
    shares: np.ndarray = np.bincount(meant.ravel(), minlength=meanings) / values.size
    return shares


def build_attention(report: Report) -> Section | None:
    """Return the maps of the sweep's album; None where no network shown has gates."""
    album = report.album
    if album is None or not album.attention:
        return None
    bar = picture_source(encode(np.arange(256, dtype=np.uint8)[None], map_colours()))
    return Section("attention", "Attention", _say_gates(album), data=Maps(bar, tuple(_gated_trials(album, report))))


def _say_gates(album: PredictionPanels) -> str:
    gates = max(len(maps.ranges) for maps in album.attention)
    roles = " and the ".join(dict.fromkeys(maps.role for maps in album.attention))
    return (
        f"How much of each skip connection the {gates} gates of the {roles} let through, the deepest gate first; each "
        "gate has a colour scale of its own."
    )


def _gated_trials(album: PredictionPanels, report: Report) -> Iterator[Gated]:
    maps_by_trial: dict[str, list[Attention]] = {}
    for attention in album.attention:
        maps_by_trial.setdefault(attention.trial_id, []).append(attention)
    for trial_id, maps in maps_by_trial.items():
        ranges = maps[0].ranges
        gates = tuple(AttentionGate(_gate_label(number, len(ranges)), *ends) for number, ends in enumerate(ranges))
        rows = tuple(
            _gate_row(album, attention, gates, report.task) for attention in maps if attention.ranges == ranges
        )
        yield Gated(maps[0].role, name_trial(report, trial_id), gates, rows)


def _gate_label(number: int, gates: int) -> str:
    """Return the resolution of a gate: the decoder doubles it at each level."""
    depth = gates - 1 - number
    return f"1/{2**depth} size" if depth else "full size"


def _gate_row(
    album: PredictionPanels, attention: Attention, gates: tuple[AttentionGate, ...], task: Task
) -> PictureRow:
    sheet = album.sheets[attention.file]
    panel = next((panel for panel in album.panels if panel.name == attention.name), None)
    tiles = [photograph(album.sheets[panel.file], attention.name)] if panel else []
    for number, gate in enumerate(gates):
        mean = gate.low + (gate.high - gate.low) * float(sheet.tile(number).mean()) / 255
        alt_text = f"Map of the gate at {gate.label} on {attention.name}: {mean:.2f} on average"
        tiles.append(
            Tile(picture_source(sheet.picture(number)), f"{gate.label}, mean {mean:.2f}", alt_text, is_exact=False)
        )
    return PictureRow(attention.name, attention.scene or unknown_scene(task), tuple(tiles), ())

"""Report IoU by class and by scene."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from bddseg.labels import CLASSES, GROUPS, group_of
from sweeps.formatting import GROUP_NAMES, write_iou, write_points
from sweeps.report.gather import Entry, Report
from sweeps.report.section import Drawing, Section
from sweeps.report.theme import COLOUR, HALF_PX, NARROW_PX, build_canvas, quiet_axes
from sweeps.statistics.scores import Column, score_images


@dataclass(frozen=True)
class ClassTable:
    """IoU of one trial by class and scene."""

    entry: Entry
    columns: tuple[Column, ...]
    """All images, the two groups, then each scene by its number of images."""


def build_section(report: Report) -> Section:
    """Return the figures of the trials shown, by class and by scene."""
    tables = tuple(ClassTable(entry, tuple(_columns(report, entry))) for entry in report.shown())
    drawings = {}
    if any(value is not None for table in tables for value in table.entry.scores.iou.values()):
        drawings["classes"] = Drawing(partial(draw_classes, report), "Bars: validation IoU of each class")
    rows = _rows(tables)
    if rows:
        alt_text = "Bars: validation mIoU of city and non-city images and of each scene"
        drawings["scenes"] = Drawing(partial(draw_bars, report, rows), alt_text)
    return Section("classes", "Classes and scenes", f"{_say_classes(report)} {_say_groups(report)}", drawings, tables)


def _columns(report: Report, entry: Entry) -> list[Column]:
    evidence = report.evidence.get(entry.trial_id)
    if evidence is None:
        return _logged_columns(entry)
    scenes = np.asarray(evidence.scenes)
    groups = np.asarray([group_of(scene) for scene in evidence.scenes])
    names, numbers = np.unique(scenes, return_counts=True)
    ordered = [str(name) for _, name in sorted(zip(-numbers, names, strict=True))]
    return [
        score_images(evidence, None, "all"),
        *(score_images(evidence, groups == group, GROUP_NAMES[group]) for group in GROUPS),
        *(score_images(evidence, scenes == name, name or "unnamed") for name in ordered if name != "city street"),
    ]


def _logged_columns(entry: Entry) -> list[Column]:
    """Return the figures that the trial recorded itself: no scenes, and only the mean of each group."""
    groups = [(GROUP_NAMES[group], entry.scores.groups.get(group)) for group in GROUPS]
    return [
        Column("all", None, entry.scores.miou, entry.scores.iou),
        *(Column(title, None, value, dict.fromkeys(CLASSES)) for title, value in groups),
    ]


def _rows(tables: tuple[ClassTable, ...]) -> list[tuple[str, list[float | None]]]:
    """Return a row of bars for each group and scene that has a figure."""
    titles = dict.fromkeys(column.title for table in tables for column in table.columns[1:])
    mious = [{column.title: column.miou for column in table.columns} for table in tables]
    rows = [(title, [values.get(title) for values in mious]) for title in titles]
    return [row for row in rows if any(value is not None for value in row[1])]


def _say_classes(report: Report) -> str:
    ranked = sorted((value, name) for name, value in report.leader.scores.iou.items() if value is not None)
    if not ranked:
        return "The leader has no figures per class."
    (low, weakest), (high, best) = ranked[0], ranked[-1]
    return f"The leader is best at {best} ({write_iou(high)}) and weakest at {weakest} ({write_iou(low)})."


def _say_groups(report: Report) -> str:
    scores = report.leader.scores
    if scores.gap is None:
        missing = [GROUP_NAMES[group] for group in GROUPS if scores.groups.get(group) is None]
        why = (
            f"validation has no labelled {missing[0]} image"
            if len(missing) == 1
            else "the leader has no figure of either"
        )
        return f"City and non-city cannot be compared: {why}."
    return (
        f"The leader's mIoU is {write_iou(scores.groups['city'])} on city images and "
        f"{write_iou(scores.groups['non_city'])} on the others, {write_points(scores.gap)} points."
    )


def draw_classes(report: Report, *, wide: bool) -> Figure:
    """Return the validation IoU of each class as bars, for the trials shown."""
    rows = [(name, [entry.scores.iou.get(name) for entry in report.shown()]) for name in CLASSES]
    return draw_bars(report, rows, wide=wide)


def draw_bars(report: Report, rows: Sequence[tuple[str, Sequence[float | None]]], *, wide: bool) -> Figure:
    """Return groups of horizontal bars from 0 to 1, one bar per shown trial, each with its figure."""
    shown = report.shown()
    height = (len(shown) * 19 + 14) * len(rows)
    figure, axes = build_canvas(HALF_PX if wide else NARROW_PX, height + 8, left=88, right=46, top=4, bottom=4)
    thickness = 16 / (len(shown) * 19 + 14)
    for y, (_, values) in enumerate(rows):
        for number, (entry, value) in enumerate(zip(shown, values, strict=True)):
            centre = y + (number - (len(shown) - 1) / 2) * thickness * 19 / 16
            axes.barh(centre, value or 0, height=thickness, color=COLOUR[report.role(entry)])
            axes.text((value or 0) + 0.012, centre, "–" if value is None else f"{value:.3f}", va="center", size=11)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    quiet_axes(axes)
    return figure

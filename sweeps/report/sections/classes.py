"""Report IoU by class and by scene."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from bddseg.task import Task
from sweeps.formatting import group_title, write_iou, write_points
from sweeps.report.gather import Entry, Report
from sweeps.report.section import Drawing, Section
from sweeps.report.theme import COLOUR, HALF_PX, NARROW_PX, build_canvas, label_room, quiet_axes, shorten_middle
from sweeps.statistics.scores import Column, score_images
from sweeps.statistics.sides import attribute_word, capitalise, join_words, sides_of

MOST_SCENES = 20
"""Columns for single values of the attribute that decides the groups, the most frequent ones."""


LONGEST_NAME = 24
"""Characters of a name beside its bars."""


@dataclass(frozen=True)
class ClassTable:
    """IoU of one trial by class and scene."""

    entry: Entry
    columns: tuple[Column, ...]
    """All images, the groups, then each scene by its number of images."""


def build_section(report: Report) -> Section:
    """Return the figures of the trials shown, by class and by scene."""
    tables = tuple(ClassTable(entry, tuple(_columns(report, entry))) for entry in report.shown())
    drawings = {}
    if any(value is not None for table in tables for value in table.entry.scores.iou.values()):
        drawings["classes"] = Drawing(partial(draw_classes, report), "Bars: validation IoU of each class")
    rows = _rows(tables)
    if rows:
        names = join_words(map(group_title, report.task.group_names))
        alt_text = f"Bars: validation mIoU of {names} images and of each {attribute_word(report.task.attribute)}"
        drawings["scenes"] = Drawing(partial(draw_bars, report, rows), alt_text)
    sentence = f"{_say_classes(report)} {_say_groups(report)}".strip()
    return Section("classes", title_classes(report.task), sentence, drawings, tables)


def title_classes(task: Task) -> str:
    """Return the title of figures by class and group."""
    if not task.groups:
        return "Classes"
    return f"Classes and {'scenes' if task.attribute == 'scene' else 'groups'}"


def _columns(report: Report, entry: Entry) -> list[Column]:
    evidence = report.evidence.get(entry.trial_id)
    if evidence is None:
        return _logged_columns(report.task, entry)
    every = score_images(evidence, None, "all")
    if not evidence.task.groups:
        return [every]
    scenes, groups = np.asarray(evidence.scenes), np.asarray(evidence.groups)
    names, numbers = np.unique(scenes, return_counts=True)
    ordered = [str(name) for _, name in sorted(zip(-numbers, names, strict=True))]
    alone = {group.values[0] for group in evidence.task.groups if len(group.values) == 1}
    alone |= {name for name in evidence.task.group_names if (scenes[groups == name] == name).all()}
    listed = [name for name in ordered if name not in alone][:MOST_SCENES]
    return [
        every,
        *(score_images(evidence, groups == name, group_title(name)) for name in evidence.task.group_names),
        *(score_images(evidence, scenes == name, _title(name, evidence.task)) for name in listed),
    ]


def _title(scene: str, task: Task) -> str:
    """Return a scene's name, other than that of a group that has further scenes."""
    is_taken = scene in map(group_title, task.group_names)
    return f"{scene} alone" if is_taken else scene or "unnamed"


def _logged_columns(task: Task, entry: Entry) -> list[Column]:
    """Return the figures that the trial recorded itself: no scenes, and only the mean of each group."""
    groups = [(group_title(name), entry.scores.groups.get(name)) for name in task.group_names]
    return [
        Column("all", None, entry.scores.miou, entry.scores.iou),
        *(Column(title, None, value, dict.fromkeys(task.classes)) for title, value in groups),
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
    scores, task = report.leader.scores, report.task
    if len(task.groups) > 2:
        figures = [f"{write_iou(scores.groups.get(name))} on {group_title(name)}" for name in task.group_names]
        return f"By {attribute_word(task.attribute)}, the leader's mIoU is {join_words(figures)} images."
    if not task.groups:
        return ""
    first, second = task.group_names
    if scores.gap is None:
        missing = [group_title(name) for name in task.group_names if scores.groups.get(name) is None]
        why = (
            f"validation has no labelled {missing[0]} image"
            if len(missing) == 1
            else "the leader has no figure of either"
        )
        return f"{capitalise(group_title(first))} and {group_title(second)} cannot be compared: {why}."
    (sides,) = sides_of(task)
    return (
        f"The leader's mIoU is {write_iou(scores.groups[first])} on {sides.first} images and "
        f"{write_iou(scores.groups[second])} on {sides.the_others}, {write_points(scores.gap)} points."
    )


def draw_classes(report: Report, *, wide: bool) -> Figure:
    """Return the validation IoU of each class as bars, for the trials shown."""
    rows = [(name, [entry.scores.iou.get(name) for entry in report.shown()]) for name in report.task.classes]
    return draw_bars(report, rows, wide=wide)


def draw_bars(report: Report, rows: Sequence[tuple[str, Sequence[float | None]]], *, wide: bool) -> Figure:
    """Return groups of horizontal bars from 0 to 1, one bar per shown trial, each with its figure."""
    shown = report.shown()
    height = (len(shown) * 19 + 14) * len(rows)
    labels = [shorten_middle(name, LONGEST_NAME) for name, _ in rows]
    left_px = label_room(labels, 88)
    figure, axes = build_canvas(HALF_PX if wide else NARROW_PX, height + 8, left=left_px, right=46, top=4, bottom=4)
    thickness = 16 / (len(shown) * 19 + 14)
    for y, (_, values) in enumerate(rows):
        for number, (entry, value) in enumerate(zip(shown, values, strict=True)):
            centre = y + (number - (len(shown) - 1) / 2) * thickness * 19 / 16
            axes.barh(centre, value or 0, height=thickness, color=COLOUR[report.role(entry)])
            axes.text((value or 0) + 0.012, centre, "–" if value is None else f"{value:.3f}", va="center", size=11)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), labels)
    quiet_axes(axes)
    return figure

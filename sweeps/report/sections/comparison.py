"""Report a comparison of sweeps: the best setting of all, and the leaders by class."""

from collections.abc import Callable, Sequence
from functools import partial

from matplotlib.figure import Figure

from bddseg.task import Task
from bddseg.words import count
from sweeps.formatting import group_title, write_iou
from sweeps.report.comparison import Comparison, Contender
from sweeps.report.section import Drawing, Section
from sweeps.report.sections.classes import LONGEST_NAME, title_classes
from sweeps.report.theme import COLOUR, NARROW_PX, WIDE_PX, build_canvas, label_room, quiet_axes, shorten_middle
from sweeps.statistics.sides import attribute_word

COLOURS = ("leader", "runner-up", "reference", "heat", "quiet")
"""Colours of the first five contenders; further ones repeat them."""


def build_sections(comparison: Comparison) -> list[Section]:
    """Return the sections; bars only for leaders that were measured on the same images."""
    shown = [contender for contender in comparison.contenders if contender.rival is not None]
    return [_build_standing(comparison), *([_build_bars(shown)] if shown else [])]


def describe_standing(comparison: Comparison) -> str:
    """Return the verdict of the comparison, and the sweeps that are not compared."""
    without_evidence = [
        contender.title
        for contender in comparison.contenders
        if contender.report.leader.trial_id not in contender.report.evidence
    ]
    if comparison.verdict is None and without_evidence:
        return f"Not compared: the leader of {', '.join(without_evidence)} left no evidence."
    if comparison.verdict is None:
        return (
            f"Not compared: other images. The {len(comparison.contenders)} leaders were not measured on the same "
            "validation images, so their figures cannot be compared."
        )
    apart = [
        f"{contender.title} ({contender.left_out or 'other images'})"
        for contender in comparison.contenders
        if contender.rival is None
    ]
    left_out = f" Not compared: {', '.join(apart)}." if apart else ""
    return comparison.verdict.sentence + left_out


def _build_standing(comparison: Comparison) -> Section:
    return Section("comparison", "Side by side", describe_standing(comparison), data=comparison)


def _build_bars(shown: Sequence[Contender]) -> Section:
    task = shown[0].report.task
    groups = f" and mIoU by {group_word(task)}" if task.groups else ""
    alt_text = f"Bars: validation IoU of each class{groups}, of {count(len(shown), 'leader')}"
    legend = [(COLOURS[number % len(COLOURS)], contender) for number, contender in enumerate(shown)]
    return Section(
        "bars",
        title_classes(task),
        f"The leaders of the sweeps by class{f' and by {group_word(task)}' if task.groups else ''}.",
        {"bars": Drawing(partial(_draw, shown), alt_text)},
        legend,
    )


def _draw(shown: Sequence[Contender], *, wide: bool) -> Figure:
    rows: list[tuple[str, Callable[[Contender], float | None]]] = [("mIoU", lambda shown: shown.entry.scores.miou)]
    rows += [(name, partial(_class_iou, name)) for name in shown[0].report.task.classes]
    rows += [(f"mIoU, {group_title(group)}", partial(_group_miou, group)) for group in shown[0].report.task.group_names]
    pitch = len(shown) * 15 + 14
    labels = [shorten_middle(name, LONGEST_NAME) for name, _ in rows]
    figure, axes = build_canvas(
        WIDE_PX if wide else NARROW_PX, pitch * len(rows) + 8, left=label_room(labels, 104), right=46, top=4, bottom=4
    )
    for y, (_, read) in enumerate(rows):
        for number, contender in enumerate(shown):
            centre = y + (number - (len(shown) - 1) / 2) * 15 / pitch
            value = read(contender)
            axes.barh(centre, value or 0, height=13 / pitch, color=COLOUR[COLOURS[number % len(COLOURS)]])
            axes.text((value or 0) + 0.006, centre, write_iou(value), va="center", size=10)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), labels)
    quiet_axes(axes)
    return figure


def group_word(task: Task) -> str:
    """Return the words for the groups of a task: `scene group`."""
    return f"{attribute_word(task.attribute)} group"


def _class_iou(name: str, contender: Contender) -> float | None:
    return contender.column.iou.get(name)


def _group_miou(group: str, contender: Contender) -> float | None:
    return contender.entry.scores.groups.get(group)

"""Comparison -> the sections of its page: who is best, and the leaders class by class."""

from collections.abc import Callable, Sequence
from functools import partial

from matplotlib.figure import Figure

from bddseg.labels import CLASSES, GROUPS
from bddseg.words import count
from sweeps.formatting import GROUP_NAMES, write_iou
from sweeps.report.comparison import Comparison, Contender
from sweeps.report.section import Drawing, Section
from sweeps.report.theme import COLOUR, NARROW_PX, WIDE_PX, build_canvas, quiet_axes

COLOURS = ("leader", "runner-up", "reference", "heat", "quiet")
"""Of the first five; more start again."""


def build_sections(comparison: Comparison) -> list[Section]:
    """Return all that the page shows; bars of those only that were measured on the same images."""
    shown = [it for it in comparison.contenders if it.rival is not None]
    return [_build_standing(comparison), *([_build_bars(shown)] if shown else [])]


def describe_standing(comparison: Comparison) -> str:
    """Return who is best of those that compare, and who does not."""
    unheard = [it.title for it in comparison.contenders if it.report.leader.trial_id not in it.report.evidence]
    if comparison.verdict is None and unheard:
        return f"Not compared: the leader of {', '.join(unheard)} left no evidence."
    if comparison.verdict is None:
        return (
            f"Not compared: other images. The {len(comparison.contenders)} leaders were not measured on the same "
            "validation images, so their figures stand side by side and say nothing of each other."
        )
    apart = [f"{it.title} ({it.left_out or 'other images'})" for it in comparison.contenders if it.rival is None]
    rest = f" Not compared: {', '.join(apart)}." if apart else ""
    return comparison.verdict.sentence + rest


def _build_standing(comparison: Comparison) -> Section:
    return Section("comparison", "Side by side", describe_standing(comparison), data=comparison)


def _build_bars(shown: Sequence[Contender]) -> Section:
    words = f"Bars: validation IoU of each class and mIoU by scene group, of {count(len(shown), 'leader')}"
    legend = [(COLOURS[place % len(COLOURS)], it) for place, it in enumerate(shown)]
    return Section(
        "bars",
        "Classes and scenes",
        "The leaders of the sweeps, class by class, in the city and elsewhere.",
        {"bars": Drawing(partial(_draw, shown), words)},
        legend,
    )


def _draw(shown: Sequence[Contender], *, wide: bool) -> Figure:
    rows: list[tuple[str, Callable[[Contender], float | None]]] = [("mIoU", lambda it: it.entry.scores.miou)]
    rows += [(name, partial(_class_iou, name)) for name in CLASSES]
    rows += [(f"mIoU, {GROUP_NAMES[group]}", partial(_group_miou, group)) for group in GROUPS]
    pitch = len(shown) * 15 + 14
    figure, axes = build_canvas(
        WIDE_PX if wide else NARROW_PX, pitch * len(rows) + 8, left=104, right=46, top=4, bottom=4
    )
    for y, (_, read) in enumerate(rows):
        for place, contender in enumerate(shown):
            at = y + (place - (len(shown) - 1) / 2) * 15 / pitch
            value = read(contender)
            axes.barh(at, value or 0, height=13 / pitch, color=COLOUR[COLOURS[place % len(COLOURS)]])
            axes.text((value or 0) + 0.006, at, write_iou(value), va="center", size=10)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    quiet_axes(axes)
    return figure


def _class_iou(name: str, contender: Contender) -> float | None:
    return contender.column.iou.get(name)


def _group_miou(group: str, contender: Contender) -> float | None:
    return contender.entry.scores.groups.get(group)

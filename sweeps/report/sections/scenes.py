"""Report -> the question of the scenes: do the models do as well off city streets as on them?"""

from collections.abc import Sequence
from functools import partial

from matplotlib.figure import Figure

from sweeps.report.gather import Report
from sweeps.report.section import Drawing, Section
from sweeps.report.sections.intervals import shorten, write_tick
from sweeps.report.theme import COLOUR, INK, MUTED, NARROW_PX, RULE, WIDE_PX, build_canvas
from sweeps.statistics.results import Gap, Interval, Scenes

SHOWN = 8
"""Most gaps that are drawn."""


def build_section(report: Report) -> Section | None:
    """Return gaps, tests and slices; None without a verdict on them."""
    scenes = report.verdict.scenes if report.verdict else None
    if scenes is None or not scenes.gaps:
        return None
    gaps = scenes.gaps[:SHOWN]
    words = f"Intervals: mIoU on city images less mIoU on the others, of {len(gaps)}"
    drawings = {"gaps": Drawing(partial(_draw_gaps, report, scenes, gaps), words)}
    if any(interval is not None for interval in gaps[0].by_class.values()):
        drawings["classes"] = Drawing(
            partial(_draw_classes, scenes, gaps[0]),
            "Intervals: the leader's IoU on city images less that on the others",
        )
    return Section("scenes", "City versus other scenes", gaps[0].why, drawings, gaps)


def _draw_gaps(report: Report, scenes: Scenes, gaps: Sequence[Gap], *, wide: bool) -> Figure:
    rows = []
    for gap in gaps:
        entry = report.find(gap.trial_id)
        role = report.role(entry) if entry else ""
        long = shorten(entry.name, 36) if entry else gap.trial_id
        name = role or (long if wide or entry is None else f"place {entry.rank}")
        rows.append((f"{name}: {gap.answer}", gap.gap, gap.equivalence, role))
    return _draw_rows(rows, scenes.margin, wide=wide)


def _draw_classes(scenes: Scenes, gap: Gap, *, wide: bool) -> Figure:
    rows = [(name, found, None, "leader") for name, found in gap.by_class.items() if found is not None]
    return _draw_rows(rows, scenes.margin, wide=wide)


def _draw_rows(rows: Sequence[tuple[str, Interval, Interval | None, str]], margin: float, *, wide: bool) -> Figure:
    """Return intervals around zero; the margin as a band, the inner interval of an equivalence test as a thick line."""
    left = 330 if wide else 164
    figure, axes = build_canvas(
        WIDE_PX if wide else NARROW_PX, 34 * len(rows) + 60, left=left, right=16, top=8, bottom=44
    )
    axes.axvspan(-margin, margin, color=COLOUR["heat"], alpha=0.14, lw=0)
    axes.axvline(0, color=MUTED, lw=1)
    for y, (_, outer, inner, role) in enumerate(rows):
        colour = COLOUR[role] if role else INK
        axes.plot([outer.low, outer.high], [y, y], color=colour, lw=1.4)
        if inner is not None:
            axes.plot([inner.low, inner.high], [y, y], color=colour, lw=5, alpha=0.55, solid_capstyle="butt")
        axes.plot([outer.estimate], [y], marker="o", ms=7, color=colour, mew=0)
    reach = 1.08 * max([margin, *(abs(side) for _, outer, _, _ in rows for side in (outer.low, outer.high))])
    axes.set(xlim=(-reach, reach), ylim=(len(rows) - 0.4, -0.6))
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.tick_params(axis="y", colors=INK, labelsize=11)
    axes.grid(axis="x", color=RULE, lw=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(lambda value, _: write_tick(value))
    axes.set_xlabel("points, city less elsewhere")
    axes.spines["left"].set_visible(False)
    return figure

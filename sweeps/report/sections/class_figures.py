"""Report -> figures of classes and scene groups, for the trials shown."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from bddseg.labels import CLASSES
from sweeps.report.gather import Report
from sweeps.report.theme import COLOUR, HALF_PX, NARROW_PX, build_canvas, quiet_axes


def draw_classes(report: Report, *, wide: bool) -> Figure:
    """Return the validation IoU of each class as bars, for the trials shown."""
    rows = [(name, [entry.scores.iou.get(name) for entry in report.shown()]) for name in CLASSES]
    return _draw_bars(report, rows, wide=wide)


def draw_scenes(report: Report, rows: Sequence[tuple[str, Sequence[float | None]]], *, wide: bool) -> Figure:
    """Return the validation mIoU of each set of images as bars, for the trials shown."""
    return _draw_bars(report, rows, wide=wide)


def _draw_bars(report: Report, rows: Sequence[tuple[str, Sequence[float | None]]], *, wide: bool) -> Figure:
    """Return groups of horizontal bars from 0 to 1, one bar per shown trial, each with its figure."""
    shown = report.shown()
    height = (len(shown) * 19 + 14) * len(rows)
    figure, axes = build_canvas(HALF_PX if wide else NARROW_PX, height + 8, left=88, right=46, top=4, bottom=4)
    thickness = 16 / (len(shown) * 19 + 14)
    for y, (_, values) in enumerate(rows):
        for place, (entry, value) in enumerate(zip(shown, values, strict=True)):
            at = y + (place - (len(shown) - 1) / 2) * thickness * 19 / 16
            axes.barh(at, value or 0, height=thickness, color=COLOUR[report.role(entry)])
            axes.text((value or 0) + 0.012, at, "–" if value is None else f"{value:.3f}", va="center", size=11)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    quiet_axes(axes)
    return figure

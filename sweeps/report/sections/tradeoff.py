"""Report accuracy against size and speed, with the Pareto front."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sweeps.report.entries import Entry
from sweeps.report.gather import Report
from sweeps.report.section import Drawing, Section
from sweeps.report.theme import COLOUR, HALF_PX, INK, NARROW_PX, RULE, are_logarithmic, build_canvas, scale_ticks
from sweeps.statistics.results import Interval
from sweeps.statistics.scores import pareto_front

MEASURES = {
    "batch_1_ms": "milliseconds for one image",
    "batch_16_ms": "milliseconds for 16 images",
    "parameters": "weights of the network",
}
"""Measure of cost -> its label on an axis."""


@dataclass(frozen=True)
class Point:
    """A setting, or in a confirmation a finalist, with its costs."""

    entry: Entry
    miou: float
    interval: Interval | None
    """Of its mIoU, 95 %; None without a verdict on it."""
    costs: Mapping[str, float]
    """By measure, as far as it is known."""


def build_section(report: Report) -> Section | None:
    """Return accuracy against each measure that is known; None while a sweep runs and nothing is known yet."""
    points = build_points(report)
    measured = [measure for measure in MEASURES if any(measure in point.costs for point in points)]
    if len(points) > 1 and measured and not any(_differs(points, measure) for measure in measured):
        return Section("tradeoff", "Accuracy, size and speed", _say_alike(points))
    if not measured:
        why = "The size and speed of the networks were not measured at the end of this sweep."
        return Section("tradeoff", "Accuracy, size and speed", why) if report.is_final else None
    fronts = {measure: find_front(points, measure) for measure in measured}
    alt_text = "Points: validation mIoU against {}, with the Pareto front as a line"
    drawings = {
        measure: Drawing(partial(draw_tradeoff, report, points, measure), alt_text.format(MEASURES[measure]))
        for measure in measured
    }
    first = measured[0]
    data = {"fronts": fronts, "measures": {name: MEASURES[name] for name in measured}, "device": _device(report)}
    return Section("tradeoff", "Accuracy, size and speed", _say(report, fronts[first], first), drawings, data)


def build_points(report: Report) -> list[Point]:
    """Return every setting or finalist that is compared, the best first; without a verdict, every trial."""
    rivals = {rival.trial_id: rival for rival in report.verdict.rivals} if report.verdict is not None else {}
    points = []
    for entry in report.settings or report.trials:
        if entry.is_scored and entry.scores.miou is not None:
            rival, speed = rivals.get(entry.trial_id), report.speed.of(entry.trial_id)
            costs = {name: value for name in MEASURES if (value := getattr(speed, name)) is not None}
            points.append(Point(entry, entry.scores.miou, rival.score if rival else None, costs))
    return points


def find_front(points: Sequence[Point], measure: str) -> list[Point]:
    """Return the points that no other point beats or equals in both cost and accuracy, the cheapest first."""
    measured = [point for point in points if measure in point.costs]
    return pareto_front(measured, lambda point: point.costs[measure], lambda point: point.miou)


def draw_tradeoff(report: Report, points: Sequence[Point], measure: str, *, wide: bool) -> Figure:
    """Return all points, and the front as a staircase with the intervals of those on it."""
    figure, axes = build_canvas(HALF_PX if wide else NARROW_PX, 320, left=48, right=76, top=12, bottom=46)
    measured = [point for point in points if measure in point.costs]
    costs, front = [point.costs[measure] for point in measured], find_front(measured, measure)
    axes.scatter(costs, [point.miou for point in measured], s=24, color=COLOUR["quiet"], alpha=0.7, lw=0, zorder=2)
    stairs = [(point.costs[measure], point.miou) for point in front] + [(max(costs), front[-1].miou)]
    axes.plot(*zip(*stairs, strict=True), color=COLOUR["heat"], lw=1.4, drawstyle="steps-post", zorder=3)
    named = [point for point in measured if report.role(point.entry)]
    for point in {point.entry.trial_id: point for point in [*front, *named]}.values():
        _draw_point(axes, point, point.costs[measure], report.role(point.entry))
    if are_logarithmic(costs):
        axes.set_xscale("log")
        scale_ticks(axes.xaxis, costs)
    else:
        axes.set_xlim(0, max(costs) * 1.04)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(lambda value, _: _size(value))
    axes.set_ylim(_floor(measured, front))
    axes.set_xlabel(f"{MEASURES[measure]} across, validation mIoU up", x=0, ha="left")
    axes.grid(color=RULE, lw=0.6)
    axes.set_axisbelow(True)
    return figure


def _differs(points: Sequence[Point], measure: str) -> bool:
    return len({point.costs[measure] for point in points if measure in point.costs}) > 1


def _say_alike(points: Sequence[Point]) -> str:
    costs = {measure: cost for point in points for measure, cost in point.costs.items()}
    costs_alike = ", ".join(f"{_size(cost)} {MEASURES[measure]}" for measure, cost in costs.items())
    return f"All compared networks have the same size and speed ({costs_alike}), so they differ in accuracy only."


def _floor(points: Sequence[Point], front: Sequence[Point]) -> float:
    """Return the lower end of the mIoU scale: the lower half of all points is cut off, the front is not."""
    middle = median(point.miou for point in points)
    lowest = min(point.interval.low if point.interval else point.miou for point in front)
    floor = min(middle, lowest)
    return floor - 0.06 * (max(point.miou for point in points) - floor) - 0.002


def _draw_point(axes: Axes, point: Point, cost: float, role: str) -> None:
    """Draw a point with its interval, in the colour of its role; with the role beside it where it has one."""
    colour = COLOUR[role or "heat"]
    if point.interval is not None:
        axes.vlines(cost, point.interval.low, point.interval.high, color=colour, lw=1.6, alpha=0.6, zorder=4)
    axes.plot(cost, point.miou, marker="o", ms=8, color=colour, mew=0, zorder=5)
    if role:
        axes.annotate(
            role,
            (cost, point.miou),
            (8, -13 if role == "runner-up" else 4),
            textcoords="offset points",
            size=11,
            color=INK,
            zorder=6,
        )


def _device(report: Report) -> str:
    """Return the device and precision of the measurement; "" if not recorded."""
    return ", ".join(filter(None, [report.speed.device, report.speed.precision]))


def _say(report: Report, front: Sequence[Point], measure: str) -> str:
    cheapest, best = front[0], front[-1]
    unit = {"parameters": "weights"}.get(measure, "ms")
    if len(front) == 1:
        return f"{best.entry.name} is both the most accurate and the cheapest in {MEASURES[measure]}."
    less = (best.miou - cheapest.miou) * 100
    costs = [f"{_size(point.costs[measure])} {unit}" for point in (cheapest, best)]
    return (
        f"{len(front)} settings are on the Pareto front of accuracy and {MEASURES[measure]}: from "
        f"{cheapest.entry.name} ({costs[0]}) to {best.entry.name} ({costs[1]}), which is {less:.2f} points better."
    )


def _size(value: float) -> str:
    """Return a number as people read it: 31,400,000 as 31.4 M."""
    if value >= 1e6:
        return f"{value / 1e6:.3g} M"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

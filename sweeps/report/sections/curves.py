"""Report learning curves: every trial, the rungs and cut-offs, runs of one setting as bands."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bddseg.words import count
from sweeps.report.entries import Entry
from sweeps.report.gather import Report
from sweeps.report.section import Drawing, Section
from sweeps.report.sections.pivot import RUNS
from sweeps.report.seeds import setting_name
from sweeps.report.theme import COLOUR, INK, MUTED, NARROW_PX, RULE, WIDE_PX, build_canvas, label_ends, title_gid
from sweeps.schedulers.rungs import Stop, read_stop

MANY = 60
"""Above this number, trials are drawn with thinner lines and without names."""

MOST_POINTS = 6000
"""Points of all thin lines in total; more are thinned to every second, third, ... epoch."""


@dataclass(frozen=True)
class Band:
    """The runs of one setting: they differ in their seed or fold only."""

    runs: tuple[Entry, ...]
    """Those with a curve, the best first."""

    def spread(self) -> list[tuple[int, float, float, float]]:
        """Return epoch, lowest, median and highest value, over the epochs that all runs share."""
        curves = [dict(entry.curve) for entry in self.runs]
        shared = sorted(set.intersection(*(set(curve) for curve in curves)))
        rows = [(epoch, sorted(curve[epoch] for curve in curves)) for epoch in shared]
        return [(epoch, values[0], median(values), values[-1]) for epoch, values in rows]

    def end(self) -> tuple[int, float]:
        """Return the last epoch that every run has, and the median there."""
        epoch, _, middle, _ = self.spread()[-1]
        return epoch, middle


@dataclass(frozen=True)
class Rung:
    """What happened at an epoch where trials were compared."""

    epoch: int
    reached: int
    """Trials that reached the rung."""
    stops: tuple[Stop, ...]
    closest: tuple[Entry, Stop] | None
    """The stopped trial that missed its cut-off by the least."""

    @property
    def cutoffs(self) -> tuple[float, float] | None:
        """Return the lowest and highest cut-off that stopped a trial."""
        cutoffs = [stop.cutoff for stop in self.stops]
        return (min(cutoffs), max(cutoffs)) if cutoffs else None


def build_section(report: Report) -> Section:
    """Return the curves of all trials, and those of the leader on both parts."""
    bands, rungs = build_bands(report), build_rungs(report)
    alt_text = "Lines: validation mIoU of every trial over epochs, with the rungs at which trials were compared"
    drawings = {"curves": Drawing(partial(draw_curves, report, bands, rungs), alt_text)}
    if report.leader.train_curve and report.leader.curve:
        alt_text = "Lines: training and validation mIoU of the leader"
        drawings["fit"] = Drawing(partial(draw_fit, report), alt_text)
    curves = tuple(entry for entry in report.trials if entry.curve)
    data = {"bands": bands, "rungs": rungs, "step": _step(report), "named": curves if len(curves) <= MANY else ()}
    return Section("curves", "Learning curves", _say(report, bands, rungs), drawings, data)


def build_bands(report: Report) -> tuple[Band, ...]:
    """Return the settings with several runs that share an epoch."""
    runs_by_setting: dict[str, list[Entry]] = {}
    for entry in report.trials:
        if entry.curve:
            own = sorted((key, repr(value)) for key, value in entry.settings.items() if key not in RUNS)
            runs_by_setting.setdefault(repr(own), []).append(entry)
    bands = [Band(tuple(runs)) for runs in runs_by_setting.values() if len(runs) > 1]
    return tuple(band for band in bands if band.spread())


def build_rungs(report: Report) -> tuple[Rung, ...]:
    """Return every rung with the stops that were recorded at it."""
    stops = [(entry, stop) for entry in report.trials if (stop := read_stop(entry.stop_detail)) is not None]
    epochs = sorted({*report.rungs, *(stop.rung for _, stop in stops)})
    return tuple(_build_rung(report, epoch, [(e, stop) for e, stop in stops if stop.rung == epoch]) for epoch in epochs)


def _build_rung(report: Report, epoch: int, stops: Sequence[tuple[Entry, Stop]]) -> Rung:
    reached = sum(entry.epochs >= epoch for entry in report.trials)
    closest = min(stops, key=lambda pair: pair[1].cutoff - pair[1].value, default=None)
    return Rung(epoch, reached, tuple(stop for _, stop in stops), closest)


def draw_curves(report: Report, bands: Sequence[Band], rungs: Sequence[Rung], *, wide: bool) -> Figure:
    """Return validation mIoU over epochs for all trials, the rungs as lines, the cut-offs, and how each trial ended."""
    figure, axes = build_canvas(
        WIDE_PX if wide else NARROW_PX, 420 if wide else 340, left=44, right=84, top=26, bottom=44
    )
    roles = {id(band): role for band in bands if (role := _role(report, band))}
    in_band = {entry.trial_id for band in bands for entry in band.runs}
    thin = [entry for entry in report.trials if entry.trial_id not in in_band and not report.role(entry)]
    _draw_thin(axes, thin, report)
    _draw_ends(axes, [entry for entry in thin if entry.curve])
    for band in sorted(bands, key=lambda band: id(band) in roles):
        _draw_band(axes, band, COLOUR[roles.get(id(band), "quiet")])
    drawn = {*in_band, *(entry.trial_id for entry in report.shown() if report.role(entry) in roles.values())}
    lone = [entry for entry in report.shown() if entry.curve and entry.trial_id not in drawn]
    for entry in reversed(lone):
        _draw_line(axes, entry, COLOUR[report.role(entry)])
    _frame_curves(axes, report)
    _draw_cutoffs(axes, rungs)
    ends = {report.role(entry): entry.curve[-1] for entry in lone}
    ends |= {roles[id(band)]: band.end() for band in bands if id(band) in roles}
    label_ends(axes, list(ends.items()))
    return figure


def draw_fit(report: Report, *, wide: bool) -> Figure:
    """Return the leader's mIoU on training and validation images over epochs."""
    figure, axes = build_canvas(WIDE_PX if wide else NARROW_PX, 260, left=44, right=84, top=26, bottom=44)
    leader = report.leader
    axes.plot(*zip(*leader.train_curve, strict=True), color=COLOUR["leader"], lw=1.6, ls=(0, (4, 2)))
    axes.plot(*zip(*leader.curve, strict=True), color=COLOUR["leader"], lw=2.2)
    _frame_curves(axes, report)
    label_ends(axes, [("training", leader.train_curve[-1]), ("validation", leader.curve[-1])])
    return figure


def _say(report: Report, bands: Sequence[Band], rungs: Sequence[Rung]) -> str:
    runs = (
        f" {count(len(bands), 'setting')} ran several times: a band is from the lowest to the highest run."
        if bands
        else ""
    )
    if not rungs:
        return f"Validation mIoU of every trial; none was stopped early by comparison.{runs}"
    stopped = sum(len(rung.stops) for rung in rungs)
    epochs = ", ".join(str(rung.epoch) for rung in rungs)
    where = f"at the rung (epoch {epochs})" if len(rungs) == 1 else f"at the rungs (epochs {epochs})"
    ended = (
        f"{stopped} of {count(len(report.trials), 'trial')} {'was' if stopped == 1 else 'were'} stopped there"
        if stopped
        else "none was stopped"
    )
    return f"Validation mIoU of every trial; {where} trials were compared, and {ended}.{runs}"


def _role(report: Report, band: Band) -> str:
    """Return the first role that one of the runs has."""
    return next(filter(None, (report.role(entry) for entry in band.runs)), "")


def _step(report: Report) -> int:
    """Return the thinning of the thin lines: every how many epochs a point is drawn."""
    points = sum(len(entry.curve) for entry in report.trials)
    return -(-points // MOST_POINTS)


def _draw_thin(axes: Axes, entries: Sequence[Entry], report: Report) -> None:
    """Draw the curves of trials, each with its name; many trials become one path without names."""
    step = _step(report)
    points = [_thinned(entry, step) for entry in entries]
    if len(report.trials) <= MANY:
        for entry, own in zip(entries, points, strict=True):
            if own:
                (line,) = axes.plot(*zip(*own, strict=True), color=COLOUR["quiet"], lw=1.2, solid_capstyle="round")
                line.set_gid(title_gid(entry.name))
        return
    apart = (math.nan, math.nan)
    joined = [point for own in points for point in (*own, apart)]
    if joined:
        axes.plot(*zip(*joined, strict=True), color=COLOUR["quiet"], lw=0.5, solid_capstyle="round")


def _thinned(entry: Entry, step: int) -> list[tuple[float, float]]:
    """Return a thinned curve that keeps its first, last and best point."""
    best, last = max((value for _, value in entry.curve), default=None), len(entry.curve) - 1
    return [
        (float(epoch), value)
        for index, (epoch, value) in enumerate(entry.curve)
        if index % step == 0 or index == last or value == best
    ]


def _draw_ends(axes: Axes, entries: Sequence[Entry]) -> None:
    """Draw a dot where trials were stopped, a cross where they failed."""
    for state, marker, size in (("stopped", "o", 16), ("failed", "x", 40)):
        ends = [entry.curve[-1] for entry in entries if entry.state == state]
        if ends:
            lines = 1.4 if marker == "x" else 0
            epochs, values = zip(*ends, strict=True)
            axes.scatter(epochs, values, marker=marker, s=size, color=MUTED, lw=lines, zorder=4)


def _draw_line(axes: Axes, entry: Entry, colour: str) -> None:
    """Draw the curve of a highlighted trial and how it ended."""
    dashes: Mapping[str, Any] = {"ls": (0, (4, 2))} if entry.is_reference and colour != COLOUR["leader"] else {}
    (line,) = axes.plot(*zip(*entry.curve, strict=True), color=colour, lw=2.2, solid_capstyle="round", **dashes)
    line.set_gid(title_gid(entry.name))
    _draw_ends(axes, [entry])


def _draw_band(axes: Axes, band: Band, colour: str) -> None:
    epochs, low, middle, high = zip(*band.spread(), strict=True)
    area = axes.fill_between(epochs, low, high, color=colour, alpha=0.22, lw=0)
    (line,) = axes.plot(epochs, middle, color=colour, lw=2.0, solid_capstyle="round")
    name = title_gid(f"{setting_name([run.name for run in band.runs])}, {count(len(band.runs), 'run')}")
    area.set_gid(name)
    line.set_gid(name)
    _draw_ends(axes, band.runs)


def _frame_curves(axes: Axes, report: Report) -> None:
    """Set scales and grid, and draw the rungs at which trials were compared."""
    axes.set_xlim(0.5, max(report.budget, 1) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    axes.grid(axis="y", color=RULE, lw=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("epoch")
    axes.spines["left"].set_visible(False)
    for rung in report.rungs:
        axes.axvline(rung, color=MUTED, lw=1, ls=(0, (1, 3)))


def _draw_cutoffs(axes: Axes, rungs: Sequence[Rung]) -> None:
    """Draw each rung's cut-offs: a bar from the lowest to the highest, a tick at each."""
    width = axes.get_window_extent().width / (axes.get_xlim()[1] - axes.get_xlim()[0])  # pixels of an epoch
    last = -1e9
    for rung in rungs:
        cutoffs = sorted({round(stop.cutoff, 3) for stop in rung.stops})
        half = 7 / width
        axes.hlines(cutoffs, rung.epoch - half, rung.epoch + half, color=INK, lw=1.2, zorder=6)
        if len(cutoffs) > 1:
            axes.vlines(rung.epoch, cutoffs[0], cutoffs[-1], color=INK, lw=1.2, zorder=6)
        if (rung.epoch - last) * width >= 52:
            axes.annotate(f"rung {rung.epoch}", (rung.epoch, 1), (0, 6), xycoords=("data", "axes fraction"),
                          textcoords="offset points", ha="center", size=11, color=MUTED)  # fmt: skip
            last = rung.epoch

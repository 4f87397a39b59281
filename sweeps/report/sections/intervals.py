"""Report the differences of all settings to the leader as intervals."""

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sweeps.report.gather import Report
from sweeps.report.section import Drawing, Section
from sweeps.report.theme import COLOUR, INK, MUTED, NARROW_PX, RULE, WIDE_PX, build_canvas, shorten_middle, write_tick
from sweeps.statistics.results import Rival

NAMED = 30
"""Rivals that are drawn with their names; if there are more, all are drawn by rank too."""

NEAR = 3
"""Best rivals whose intervals are shown in full, besides tied settings."""

REACH = 2.5
"""The scale extends to this multiple of those intervals; the rest is cut off."""


def build_section(report: Report) -> Section | None:
    """Return the intervals; None without a rival."""
    verdict = report.verdict
    if verdict is None or len(verdict.rivals) < 2:
        return None
    best = verdict.rivals[:NAMED]
    alt_text = f"Intervals: difference in validation mIoU to the leader, of the best {len(best)}"
    drawings = {"best": Drawing(partial(_draw_best, report, best), alt_text)}
    if len(verdict.rivals) > NAMED:
        drawings["all"] = Drawing(
            partial(_draw_all, report), "Intervals: difference in validation mIoU to the leader, by rank, of all"
        )
    return Section("intervals", "Against the leader", _say(report, verdict.rivals), drawings)


def _say(report: Report, rivals: Sequence[Rival]) -> str:
    rest_of_rivals = [rival for rival in rivals if rival.trial_id != report.leader.trial_id]
    tied = sum(rival.is_tied for rival in rest_of_rivals)
    noun = "finalist" if report.is_confirmation else "setting"
    better = len(rest_of_rivals) - tied
    named = {1: f"the other {noun}", 2: f"both other {noun}s"}.get(
        len(rest_of_rivals), f"all {len(rest_of_rivals)} other {noun}s"
    )
    if not tied:
        return f"The leader is significantly better than {named}: no interval reaches zero."
    if not better:
        intervals = "its interval reaches" if len(rest_of_rivals) == 1 else "all intervals reach"
        return f"The leader is not significantly better than any other {noun}: {intervals} zero."
    return (
        f"The leader is significantly better than {better} of {len(rest_of_rivals)} other {noun}s; {tied} "
        f"{'has' if tied == 1 else 'have'} an interval that reaches zero."
    )


def _draw_best(report: Report, rivals: Sequence[Rival], *, wide: bool) -> Figure:
    row, left_px = (26, 330) if wide else (40, 8)
    figure, axes = build_canvas(
        WIDE_PX if wide else NARROW_PX, row * len(rivals) + 52, left=left_px, right=16, top=8, bottom=44
    )
    low, high = find_span(rivals)
    axes.axvspan(-report.margins.score, report.margins.score, color=COLOUR["heat"], alpha=0.1, lw=0)
    axes.axvline(0, color=MUTED, lw=1)
    for y, rival in enumerate(rivals):
        _draw_interval(axes, report, rival, y, (low, high))
        entry = report.find(rival.trial_id)
        name = entry.name if entry else rival.trial_id
        if wide:
            axes.annotate(shorten_middle(name, 46), (0, y), (-8, 0), xycoords=("axes fraction", "data"), size=11,
                          textcoords="offset points", ha="right", va="center")  # fmt: skip
        else:
            axes.annotate(shorten_middle(name, 52), (0, y - 0.34), xycoords=("axes fraction", "data"), size=10.5,
                          ha="left", va="center")  # fmt: skip
    room = 0.04 * (high - low)
    axes.set(xlim=(low - room, high + room), ylim=(len(rivals) - 0.4, -0.7))
    _scale_points(axes)
    axes.set_yticks([])
    return figure


def _draw_interval(axes: Axes, report: Report, rival: Rival, y: float, span: tuple[float, float]) -> None:
    """Draw an interval cut at the ends of the scale, with an arrow where it continues, and its estimate."""
    entry = report.find(rival.trial_id)
    role = report.role(entry) if entry else ""
    colour = COLOUR[role] if role else (INK if rival.is_tied else MUTED)
    (low, high), difference = span, rival.difference
    start, end = (min(max(side, low), high) for side in (difference.low, difference.high))
    axes.plot([start, end], [y, y], color=colour, lw=2.2 if rival.is_tied else 1.4)
    for side, marker, is_cut in ((low, "<", difference.low < low), (high, ">", difference.high > high)):
        if is_cut:
            axes.plot([side], [y], marker=marker, ms=8, color=colour, mew=0, clip_on=False)
    if low <= difference.estimate <= high:
        axes.plot([difference.estimate], [y], marker="o" if rival.is_tied else "D", ms=6 if rival.is_tied else 5,
                  color=colour, mew=0)  # fmt: skip


def _draw_all(report: Report, *, wide: bool) -> Figure:
    rivals = report.verdict.rivals if report.verdict else ()
    figure, axes = build_canvas(WIDE_PX if wide else NARROW_PX, 260, left=52, right=16, top=10, bottom=44)
    ranks = range(1, len(rivals) + 1)
    lows, highs = ([getattr(rival.difference, side) for rival in rivals] for side in ("low", "high"))
    axes.fill_between(ranks, lows, highs, color=COLOUR["heat"], alpha=0.25, lw=0, step="mid")
    axes.plot(ranks, [rival.difference.estimate for rival in rivals], color=INK, lw=1.4)
    axes.axhline(0, color=MUTED, lw=1)
    axes.grid(axis="y", color=RULE, lw=0.8)
    axes.set_axisbelow(True)
    axes.set(
        xlim=(0.5, len(rivals) + 0.5), ylim=(min(rival.difference.estimate for rival in rivals) * 1.05 - 0.002, None)
    )
    axes.set_xlabel("rank")
    axes.yaxis.set_major_formatter(lambda value, _: write_tick(value))
    axes.spines["left"].set_visible(False)
    return figure


def find_span(rivals: Sequence[Rival]) -> tuple[float, float]:
    """Return the scale of differences that resolves the rivals near the leader."""
    near = [rival.difference for rival in rivals if rival.is_tied] + [
        rival.difference for rival in rivals[1 : 1 + NEAR]
    ]
    low = REACH * min([-0.002, *(difference.low for difference in near if difference.high > -0.2)])
    high = max([0.002, *(difference.high for difference in near)])
    lowest = min([-0.004, *(rival.difference.low for rival in rivals)])
    return max(low, lowest), high


def _scale_points(axes: Axes) -> None:
    axes.grid(axis="x", color=RULE, lw=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(lambda value, _: write_tick(value))
    axes.set_xlabel("points of validation mIoU, minus the leader's")
    axes.spines["left"].set_visible(False)

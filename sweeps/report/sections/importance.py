"""Report hyperparameter importance, parallel coordinates and slices, computed and drawn by Optuna."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bddseg.words import count
from sweeps.formatting import write_share
from sweeps.report.gather import Report
from sweeps.report.section import Drawing, Section
from sweeps.report.sections.fanova import FinishedPoint, build_sample, measure_importance, quiet
from sweeps.report.theme import (
    COLOUR,
    INK,
    MUTED,
    NARROW_PX,
    PAPER,
    RULE,
    WIDE_PX,
    are_numbers,
    pick_numbers,
    plain_name,
    scale_ticks,
    write_labels,
)

if TYPE_CHECKING:
    from optuna import Study

LEAST_TRIALS = 10
"""With fewer trials, the forest gives no reliable importance."""

NAMED = 4
"""Settings that are named at most, the most important first."""

ROUNDED = 0.005
"""A smaller share is written as 0 %."""

MOST_DRAWN = 300
"""Trials that are drawn at most; importance is measured on all."""

MOST_TICKS = 6
MOST_SLICES = 9
MOST_NARROW = 3
"""Settings side by side on a narrow page."""

SLICE_PX = (346, 230)


def build_section(report: Report) -> Section | None:
    """Return importance and plots, or the reason why there are none; None where no setting varies."""
    if report.is_confirmation:
        return None
    sample = build_sample(report)
    if not sample.names:
        return None
    refusal = _refuse(sample)
    if refusal:
        return Section("importance", "Hyperparameter importance", refusal)
    shares = measure_importance(sample) if len(sample.everywhere) > 1 else {}
    drawn = sample.thinned(MOST_DRAWN)
    drawings = {"parallel": Drawing(partial(draw_parallel, drawn, shares), _parallel_words(sample))}
    if shares:
        alt_text = "Bars: share of the variance in validation mIoU that each setting explains"
        drawings["importance"] = Drawing(partial(draw_importance, drawn, shares), alt_text)
    weighed = sorted(sample.names, key=lambda key: -shares.get(sample.names[key], 0.0))
    slices = {key: plain_name(f"slice-{key}") for key in weighed[:MOST_SLICES]}
    for key, name in slices.items():
        drawings[name] = Drawing(partial(draw_slice, drawn, key), f"Points: validation mIoU by {key}")
    dropped = {key: len(sample.inert[key]) for key in sample.names if sample.inert[key]}
    counts = {"trials": len(sample.entries), "drawn": len(drawn.entries)}
    data = {"shares": shares, "slices": slices, "dropped": dropped, **counts}
    return Section("importance", "Hyperparameter importance", _say(sample, shares), drawings, data)


def draw_importance(sample: FinishedPoint, shares: Mapping[str, float], *, wide: bool) -> Figure:
    """Return Optuna's bars of importance."""
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.visualization.matplotlib import plot_param_importances

    class Known(FanovaImportanceEvaluator):  # what was measured once is not measured again for every width
        def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
            return dict(shares)

    axes = _plot(lambda study: plot_param_importances(study, evaluator=Known(), params=list(shares)), sample)
    left_px = min(16 + 7.2 * max(map(len, shares)), 160)
    figure = _place(
        axes, WIDE_PX if wide else NARROW_PX, 34 * len(shares) + 12, left=left_px, right=60, top=6, bottom=6
    )
    axes.set(xlim=(0, 1.0), xticks=[], xlabel="", ylabel="")
    explained = sum(shares.values())  # Optuna draws what adds up to 1
    for label, bar in zip(axes.texts, axes.patches, strict=True):
        assert isinstance(bar, Rectangle)
        share = bar.get_width() * explained
        bar.set(width=share, color=COLOUR["heat"], alpha=0.75)
        label.set(x=share + 0.012, size=12, text=write_share(share))
    axes.set_ylim(-0.5, len(shares) - 0.5)
    axes.spines[:].set_visible(False)
    axes.tick_params(axis="y", colors=INK)
    return figure


def draw_parallel(sample: FinishedPoint, shares: Mapping[str, float], *, wide: bool) -> Figure:
    """Return Optuna's parallel coordinates: a line for each trial, the better the darker."""
    from optuna.visualization.matplotlib import plot_parallel_coordinate

    names = sorted(sample.names.values(), key=lambda name: -shares.get(name, 0.0))
    names = names if wide else names[:MOST_NARROW]
    axes = _plot(lambda study: plot_parallel_coordinate(study, params=names, target_name="mIoU"), sample)
    figure = _place(axes, WIDE_PX if wide else NARROW_PX, 376 if wide else 310, left=46, right=84, top=12, bottom=64)
    lines = next(item for item in axes.collections if isinstance(item, LineCollection))
    scores = [float(segment[0][1]) for segment in lines.get_segments()]
    low, high = min(scores), max(scores)
    heat = [max(0.0, (score - low) / (high - low or 1.0)) for score in scores]
    lines.set_array(None)
    lines.set(color=[to_rgba(COLOUR["heat"], 0.05 + 0.9 * share**2) for share in heat])
    lines.set_linewidth([0.8 + 1.6 * share**2 for share in heat])
    for name, parallel in zip([label.get_text() for label in axes.get_xticklabels()], figure.axes, strict=True):
        key = next((key for key in sample.names if sample.names[key] == name), "")
        _mark_values(parallel, sample, key, size=11 if wide else 9)
    return figure


def draw_slice(sample: FinishedPoint, key: str, *, wide: bool) -> Figure:
    """Return Optuna's slice along one setting: a point for each trial in which it has an effect."""
    from optuna.visualization.matplotlib import plot_slice

    axes = _plot(lambda study: plot_slice(study, params=[sample.names[key]], target_name="mIoU"), sample)
    figure = _place(axes, *SLICE_PX, left=46, right=12, top=10, bottom=44)
    for points in axes.collections:
        points.set_array(None)
        points.set(facecolor=to_rgba(COLOUR["heat"], 0.45), edgecolor="none", sizes=[22])
    axes.set(xlabel=key, ylabel="")
    axes.grid(axis="y", color=RULE, lw=0.8)
    axes.set_axisbelow(True)
    values = _values(sample, key)
    if values and axes.get_xscale() == "log":
        scale_ticks(axes.xaxis, values)
    if 0 < len(values) <= MOST_TICKS:
        axes.set_xticks(values, write_labels(values))
    elif not values:
        axes.set_xticks(axes.get_xticks(), [label.get_text().strip("'") for label in axes.get_xticklabels()])
    return figure


def _mark_values(axes: Axes, sample: FinishedPoint, key: str, *, size: int) -> None:
    """Give one of the parallel axes readable ticks: at its values where they are few."""
    axes.spines[:].set_color(RULE)
    if axes.get_yscale() == "log":
        scale_ticks(axes.yaxis, _values(sample, key))
    values = _values(sample, key)
    if 0 < len(values) <= MOST_TICKS and not sample.inert[key]:
        axes.set_yticks(values, write_labels(values))
    if key and sample.inert[key]:
        texts = [label.get_text() for label in axes.get_yticklabels()]
        axes.set_yticks(axes.get_yticks(), ["no effect" if text == "None" else text for text in texts])
    axes.tick_params(colors=INK, labelsize=size)
    for label in axes.get_yticklabels():
        label.set_bbox({"facecolor": PAPER, "alpha": 0.8, "edgecolor": "none", "pad": 1})


def _refuse(sample: FinishedPoint) -> str:
    """Return why importance cannot be measured; "" where it can."""
    if len(sample.names) == 1:
        return f"Only {next(iter(sample.names))} varies, so there is nothing to compare it with; see the grid."
    if len(sample.entries) < LEAST_TRIALS:
        completed = len(sample.entries)
        return f"Hyperparameter importance needs at least {LEAST_TRIALS} completed trials; this sweep has {completed}."
    if len({entry.scores.miou for entry in sample.entries}) == 1:
        return "All completed trials have the same figure, so there is nothing to explain."
    return ""


def _say(sample: FinishedPoint, shares: Mapping[str, float]) -> str:
    if not shares:
        return "Too few settings have an effect in every trial to compare their importance."
    keys = {name: key for key, name in sample.names.items()}
    first, *following = [(keys[name], share) for name, share in shares.items()][:NAMED]
    named = "".join(f", {key} {write_share(share)}" for key, share in following)
    return (
        f"Of what differs between {count(len(sample.entries), 'completed trial')}, {first[0]} explains "
        f"{write_share(first[1])} by itself{named}{_say_rest(sample, first[1] + sum(share for _, share in following))}."
    )


def _say_rest(sample: FinishedPoint, named: float) -> str:
    """Return a clause about the variance that no named setting explains; "" where there is none."""
    unexplained = 1 - named
    if unexplained < ROUNDED:
        return ""
    where = "other settings and in how settings act together" if len(sample.names) > NAMED else ""
    return f"; the other {write_share(unexplained)} lies in {where or 'how settings act together'}"


def _parallel_words(sample: FinishedPoint) -> str:
    return f"Lines: validation mIoU and {', '.join(sample.names)} of each trial"


def _plot(draw: "Callable[[Study], Any]", sample: FinishedPoint) -> Axes:
    """Return Optuna's plot of the sample, without its title, legend and colour bar."""
    mpl.use("Agg")  # Optuna draws through pyplot, which would open a window
    from matplotlib import pyplot

    with quiet(), mpl.rc_context():  # Optuna sets a style of its own for all that is drawn later
        axes: Axes = draw(sample.study)
    figure = _figure_of(axes)
    for item in [plot for plot in figure.axes if plot.get_label() == "<colorbar>"]:
        item.remove()
    pyplot.close(figure)
    axes.set_title("", loc="left")
    axes.set_title("")
    legend = axes.get_legend()
    if legend is not None:
        legend.remove()
    axes.set_facecolor("none")
    axes.tick_params(colors=MUTED)  # from here on: none of the style that Optuna sets
    axes.grid(False)
    axes.spines[:].set_color(RULE)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.label.set(color=MUTED, size=12)
    figure.patch.set_alpha(0)
    return axes


def _place(
    axes: Axes, width_px: float, height_px: float, *, left: float, right: float, top: float, bottom: float
) -> Figure:
    """Set the size and the margins of Optuna's figure in pixels; return the figure."""
    figure = _figure_of(axes)
    figure.set_dpi(72)
    figure.set_size_inches(width_px / 72, height_px / 72)
    box = (left / width_px, bottom / height_px, 1 - (left + right) / width_px, 1 - (top + bottom) / height_px)
    for plot in figure.axes:
        plot.set_position(box)
    return figure


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _values(sample: FinishedPoint, key: str) -> list[float]:
    """Return the distinct numbers of a setting, ascending; nothing where its values are names."""
    values = {entry.settings.get(key) for entry in sample.entries}
    return sorted(pick_numbers(values)) if are_numbers(values) else []

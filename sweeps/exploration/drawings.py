"""Drawings that several sections share: bars, lines and maps, in the placeholder colours of the theme."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sweeps.report.section import Drawing
from sweeps.report.theme import COLOUR, HALF_PX, INK, MUTED, NARROW_PX, RULE, WIDE_PX, build_canvas, quiet_axes

SERIES = ("leader", "runner-up", "reference", "quiet")
"""Colours of several series, in order."""

LETTER_PX = 7.2
LONGEST = 22
"""Letters of a label of a bar."""


@dataclass(frozen=True)
class Bars:
    """Groups of horizontal bars.

    Shape:
        values: (rows, series); NaN draws no bar.
    """

    labels: tuple[str, ...]
    series: tuple[str, ...]
    values: np.ndarray
    texts: tuple[tuple[str, ...], ...]
    """What is written at the end of each bar."""
    is_half: bool = False
    """Whether two of them stand side by side on a wide page."""


def draw_bars(bars: Bars, alt_text: str) -> Drawing:
    """Return the drawing of bars."""
    return Drawing(partial(_bars, bars), alt_text)


def _bars(bars: Bars, *, wide: bool) -> Figure:
    count = len(bars.series)
    band = count * 17 + 12
    has_names = count > 1
    labels = [_shorten(label, LONGEST) for label in bars.labels]
    left_px = 14 + LETTER_PX * max(map(len, labels))
    right = 16 + LETTER_PX * max(len(text) for texts in bars.texts for text in texts)
    top = 26 if has_names else 4
    width = (HALF_PX if bars.is_half else WIDE_PX) if wide else NARROW_PX
    height = band * len(labels)
    figure, axes = build_canvas(width, height + top + 4, left=left_px, right=right, top=top, bottom=4)
    most = float(np.nanmax(bars.values, initial=0)) or 1.0
    thickness = 14 / band
    for series in range(count):
        centres = np.arange(len(labels)) + (series - (count - 1) / 2) * 17 / band
        axes.barh(centres, np.nan_to_num(bars.values[:, series]), height=thickness, color=COLOUR[SERIES[series]])
        for centre, value, texts in zip(centres, bars.values[:, series], bars.texts, strict=True):
            axes.annotate(texts[series], (np.nan_to_num(value), centre), (5, 0), textcoords="offset points",
                          va="center", size=11)  # fmt: skip
    axes.set(xlim=(0, most), ylim=(len(labels) - 0.5, -0.5))
    axes.set_yticks(range(len(labels)), labels)
    quiet_axes(axes)
    if has_names:
        _name_series(figure, bars.series, width, height + top + 4)
    return figure


def _name_series(figure: Figure, series: Sequence[str], width: float, height: float) -> None:
    """Write the names of the series with their colours above the plot."""
    x = 14.0
    for number, name in enumerate(series):
        figure.text(x / width, 1 - 15 / height, "■ ", color=COLOUR[SERIES[number]], size=11)
        figure.text((x + 14) / width, 1 - 15 / height, name, color=INK, size=11)
        x += 30 + LETTER_PX * len(name)


@dataclass(frozen=True)
class Curves:
    """Lines over sizes, each with a name at its end.

    Shape:
        values: (curves, ticks).
    """

    names: tuple[str, ...]
    colours: tuple[str, ...]
    """CSS colours as `rgb(1, 2, 3)`, or names of the theme."""
    ticks: tuple[str, ...]
    values: np.ndarray
    label: str


def draw_curves(curves: Curves, alt_text: str) -> Drawing:
    """Return the drawing of lines."""
    return Drawing(partial(_curves, curves), alt_text)


def _curves(curves: Curves, *, wide: bool) -> Figure:
    width, height = (WIDE_PX, 400) if wide else (NARROW_PX, 340)
    right = 20 + LETTER_PX * max(map(len, curves.names))
    figure, axes = build_canvas(width, height, left=46, right=min(right, 150), top=12, bottom=44)
    positions = np.arange(len(curves.ticks))
    for colour, values in zip(curves.colours, curves.values, strict=True):
        is_main = colour in COLOUR
        axes.plot(positions, values, color=COLOUR[colour] if is_main else _rgb(colour), lw=3 if is_main else 1.6,
                  marker="o", ms=5 if is_main else 3.5, clip_on=False)  # fmt: skip
    low = float(np.nanmin(curves.values))
    axes.set(xlim=(0, len(positions) - 1), ylim=(max(0.0, low - 0.05), 1.0))
    axes.set_xticks(positions, curves.ticks)
    axes.set_xlabel(curves.label, x=0, ha="left")
    axes.grid(axis="y", color=RULE, lw=0.6)
    _label_ends(axes, curves, height)
    return figure


def _label_ends(axes: Axes, curves: Curves, height: float) -> None:
    """Write the name of each line at its end, moved apart where two would overlap, inside the plot."""
    low, high = axes.get_ylim()
    plot_px = height - 56
    ends = curves.values[:, -1]
    order = [index for index in np.argsort(np.nan_to_num(ends), kind="stable") if np.isfinite(ends[index])]
    step = min(15.0, plot_px / max(1, len(order)))
    heights = (ends[order] - low) / (high - low) * plot_px
    for number in range(1, len(order)):
        heights[number] = max(heights[number], heights[number - 1] + step)
    ceiling = plot_px
    for number in reversed(range(len(order))):
        heights[number] = ceiling = min(heights[number], ceiling)
        ceiling -= step
    for index, height_px in zip(order, heights, strict=True):
        axes.annotate(
            curves.names[index],
            (1, height_px / plot_px),
            (8, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            size=min(11, step - 2),
            annotation_clip=False,
        )


def _shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(level) / 255 for level in colour.strip("rgb()").split(","))


@dataclass(frozen=True)
class Maps:
    """Small maps of where something lies.

    Shape:
        values: (maps, H, W), each coloured from 0 to its largest value.
    """

    titles: tuple[str, ...]
    notes: tuple[str, ...]
    values: np.ndarray
    aspect: float
    """Height of an image divided by its width."""


def draw_maps(maps: Maps, alt_text: str) -> Drawing:
    """Return the drawing of maps, several in a row."""
    return Drawing(partial(_maps, maps), alt_text)


def _maps(maps: Maps, *, wide: bool) -> Figure:
    columns = min(len(maps.titles), 5 if wide else 2)
    width = WIDE_PX if wide else NARROW_PX
    rows = -(-len(maps.titles) // columns)
    cell = (width - 12 * (columns - 1)) / columns
    picture = cell * min(maps.aspect, 1.4)
    height = rows * (picture + 44)
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    for number, (title, note, values) in enumerate(zip(maps.titles, maps.notes, maps.values, strict=True)):
        row, column = divmod(number, columns)
        bottom = height - row * (picture + 44) - 20 - picture
        axes = figure.add_axes((column * (cell + 12) / width, bottom / height, cell / width, picture / height))
        axes.imshow(values, cmap="viridis", vmin=0, vmax=max(float(values.max()), 1e-9), aspect="auto",
                    interpolation="none")  # fmt: skip
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        axes.set_title(_shorten(title, int(cell / 6.6)), loc="left", size=12, pad=5)
        axes.text(0, -6 / picture, note, transform=axes.transAxes, va="top", size=10, color=MUTED)
    return figure


@dataclass(frozen=True)
class Spreads:
    """The spread of a figure in several groups: 5 to 95 %, quartiles, median.

    Shape:
        quantiles: (rows, 5).
    """

    labels: tuple[str, ...]
    quantiles: np.ndarray
    label: str


def draw_spreads(spreads: Spreads, alt_text: str) -> Drawing:
    """Return the drawing of boxes on lines."""
    return Drawing(partial(_spreads, spreads), alt_text)


def _spreads(spreads: Spreads, *, wide: bool) -> Figure:
    labels = [_shorten(label, 30) for label in spreads.labels]
    left_px = 14 + LETTER_PX * max(map(len, labels))
    width = HALF_PX if wide else NARROW_PX
    figure, axes = build_canvas(
        width, 26 * len(labels) + 44, left=min(left_px, width * 0.55), right=14, top=6, bottom=38
    )
    for row, (least, low, middle, high, most) in enumerate(spreads.quantiles):
        axes.plot([least, most], [row, row], color=MUTED, lw=1)
        axes.barh(row, high - low, left=low, height=0.5, color=COLOUR["leader"])
        axes.plot([middle, middle], [row - 0.25, row + 0.25], color=INK, lw=2)
    axes.set(ylim=(len(labels) - 0.5, -0.5))
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel(spreads.label, x=0, ha="left")
    axes.tick_params(axis="y", colors=INK)
    axes.grid(axis="x", color=RULE, lw=0.6)
    axes.set_axisbelow(True)
    return figure


def quantile_rows(values: np.ndarray, groups: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return 5, 25, 50, 75 and 95 % of the values of each group.

    Shape:
        returns: (groups, 5).
    """
    return np.array([np.quantile(values[member], (0.05, 0.25, 0.5, 0.75, 0.95)) for member in groups.values()])

"""Report validation mIoU over pairs of settings: heat maps, bars for one setting, points for many values."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bddseg.config import TrainConfig
from bddseg.errors import ConfigError
from sweeps.report.gather import Report
from sweeps.report.section import Drawing, Section
from sweeps.report.sections.pivot import MOST_PAIRS, Grid, build_grid, list_axes, list_pairs
from sweeps.report.theme import (
    COLOUR,
    DARKEST,
    INK,
    MUTED,
    NARROW_PX,
    PALEST,
    RULE,
    WIDE_PX,
    are_numbers,
    build_canvas,
    plain_name,
    quiet_axes,
    scale_axis,
    short_keys,
    write_label,
    write_labels,
)

TALLEST_PX = 1200
TINY_PX, SMALL_PX = 34, 64
"""Widths below which a cell has two decimals and no note, and a short note."""


def build_section(report: Report) -> Section | None:
    """Return the heat maps of all pairs of axes; None where no axis varies."""
    axes = list_axes(report)
    if not axes:
        return None
    grids = {plain_name("-".join(keys)): build_grid(report, keys) for keys in list_pairs(axes)}
    drawings = {name: Drawing(partial(draw_grid, report, grid), _alternative(grid)) for name, grid in grids.items()}
    short = short_keys(axes)
    titles = {name: " × ".join(short[key] for key in grid.keys) for name, grid in grids.items()}
    dropped = max(0, len(axes) * (len(axes) - 1) // 2 - MOST_PAIRS)
    data = {"titles": titles, "grids": grids, "dropped": dropped}
    return Section("grid", "The grid", _sentence(report, next(iter(grids.values())), len(grids)), drawings, data)


def draw_grid(report: Report, grid: Grid, *, wide: bool) -> Figure:
    """Return bars for one axis, a heat map for two, points where an axis has many values."""
    if not grid.is_dense:
        return _draw_points(report, grid, wide=wide)
    return _draw_values(report, grid, wide=wide) if len(grid.keys) == 1 else _draw_heat(report, grid, wide=wide)


def _draw_heat(report: Report, grid: Grid, *, wide: bool) -> Figure:
    across, down = map(len, grid.values)
    if (across < down) if wide else (across > down):  # the longer axis along the longer side
        grid = grid.turned()
    columns, rows = (write_labels(values) for values in grid.values)
    left_px = 16 + 7.2 * max(map(len, rows))
    cell = min(150.0, ((WIDE_PX if wide else NARROW_PX) - left_px - 4) / len(columns))
    tilted = max(map(len, columns)) * 7.2 > cell
    bottom = 48 + (7.2 * max(map(len, columns)) if tilted else 0)
    figure, axes = build_canvas(
        left_px + cell * len(columns) + 4, 60 * len(rows) + bottom + 4, left=left_px, right=4, top=4, bottom=bottom
    )
    span = _range(grid)
    for x, column in enumerate(grid.values[0]):
        for y, row in enumerate(grid.values[1]):
            _draw_cell(axes, (x, y), grid, (column, row), _shade(grid.score((column, row)), span), report, cell)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xticks(range(len(columns)), columns, rotation=90 if tilted else 0)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel(f"{grid.keys[0]} across, {grid.keys[1]} down", x=0, ha="left")
    axes.spines[:].set_visible(False)
    return figure


def _draw_cell(
    axes: Axes,
    centre: tuple[int, int],
    grid: Grid,
    point: tuple[Any, ...],
    shade: float,
    report: Report,
    width_px: float,
) -> None:
    """Draw one cell; the leader's has a frame, the reference's a note."""
    entry = grid.cells.get(point)
    corner = (centre[0] - 0.47, centre[1] - 0.46)
    leads = entry is not None and entry.trial_id == report.leader.trial_id
    edge, line = (INK, 2.0) if leads else (RULE, 0.8)
    heat = to_rgba(COLOUR["heat"], shade)
    axes.add_patch(Rectangle(corner, 0.94, 0.92, facecolor=heat, edgecolor=edge, lw=line))
    value, notes = _words(report, grid, point, short=width_px < SMALL_PX)
    notes = notes if width_px >= TINY_PX else []
    lift = {0: 0.0, 1: 0.13}.get(len(notes), 0.22)
    size = 14.0 if width_px >= SMALL_PX else 11.0 if width_px >= TINY_PX else 9.0
    text = value if width_px >= TINY_PX or "." not in value else f"{float(value):.2f}".lstrip("0")
    axes.text(centre[0], centre[1] - lift, text, ha="center", va="center", size=size, weight="bold")
    for line_number, note in enumerate(notes):
        down = centre[1] + (0.22 if len(notes) == 1 else 0.08 + 0.24 * line_number)
        axes.text(centre[0], down, note, ha="center", va="center", size=8 if width_px < SMALL_PX else 10)


def _words(report: Report, grid: Grid, point: tuple[Any, ...], *, short: bool = False) -> tuple[str, list[str]]:
    """Return the text of a cell: its figure, how its trial ended if it did not complete, and the mean of all."""
    entry, score = grid.cells.get(point), grid.score(point)
    if entry is None:
        return "–", [_why_empty(report, grid, point)]
    if score is None:
        return "–", [entry.stop_words]
    mean, count = grid.means[point]
    ended = {"failed": entry.stop_words, "stopped": f"stopped at {entry.epochs}"}.get(entry.state, "")
    ended = f"at {entry.epochs}" if short and entry.state == "stopped" else ended
    average = (f"({mean:.3f})" if short else f"mean {mean:.3f} of {count}") if count > 1 else ""
    return f"{score:.3f}", [*filter(None, [ended, average or ("reference" if entry.is_reference else "")])]


def _why_empty(report: Report, grid: Grid, point: tuple[Any, ...]) -> str:
    """Return why no trial has these settings: one of them has no effect here, or it was not run."""
    wanted = dict(zip(grid.keys, point, strict=True))
    try:
        folded = TrainConfig.from_record({**report.leader.settings, **wanted}).folded().flat()
    except ConfigError:
        return "not run"
    return "no effect" if any(folded[key] != value for key, value in wanted.items()) else "not run"


def _range(grid: Grid) -> tuple[float, float]:
    """Return the lowest and the highest figure of all cells, between which shades are scaled."""
    scores = [score for point in grid.cells if (score := grid.score(point)) is not None]
    return min(*scores, max(scores) - 1e-9), max(scores)


def _shade(score: float | None, span: tuple[float, float]) -> float:
    """Return the opacity of a figure's heat."""
    if score is None:
        return 0.0
    return PALEST + (score - span[0]) / (span[1] - span[0]) * (DARKEST - PALEST)


def _draw_values(report: Report, grid: Grid, *, wide: bool) -> Figure:
    names = write_labels(grid.values[0])
    left_px = 16 + 7.2 * max(map(len, names))
    figure, axes = build_canvas(
        WIDE_PX if wide else NARROW_PX, 38 * len(names) + 44, left=left_px, right=200 if wide else 120, top=4, bottom=40
    )
    for y, value in enumerate(grid.values[0]):
        entry, score = grid.cells.get((value,)), grid.score((value,))
        role = report.role(entry) if entry is not None else ""
        axes.barh(y, score or 0, height=0.62, color=COLOUR[role or "quiet"])
        text, notes = _words(report, grid, (value,), short=not wide)
        note = " · ".join(filter(None, [text, *notes, role if role not in notes else ""]))
        axes.text((score or 0) + 0.01, y, note, va="center", size=12)
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(f"validation mIoU by {grid.keys[0]}", x=0, ha="left")
    quiet_axes(axes)
    return figure


def _draw_points(report: Report, grid: Grid, *, wide: bool) -> Figure:
    """Return a point for each cell: where its settings are, its figure as its shade; of one axis, as its height."""
    labels = [] if len(grid.keys) == 1 or are_numbers(grid.values[1]) else write_labels(grid.values[1])
    left_px = 16 + 7.2 * max(map(len, labels)) if labels else 64.0
    height = min(44 * len(labels), TALLEST_PX) + 58 if labels else 420 if wide else 340
    figure, axes = build_canvas(WIDE_PX if wide else NARROW_PX, height, left=left_px, right=16, top=10, bottom=48)
    across = scale_axis(axes, "x", grid.values[0])
    down = scale_axis(axes, "y", grid.values[1]) if len(grid.keys) > 1 else {}
    span = _range(grid)
    spots: dict[bool, list[tuple[float, float, float]]] = {True: [], False: []}
    for point in reversed(list(grid.cells)):  # the best on top
        score = grid.score(point)
        up = down[point[1]] if down else score if score is not None else span[0]
        spots[score is not None].append((across[point[0]], up, _shade(score, span) if down else DARKEST))
    axes.set_ymargin(0.5 / len(labels) if labels else 0.05)
    _scatter(axes, spots[True], is_large=bool(down))
    if spots[False]:
        x, y, _ = zip(*spots[False], strict=True)
        axes.scatter(x, y, marker="x", s=40, lw=1.4, color=MUTED)
    axes.set_xlabel(f"{grid.keys[0]} across, {grid.keys[1] if down else 'validation mIoU'} up", x=0, ha="left")
    axes.grid(color=RULE, lw=0.6)
    axes.set_axisbelow(True)
    return figure


def _scatter(axes: Axes, spots: Sequence[tuple[float, float, float]], *, is_large: bool) -> None:
    """Draw a round point for each place and opacity; the last one, the best, in a frame."""
    fills = [to_rgba(COLOUR["heat"], opacity) for _, _, opacity in spots]
    edges, lines = [RULE] * (len(spots) - 1) + [INK], [0.8] * (len(spots) - 1) + [2.0]
    x, y, _ = zip(*spots, strict=True)
    axes.scatter(x, y, s=150 if is_large else 50, c=fills, edgecolors=edges, linewidths=lines, clip_on=False, zorder=3)


def _alternative(grid: Grid) -> str:
    kind = "Points" if not grid.is_dense else "Heat map" if len(grid.keys) == 2 else "Bars"
    return f"{kind}: validation mIoU by {' and '.join(grid.keys)}"


def _sentence(report: Report, grid: Grid, pairs: int) -> str:
    point = " and ".join(f"{key} {write_label(report.leader.settings.get(key))}" for key in grid.keys)
    best_over = f"; each cell shows the best over {', '.join(grid.other_axes)}" if grid.other_axes else ""
    more = f"; {pairs} pairs of settings are available" if pairs > 1 else ""
    return f"The highest validation mIoU is at {point}{best_over}{more}."

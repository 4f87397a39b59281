"""Report -> matplotlib figures, and a figure -> SVG that takes its colours and type from the page around it."""

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from bddseg.labels import CLASSES, GROUPS
from sweeps.gather import Entry, Report
from sweeps.plan import compact
from sweeps.wording import GROUP_NAMES

INK, MUTED, RULE, PAPER = "#010101", "#020202", "#030303", "#040404"
THEME = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    PAPER: "paper",
    "#050505": "leader",
    "#060606": "runner-up",
    "#070707": "reference",
    "#080808": "quiet",
    "#090909": "heat",
}
"""Colour in a figure -> name of the page's colour that takes its place, in light and in dark."""

COLOUR = {name: colour for colour, name in THEME.items()}

PALEST, DARKEST = 0.06, 0.6
"""Opacity of the lowest and highest heat: ink on it stays readable on light and on dark paper."""

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 12,
    "font.sans-serif": ["DejaVu Sans"],
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}

MANY = 60
"""More curves than this are drawn finer."""

WIDE_PX, HALF_PX, NARROW_PX = 1080, 524, 352


@dataclass(frozen=True)
class Grid:
    """The best trial at each point of one or two axes."""

    keys: tuple[str, ...]
    """One or two settings: along x, along y."""
    values: tuple[tuple[Any, ...], ...]
    cells: dict[tuple[Any, ...], Entry]
    others: tuple[str, ...]
    """Axes over which the best was taken."""

    def turned(self) -> "Grid":
        """Return the grid with its two axes exchanged."""
        cells = {point[::-1]: entry for point, entry in self.cells.items()}
        return Grid(self.keys[::-1], self.values[::-1], cells, self.others)


def build_grid(report: Report) -> Grid | None:
    """Return the first two axes that vary, or the only one; None where the sweep has no axis."""
    axes = [key for key in report.facts["axes"] if key in report.varying]
    if not axes:
        return None
    keys = tuple(axes[:2])
    cells: dict[tuple[Any, ...], Entry] = {}
    for entry in report.trials:  # the best first: whoever comes first at a point stays
        cells.setdefault(tuple(entry.settings.get(key) for key in keys), entry)
    values = tuple(_ordered([entry.settings.get(key) for entry in report.trials]) for key in keys)
    return Grid(keys, values, cells, tuple(axes[2:]))


def draw_grid(report: Report, grid: Grid, *, wide: bool) -> Figure:
    """Return bars for one axis, a heat map for two."""
    return _draw_values(report, grid, wide=wide) if len(grid.keys) == 1 else _draw_heat(report, grid, wide=wide)


def draw_classes(report: Report, *, wide: bool) -> Figure:
    """Return the validation IoU of each class as bars, for the trials shown."""
    rows = [(name, [entry.scores.iou.get(name) for entry in report.shown()]) for name in CLASSES]
    return _draw_bars(report, rows, wide=wide)


def draw_groups(report: Report, *, wide: bool) -> Figure:
    """Return the validation mIoU of city and non-city images as bars, for the trials shown."""
    rows = [(GROUP_NAMES[group], [entry.scores.groups.get(group) for entry in report.shown()]) for group in GROUPS]
    return _draw_bars(report, rows, wide=wide)


def draw_curves(report: Report, *, wide: bool) -> Figure:
    """Return validation mIoU over epochs for all trials, the rungs as lines, and how each one ended."""
    figure, axes = _canvas(WIDE_PX if wide else NARROW_PX, 380 if wide else 320, left=44, right=84, top=26, bottom=44)
    shown = {entry.trial_id for entry in report.shown()}
    for entry in report.trials:
        if entry.trial_id not in shown:
            _draw_line(axes, entry, COLOUR["quiet"], 1.2 if len(report.trials) <= MANY else 0.4)
    for entry in reversed(report.shown()):
        _draw_line(axes, entry, COLOUR[report.role(entry)], 2.2)
    _frame_curves(axes, report)
    _label_ends(axes, [(report.role(entry), entry.curve[-1]) for entry in report.shown() if entry.curve])
    return figure


def draw_fit(report: Report, *, wide: bool) -> Figure:
    """Return the leader's mIoU on training and validation images over epochs."""
    figure, axes = _canvas(WIDE_PX if wide else NARROW_PX, 260, left=44, right=84, top=26, bottom=44)
    leader = report.leader
    axes.plot(*zip(*leader.train_curve, strict=True), color=COLOUR["leader"], lw=1.6, ls=(0, (4, 2)))
    axes.plot(*zip(*leader.curve, strict=True), color=COLOUR["leader"], lw=2.2)
    _frame_curves(axes, report)
    _label_ends(axes, [("training", leader.train_curve[-1]), ("validation", leader.curve[-1])])
    return figure


def render_svg(draw: Callable[[], Figure], name: str, words: str) -> str:
    """Return the drawn figure as one `<svg>` element whose text alternative is `words`.

    The same figure is the same text, whenever and wherever it is made; `name` keeps its ids apart from others'.
    """
    buffer = io.StringIO()
    with mpl.rc_context(cast(Any, {**STYLE, "svg.hashsalt": name})), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a name may hold any letter
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        draw().savefig(buffer, format="svg", dpi=72, metadata=nothing)
    return _adopt(buffer.getvalue(), name, words)


def _adopt(svg: str, name: str, words: str) -> str:
    """Return the SVG as part of a page: no prologue, no global style, own ids, colours and type of the page."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)
    box = re.search(r'viewBox="0 0 ([\d.]+) [\d.]+"', body)
    width = box.group(1) if box else str(WIDE_PX)
    opening = f'<svg role="img" aria-label="{escape(words)}" style="max-width: {width}px" viewBox='
    body = re.sub(r"<svg\b.*?viewBox=", lambda _: opening, body, count=1, flags=re.DOTALL)
    body = re.sub(r' id="', f' id="{name}-', body)
    body = re.sub(r'(href="|url\()#', rf"\1#{name}-", body.replace("xlink:href", "href"))
    body = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", body)
    for colour, role in THEME.items():
        body = body.replace(colour, f"var(--{role})")
    return body.strip()


def _ordered(values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the distinct values: numbers ascending, others by name."""
    distinct = list(dict.fromkeys(values))
    numeric = all(isinstance(value, int | float) for value in distinct)
    return tuple(sorted(distinct) if numeric else sorted(distinct, key=str))


def _canvas(
    width_px: float, height_px: float, *, left: float, right: float, top: float, bottom: float
) -> tuple[Figure, Axes]:
    """Return a figure in pixels (one point is one pixel at 72 dpi) with one plot inside its margins."""
    figure = Figure(figsize=(width_px / 72, height_px / 72), dpi=72)
    box = (left / width_px, bottom / height_px, 1 - (left + right) / width_px, 1 - (top + bottom) / height_px)
    return figure, figure.add_axes(box)


def _words(entry: Entry | None) -> tuple[str, str]:
    """Return what stands in a cell: the figure, and how the trial ended where it did not run to the end."""
    if entry is None:
        return "–", "not run"
    ended = {"failed": entry.stop_words, "stopped": f"stopped at {entry.epochs}"}.get(entry.state, "")
    if entry.rank is None or entry.scores.miou is None:
        return "–", entry.stop_words
    return f"{entry.scores.miou:.3f}", ended


def _draw_heat(report: Report, grid: Grid, *, wide: bool) -> Figure:
    across, down = map(len, grid.values)
    if (across < down) if wide else (across > down):  # the longer axis along the longer side
        grid = grid.turned()
    columns, rows = grid.values
    left = 16 + 7.2 * max(len(compact(value)) for value in rows)
    cell = min(150.0, ((WIDE_PX if wide else NARROW_PX) - left - 4) / len(columns))
    figure, axes = _canvas(left + cell * len(columns) + 4, 60 * len(rows) + 52, left=left, right=4, top=4, bottom=48)
    low, high = _range(grid)
    for x, column in enumerate(columns):
        for y, row in enumerate(rows):
            _draw_cell(axes, (x, y), grid.cells.get((column, row)), (low, high), report, small=cell < 64)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xticks(range(len(columns)), [compact(value) for value in columns])
    axes.set_yticks(range(len(rows)), [compact(value) for value in rows])
    axes.set_xlabel(f"{grid.keys[0]} across, {grid.keys[1]} down")
    axes.spines[:].set_visible(False)
    return figure


def _draw_cell(
    axes: Axes, at: tuple[int, int], entry: Entry | None, span: tuple[float, float], report: Report, *, small: bool
) -> None:
    """Draw one cell; the leader's has a frame, the reference's says so."""
    value, ended = _words(entry)
    score = entry.scores.miou if entry is not None and entry.rank else None
    share = 0.0 if score is None else max(0.0, (score - span[0]) / (span[1] - span[0]))
    opacity = 0.0 if score is None else PALEST + share * (DARKEST - PALEST)
    corner = (at[0] - 0.47, at[1] - 0.46)
    axes.add_patch(Rectangle(corner, 0.94, 0.92, facecolor=COLOUR["heat"], alpha=opacity, lw=0))
    leads = entry is not None and entry.trial_id == report.leader.trial_id
    edge, line = (INK, 2.0) if leads else (RULE, 0.8)
    axes.add_patch(Rectangle(corner, 0.94, 0.92, facecolor="none", edgecolor=edge, lw=line))
    note = " · ".join(filter(None, [ended, "reference" if entry is not None and entry.is_reference else ""]))
    size = 11 if small else 14
    axes.text(at[0], at[1] - (0.12 if note else 0), value, ha="center", va="center", size=size, weight="bold")
    axes.text(at[0], at[1] + 0.22, note, ha="center", va="center", size=8 if small else 10.5)


def _range(grid: Grid) -> tuple[float, float]:
    """Return the lowest and highest figure of the cells' trials that were not stopped: shades tell between these."""
    known = [(entry.state, entry.scores.miou) for entry in grid.cells.values() if entry.rank]
    scores = [score or 0.0 for state, score in known if state != "stopped"] or [score or 0.0 for _, score in known]
    high = max(score or 0.0 for _, score in known)
    return min(*scores, high - 1e-9), high


def _draw_values(report: Report, grid: Grid, *, wide: bool) -> Figure:
    names = [compact(value) for value in grid.values[0]]
    left = 16 + 7.2 * max(map(len, names))
    width = WIDE_PX if wide else NARROW_PX
    figure, axes = _canvas(width, 38 * len(names) + 44, left=left, right=170 if wide else 120, top=4, bottom=40)
    for y, value in enumerate(grid.values[0]):
        entry = grid.cells.get((value,))
        score = entry.scores.miou if entry is not None and entry.rank else None
        role = report.role(entry) if entry is not None else ""
        axes.barh(y, score or 0, height=0.62, color=COLOUR[role or "quiet"])
        note = " · ".join(filter(None, [*_words(entry), role]))
        axes.text((score or 0) + 0.01, y, note, va="center", size=12)
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(f"validation mIoU by {grid.keys[0]}")
    _quiet_axes(axes)
    return figure


def _draw_bars(report: Report, rows: Sequence[tuple[str, Sequence[float | None]]], *, wide: bool) -> Figure:
    """Return groups of horizontal bars from 0 to 1, one bar per shown trial, each with its figure."""
    shown = report.shown()
    height = (len(shown) * 19 + 14) * len(rows)
    figure, axes = _canvas(HALF_PX if wide else NARROW_PX, height + 8, left=88, right=46, top=4, bottom=4)
    thickness = 16 / (len(shown) * 19 + 14)
    for y, (_, values) in enumerate(rows):
        for place, (entry, value) in enumerate(zip(shown, values, strict=True)):
            at = y + (place - (len(shown) - 1) / 2) * thickness * 19 / 16
            axes.barh(at, value or 0, height=thickness, color=COLOUR[report.role(entry)])
            axes.text((value or 0) + 0.012, at, "–" if value is None else f"{value:.3f}", va="center", size=11)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    _quiet_axes(axes)
    return figure


def _quiet_axes(axes: Axes) -> None:
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", colors=INK)


def _draw_line(axes: Axes, entry: Entry, colour: str, width: float) -> None:
    """Draw a trial's curve; a dot where it was stopped, a cross where it failed."""
    if not entry.curve:
        return
    epochs, values = zip(*entry.curve, strict=True)
    dashes: Mapping[str, Any] = {"ls": (0, (4, 2))} if entry.is_reference and colour != COLOUR["leader"] else {}
    axes.plot(epochs, values, color=colour, lw=width, solid_capstyle="round", **dashes)
    marker, size = {"stopped": ("o", 5), "failed": ("x", 8)}.get(entry.state, ("", 0))
    ink = MUTED if colour == COLOUR["quiet"] else colour
    axes.plot(epochs[-1], values[-1], marker=marker, ms=size, color=ink, mew=2 if marker == "x" else 0, zorder=5)


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
        axes.annotate(f"rung {rung}", (rung, 1), (0, 6), xycoords=("data", "axes fraction"), textcoords="offset points",
                      ha="center", size=11, color=MUTED)  # fmt: skip


def _label_ends(axes: Axes, ends: Sequence[tuple[str, tuple[int, float]]]) -> None:
    """Write a name at the end of each line, moved apart where two would overlap."""
    low, high = axes.get_ylim()
    height = axes.get_window_extent().height  # in pixels: the figure has 72 dots per inch
    lowest = -1e9
    for name, (epoch, value) in sorted(ends, key=lambda end: end[1][1]):
        at = max((value - low) / (high - low) * height, lowest + 15)
        lowest = at
        axes.annotate(name, (epoch, at / height), (8, 0), xycoords=("data", "axes fraction"),
                      textcoords="offset points", va="center", size=12)  # fmt: skip

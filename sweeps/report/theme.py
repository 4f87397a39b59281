"""Colours, sizes, type and scales of figures, and their rendering as SVG in the page's colours."""

import hashlib
import io
import math
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from sweeps.formatting import compact, longer_words

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
"""Placeholder colour in a figure -> name of the page's colour, light or dark, that replaces it."""

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

WIDE_PX, HALF_PX, NARROW_PX = 1080, 524, 352
TITLE = "title:"
LABEL_CHARS = 26
FRACTION = re.compile(r"-?\d+\.\d{3,}")
LOGARITHMIC, LARGEST = 20, 1e300
"""Ratio of largest to smallest number from which the scale is logarithmic; numbers above LARGEST are ignored."""


def render_svg(draw: Callable[[], Figure], name: str, alt_text: str) -> str:
    """Return the drawn figure as one `<svg>` element whose text alternative is `alt_text`.

    The same figure is the same text, whenever and wherever it is made; `name` keeps its ids apart from others'.
    """
    buffer = io.StringIO()
    with mpl.rc_context(cast(Any, {**STYLE, "svg.hashsalt": name})), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a name may hold any letter
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        draw().savefig(buffer, format="svg", dpi=72, metadata=nothing)
    return _adopt(buffer.getvalue(), name, alt_text)


def title_gid(title: str) -> str:
    """Return the group id that gives an artist a tooltip."""
    return f"{TITLE}{title}"


def _adopt(svg: str, name: str, alt_text: str) -> str:
    """Return the SVG as part of a page: no prologue, no global style, own ids, colours and type of the page."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)
    box = re.search(r'viewBox="0 0 ([\d.]+) [\d.]+"', body)
    width = box.group(1) if box else str(WIDE_PX)
    opening = f'<svg role="img" aria-label="{escape(alt_text)}" style="max-width: {width}px" viewBox='
    body = re.sub(r"<svg\b.*?viewBox=", lambda _: opening, body, count=1, flags=re.DOTALL)
    body = re.sub(rf"<g id=(['\"]){TITLE}(.*?)\1>", r"<g><title>\2</title>", body)
    body = re.sub(r' id="', f' id="{name}-', body)
    body = re.sub(r'(href="|url\()#', rf"\1#{name}-", body.replace("xlink:href", "href"))
    body = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", body)
    for colour, role in THEME.items():
        body = body.replace(colour, f"var(--{role})")
    return re.sub(r' (d|x|y|points)="([^"]*)"', _shorten, body).strip()


def _shorten(attribute: re.Match[str]) -> str:
    """Return an attribute with its numbers rounded to a hundredth of a pixel: a third of the size, visually equal."""
    return f' {attribute[1]}="{re.sub(FRACTION, _round, attribute[2])}"'


def _round(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def order_values(values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the distinct values: numbers ascending, others by name."""
    distinct = list(dict.fromkeys(values))
    return tuple(sorted(distinct) if are_numbers(distinct) else sorted(distinct, key=str))


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Return a short name for each setting: `lr`, `loss`; its whole key where two would be alike."""
    names = {key: key.split(".")[0] if key.endswith(".name") else key.split(".")[-1] for key in keys}
    alike = {name for name in names.values() if list(names.values()).count(name) > 1}
    return {key: key if name in alike else name for key, name in names.items()}


def plain_name(text: str) -> str:
    """Return a name for files and ids; a changed name gets a part of its hash."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:100]
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"


def are_numbers(values: Iterable[Any]) -> bool:
    """Return whether all values are numbers; true and false are names here."""
    listed = list(values)
    return len(pick_numbers(listed)) == len(listed)


def pick_numbers(values: Iterable[Any]) -> list[float]:
    """Return the finite numbers among the values."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return [value for value in numbers if abs(value) < LARGEST]


def write_label(value: Any) -> str:
    """Return a value as an axis label, shortened to fit."""
    return write_labels([value])[0]


def write_labels(values: Sequence[Any]) -> list[str]:
    """Return the values as axis labels: numbers with enough digits to differ."""
    longer = longer_words(values)
    texts = [longer.get(value) or compact(value) for value in values]
    return [text if len(text) <= LABEL_CHARS else f"{text[: LABEL_CHARS - 1]}…" for text in texts]


def write_tick(value: float) -> str:
    """Return a difference in points as a tick label, with as few digits as possible."""
    return f"{round(value * 100, 2) + 0.0:+g}".replace("-", "−") if abs(value) > 1e-9 else "0"


def label_room(labels: Sequence[str], least: int) -> int:
    """Return the pixels that the longest label of an axis needs, but no fewer than `least`."""
    return max(least, round(6.6 * max(map(len, labels), default=0)) + 6)


def shorten_middle(name: str, letters: int) -> str:
    """Return a name shortened in its middle: both ends distinguish trials."""
    if len(name) <= letters:
        return name
    half = (letters - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def are_logarithmic(values: Iterable[float]) -> bool:
    """Return whether values need a logarithmic scale: positive, and far apart."""
    numbers = list(values)
    return min(numbers) > 0 and max(numbers) / min(numbers) >= LOGARITHMIC


def scale_axis(axes: Axes, along: str, values: Sequence[Any]) -> dict[Any, float]:
    """Scale the axis "x" or "y" for its values, and set its ticks; return the position of each value."""
    axis = axes.xaxis if along == "x" else axes.yaxis
    if not are_numbers(values):
        axis.set_ticks(range(len(values)), write_labels(values))
        return {value: index for index, value in enumerate(values)}
    if not are_logarithmic(values):
        return {value: value for value in values}
    (axes.set_xscale if along == "x" else axes.set_yscale)("log")
    scale_ticks(axis, values)
    return {value: value for value in values}


def scale_ticks(axis: Axis, values: Iterable[float]) -> None:
    """Give a logarithmic axis ticks at the powers of ten that the values lie between."""
    numbers = list(values)
    powers = range(math.floor(math.log10(min(numbers))), math.ceil(math.log10(max(numbers))) + 1)
    low, high = axis.get_view_interval()
    axis.set_ticks([10.0**power for power in powers], [compact(10.0**power) for power in powers])
    axis.set_ticks([], minor=True)
    axis.set_view_interval(low, high, ignore=True)


def build_canvas(
    width_px: float, height_px: float, *, left: float, right: float, top: float, bottom: float
) -> tuple[Figure, Axes]:
    """Return a figure in pixels (one point is one pixel at 72 dpi) with one plot inside its margins."""
    figure = Figure(figsize=(width_px / 72, height_px / 72), dpi=72)
    box = (left / width_px, bottom / height_px, 1 - (left + right) / width_px, 1 - (top + bottom) / height_px)
    return figure, figure.add_axes(box)


def quiet_axes(axes: Axes) -> None:
    """Remove the scale along x."""
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", colors=INK)


def label_ends(axes: Axes, ends: Sequence[tuple[str, tuple[int, float]]]) -> None:
    """Write a name at the end of each line, moved apart where two would overlap."""
    low, high = axes.get_ylim()
    height = axes.get_window_extent().height  # in pixels: the figure has 72 dots per inch
    lowest = -1e9
    for name, (epoch, value) in sorted(ends, key=lambda end: end[1][1]):
        height_px = max((value - low) / (high - low) * height, lowest + 15)
        lowest = height_px
        axes.annotate(name, (epoch, height_px / height), (8, 0), xycoords=("data", "axes fraction"),
                      textcoords="offset points", va="center", size=12)  # fmt: skip

"""Render drawings as SVG in two widths for the page, and as separate SVG and PNG files."""

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure

from sweeps.report.section import Drawing, Section
from sweeps.report.theme import STYLE, THEME, render_svg

LIGHT = {
    "paper": "#fcfcfa",
    "ink": "#1c2127",
    "muted": "#5b6470",
    "rule": "#dfe0dc",
    "leader": "#0072b2",
    "runner-up": "#9c5c00",
    "reference": "#616a75",
    "quiet": "#b9bec4",
    "heat": "#0b5c8f",
}
"""Name of a colour -> the page's colour on light paper."""

PRINTED = {sentinel: LIGHT[name] for sentinel, name in THEME.items()}
PNG_SCALE = 2
COLOURED = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")


@dataclass(frozen=True)
class RenderedFigure:
    """A rendered drawing."""

    wide: str
    """SVG for wide pages, escaped by `render_svg`."""
    narrow: str
    png: bytes


class RenderedFigures:
    """The drawings of a report's sections, each drawn once, on request."""

    def __init__(self) -> None:
        self._drawn: dict[tuple[str, str], RenderedFigure] = {}
        """By section and name."""

    def show(self, section: Section, name: str) -> Markup:
        """Return a drawing twice: for wide pages and for narrow ones."""
        rendered = self._find(section, name)
        html = f'<div class="figure wide">{rendered.wide}</div>\n<div class="figure narrow">{rendered.narrow}</div>'
        return Markup(html)  # noqa: S704

    def files(self, sections: Sequence[Section]) -> dict[str, bytes]:
        """Return the name and content of each drawing's files."""
        files: dict[str, bytes] = {}
        for section in sections:
            for name in section.drawings:
                rendered, stem = self._find(section, name), f"{section.name}-{name}"
                files |= {f"{stem}.svg": stand_alone(rendered.wide).encode(), f"{stem}.png": rendered.png}
        return files

    def _find(self, section: Section, name: str) -> RenderedFigure:
        key = (section.name, name)
        if key not in self._drawn:
            self._drawn[key] = render_figure(*key, section.drawings[name])
        return self._drawn[key]


def render_figure(section: str, name: str, drawing: Drawing) -> RenderedFigure:
    """Return the drawing in both widths and as PNG; the same drawing is the same bytes."""
    alt_text = f"{drawing.alt_text}; the tables of this page hold the same figures."
    drawn: list[Figure] = []

    def draw_wide() -> Figure:
        drawn.append(drawing.draw(wide=True))
        return drawn[0]

    wide = render_svg(draw_wide, f"{section}-{name}-wide", alt_text)
    narrow = render_svg(partial(drawing.draw, wide=False), f"{section}-{name}-narrow", alt_text)
    return RenderedFigure(wide, narrow, render_png(drawn[0]))


def stand_alone(svg: str) -> str:
    """Return a page's SVG as a file of its own: colours, type and paper are in it."""
    for name, colour in LIGHT.items():
        svg = svg.replace(f"var(--{name})", colour)
    svg = svg.replace("var(--sans)", "sans-serif")
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" style="background: {LIGHT["paper"]}"'
    return re.sub(r'<svg( role="img" aria-label="[^"]*") style="[^"]*"', rf"{opening}\1", svg, count=1) + "\n"


def render_png(figure: Figure) -> bytes:
    """Return a figure that was drawn for a page as PNG, in the colours of light paper."""
    buffer = io.BytesIO()
    style = {key: _printed(value) for key, value in STYLE.items()} | {"savefig.facecolor": LIGHT["paper"]}
    with mpl.rc_context(cast(Any, style)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        recolour(figure)
        figure.savefig(
            buffer, format="png", dpi=72 * PNG_SCALE, metadata={"Software": None}, pil_kwargs={"compress_level": 4}
        )
    return buffer.getvalue()


def recolour(figure: Figure) -> None:
    """Replace the placeholder colours by those of light paper."""
    for artist in figure.findobj():
        for name in COLOURED:
            _recolour(artist, name)


def _recolour(artist: Artist, name: str) -> None:
    read, write = getattr(artist, f"get_{name}", None), getattr(artist, f"set_{name}", None)
    if read is None or write is None:
        return
    value = read()
    if isinstance(value, np.ndarray) and value.ndim == 2 and len(value):
        rows = [_printed_row(row) for row in value]
        if not np.array_equal(rows, value):
            write(rows)
        return
    if isinstance(value, str) and value in ("none", "auto"):
        return
    if isinstance(value, str | tuple) and len(value):
        drawn = to_rgba(cast(Any, value))
        if (rgba := _printed_row(drawn)) != drawn:
            write(rgba)


def _printed_row(row: Any) -> tuple[float, float, float, float]:
    red, green, blue, alpha = map(float, row)
    printed = PRINTED.get(to_hex((red, green, blue)))
    return (red, green, blue, alpha) if printed is None else to_rgba(printed, alpha)


def _printed(value: Any) -> Any:
    return PRINTED.get(value, value) if isinstance(value, str) else value

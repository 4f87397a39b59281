"""What a section of the page consists of: tables, figures, pictures; the same numbers go to CSV and JSON."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sweeps.formatting import quote_formula
from sweeps.report.section import Drawing, Section


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    title: str
    kind: str = "text"
    """How its values are written: text, count, share, exact_share, iou, number, chance or points."""


@dataclass(frozen=True)
class Link:
    """A value of a table that leads to a picture."""

    value: Any
    position: int
    """Of the image."""


@dataclass(frozen=True)
class Table:
    """A table of the page, and a CSV file of its name."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""
    is_folded: bool = False
    chips: tuple[str, ...] = ()
    """CSS colour at the first cell of each row."""
    shades: tuple[tuple[float, ...], ...] = ()
    """Heat of each cell after the first, from 0 to 1; NaN for none."""

    def csv(self) -> str:
        """Return the table as CSV; text that a spreadsheet would run as a formula is quoted."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(quote_formula(column.title) for column in self.columns)
        for row in self.rows:
            writer.writerow(_cell(plain(value)) for value in row)
        return buffer.getvalue()

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as objects, for JSON."""
        titles = [column.title for column in self.columns]
        return [dict(zip(titles, map(plain, row), strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Plot:
    """A drawing of the section, with a caption."""

    drawing: str
    title: str = ""
    caption: str = ""
    is_half: bool = False
    """Whether it has half of a wide page, beside another one."""


@dataclass(frozen=True)
class Pick:
    """An image that is shown with its mask."""

    position: int
    caption: str = ""


@dataclass(frozen=True)
class Gallery:
    """Images that are shown for one reason."""

    title: str
    picks: tuple[Pick, ...]
    note: str = ""
    is_folded: bool = False
    is_target: bool = False
    """Whether links lead to its pictures."""


@dataclass(frozen=True)
class Sizes:
    """One image and its mask at several sizes."""

    title: str
    position: int
    sizes_px: tuple[int, ...]


@dataclass(frozen=True)
class Lines:
    """Sentences below each other."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Legend:
    """The colours of the classes."""

    entries: tuple[tuple[str, str], ...]
    """Name and CSS colour."""


Block = Table | Plot | Gallery | Sizes | Lines | Legend


@dataclass(frozen=True)
class Content:
    """The blocks of a section in order, and the numbers that no table has."""

    blocks: tuple[Block, ...]
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tables(self) -> tuple[Table, ...]:
        """Return the tables in order."""
        return tuple(block for block in self.blocks if isinstance(block, Table))

    @property
    def positions(self) -> tuple[int, ...]:
        """Return the positions of all images that are shown."""
        galleries = (block for block in self.blocks if isinstance(block, Gallery))
        return tuple(pick.position for gallery in galleries for pick in gallery.picks)


def make_section(
    name: str,
    title: str,
    sentence: str,
    blocks: Sequence[Block | None],
    *,
    numbers: Mapping[str, Any] | None = None,
    drawings: Mapping[str, Drawing] | None = None,
    is_alarm: bool = False,
) -> Section:
    """Return a section of the kit whose data is a `Content` of the blocks that there are."""
    content = Content(tuple(block for block in blocks if block is not None), numbers or {})
    return Section(name, title, sentence, drawings or {}, content, is_alarm=is_alarm)


def plain(value: Any) -> Any:
    """Return a value as JSON and CSV have it: no arrays, no links, None for NaN."""
    if isinstance(value, Link):
        return plain(value.value)
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _cell(value: Any) -> Any:
    return "" if value is None else quote_formula(value)

"""What is there: pairs, sizes, formats, attributes, and what was left out."""

from collections import Counter
from math import gcd
from typing import Any

from bddseg.words import count
from sweeps.exploration.content import Column, Lines, Table, make_section
from sweeps.exploration.source import title_of
from sweeps.exploration.survey import Survey
from sweeps.formatting import write_share
from sweeps.report.section import Section

MOST_ROWS = 20
"""Rows of a table of sizes: with more of them the rest is summed up."""


def build_section(survey: Survey) -> Section:
    """Return what the folder has."""
    sizes = Counter(row.size for row in survey.rows)
    formats = Counter(row.stored_as for row in survey.rows)
    turned = sum(row.orientation != 1 for row in survey.rows)
    return make_section(
        "contents",
        "What is there",
        _sentence(survey, sizes),
        [
            Lines(tuple(survey.folder.catalog.summary())),
            _sizes(survey, sizes),
            _formats(survey, formats),
            _attributes(survey),
        ],
        numbers={
            "images": len(survey),
            "damaged": len(survey.damaged),
            "turned_upright": turned,
            "drives": len(set(survey.drives) - {""}),
            "classes": len(survey.classes),
        },
    )


def _sentence(survey: Survey, sizes: Counter[tuple[int, int]]) -> str:
    images = count(len(survey), "usable image")
    drives = len(set(survey.drives) - {""})
    where = f" in {count(drives, 'drive')}" if drives else ""
    (usual, number), *others = sizes.most_common()
    size = f"all of {_by(usual)} pixels" if not others else (
        f"{write_share(number / len(survey))} of them of {_by(usual)} pixels, the rest of "
        f"{count(len(others), 'other size')}"
    )  # fmt: skip
    damaged = len(survey.damaged)
    faults = f"; {count(damaged, 'pair')} cannot be used" if damaged else ""
    verb = "has a mask" if len(survey) == 1 else "have a mask each"
    return f"{images}{where} {verb}, {size}{faults}."


def _sizes(survey: Survey, sizes: Counter[tuple[int, int]]) -> Table:
    rows: list[tuple[Any, ...]] = [
        (_by(size), _ratio(size), round(size[0] / size[1], 3), images, images / len(survey))
        for size, images in sizes.most_common(MOST_ROWS)
    ]
    shown = sum(row[3] for row in rows)
    if shown < len(survey):
        rows.append((f"{len(sizes) - MOST_ROWS} others", "", None, len(survey) - shown, 1 - shown / len(survey)))
    columns = (Column("size"), Column("aspect ratio"), Column("width / height", "number"), Column("images", "count"),
               Column("share", "share"))  # fmt: skip
    return Table("sizes", "Sizes", columns, tuple(rows))


def _formats(survey: Survey, formats: Counter[str]) -> Table:
    rows = tuple((name, images, images / len(survey)) for name, images in formats.most_common())
    columns = (Column("stored as"), Column("images", "count"), Column("share", "share"))
    return Table("formats", "Formats", columns, rows)


def _attributes(survey: Survey) -> Table | None:
    if not survey.attributes:
        return None
    rows = []
    for attribute, values in survey.attributes.items():
        given = [value for value in values if value]
        frequent = ", ".join(f"{value} {number}" for value, number in Counter(given).most_common(3))
        rows.append((title_of(attribute), len(given), len(set(given)), frequent))
    columns = (Column("attribute"), Column("images", "count"), Column("values", "count"), Column("most frequent"))
    return Table("attributes", "Attributes", columns, tuple(rows))


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _ratio(size: tuple[int, int]) -> str:
    divisor = gcd(*size)
    width, height = size[0] // divisor, size[1] // divisor
    return f"{width}:{height}" if max(width, height) <= 64 else ""

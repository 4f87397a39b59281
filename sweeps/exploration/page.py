"""The page of an exploration, its tables, figures and numbers, written into one folder."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader
from markupsafe import Markup

from bddseg.errors import printable
from bddseg.files import strict
from sweeps.exploration.content import Content, Link, Sizes, plain
from sweeps.exploration.faults import Fault
from sweeps.exploration.image_table import build_image_table
from sweeps.exploration.pictures import PicturePair, load_pair, load_pictures
from sweeps.exploration.sections import (
    attributes,
    classes,
    colour,
    contents,
    cooccurrence,
    objects,
    resolution,
    samples,
    split,
)
from sweeps.exploration.sections import faults as fault_section
from sweeps.exploration.survey import Survey
from sweeps.formatting import NONE, write_chance, write_share
from sweeps.report.figures import RenderedFigures
from sweeps.report.files import FIGURES, PAGE, write_files
from sweeps.report.rendering import TEMPLATES as KIT
from sweeps.report.rendering import build_environment
from sweeps.report.section import Section
from sweeps.report.theme import DARKEST, PALEST

FORMAT = 1
"""Raised by one whenever explore.json changes its shape."""

LONGEST = 50
"""Rows of a table that the page shows; its CSV has all."""

JSON, FAULTS, TABLES = "explore.json", "faults.csv", "tables"
TEMPLATES = Path(__file__).with_name("templates")

BUILDERS: tuple[Callable[[Survey], Section | None], ...] = (
    contents.build_section,
    samples.build_section,
    classes.build_section,
    cooccurrence.build_section,
    objects.build_section,
    resolution.build_section,
    colour.build_section,
    attributes.build_section,
    split.build_section,
)
"""The sections of the page in order; the faults come last. A builder returns None where a section does not apply."""

RIGHT = ("count", "share", "exact_share", "iou", "number", "level", "chance", "points")
"""Kinds of columns that are aligned to the right."""


def build_sections(survey: Survey, faults: Sequence[Fault]) -> list[Section]:
    """Return the sections that apply."""
    built = [build(survey) for build in BUILDERS]
    return [*(section for section in built if section), fault_section.build_section(survey, tuple(faults))]


def write_page(survey: Survey, faults: Sequence[Fault], out: Path) -> Path:
    """Write page, numbers, tables and figures into a folder; return the page's path.

    Raises:
        StorageError: when the folder cannot be written.
    """
    sections = build_sections(survey, faults)
    figures = RenderedFigures()
    files = {
        PAGE: render_html(survey, sections, figures).encode(errors="replace"),
        JSON: render_json(survey, sections).encode(),
        FAULTS: render_faults(faults).encode(errors="replace"),
    }
    tables = [table for section in sections for table in section.data.tables]
    for table in (*tables, build_image_table(survey, faults)):
        files[f"{TABLES}/{table.name}.csv"] = table.csv().encode(errors="replace")
    files |= {f"{FIGURES}/{name}": content for name, content in figures.files(sections).items()}
    write_files(out, files)
    return out / PAGE


def render_faults(faults: Sequence[Fault]) -> str:
    """Return the faults as CSV, a line each: name, fault, reason."""
    return fault_section.fault_table(tuple(faults)).csv()


def render_json(survey: Survey, sections: Sequence[Section]) -> str:
    """Return every number of the page as JSON; missing values are null."""
    record = {
        "version": FORMAT,
        "dataset": survey.folder.description.name,
        "root": str(survey.folder.root),
        "classes": list(survey.classes),
        "sections": {section.name: _record(section) for section in sections},
    }
    return json.dumps(strict(plain(record)), indent=1, allow_nan=False) + "\n"


def _record(section: Section) -> dict[str, Any]:
    content: Content = section.data
    return {
        "sentence": section.sentence,
        "numbers": plain(content.numbers),
        "tables": {table.name: table.records() for table in content.tables},
    }


def render_html(survey: Survey, sections: Sequence[Section], figures: RenderedFigures) -> str:
    """Return the page: everything in one file, nothing fetched, every text escaped."""
    environment = _environment()
    positions = [position for section in sections for position in section.data.positions]
    pictures = load_pictures(survey, positions)
    targets = _targets(sections)
    body = environment.get_template("content.html.j2")
    bodies = {
        section.name: Markup(  # noqa: S704 - escaped by the template
            body.render(
                section=section,
                figure=partial(figures.show, section),
                pictures=pictures,
                series=partial(_series, survey),
                targets=targets,
                names=survey.names,
                width=max(1, min(row.size[0] for row in survey.rows)),
            )
        )
        for section in sections
    }
    return environment.get_template("explore.html.j2").render(survey=survey, sections=sections, bodies=bodies)


def _environment() -> Environment:
    """Return the environment of the kit, with our templates before its own and a writer for each kind of column."""
    environment = build_environment()
    environment.loader = ChoiceLoader([FileSystemLoader(TEMPLATES), FileSystemLoader(KIT)])
    environment.filters |= {"cell": write_cell, "heat": _heat, "kind": lambda block: type(block).__name__.lower(),
                            "printable": printable}  # fmt: skip
    environment.globals |= {"RIGHT": RIGHT, "LONGEST": LONGEST}
    environment.tests["link"] = lambda value: isinstance(value, Link)
    return environment


def _targets(sections: Sequence[Section]) -> frozenset[int]:
    """Return the positions of the images to which links lead."""
    galleries = (block for section in sections for block in section.data.blocks if getattr(block, "is_target", False))
    return frozenset(pick.position for gallery in galleries for pick in gallery.picks)


def _series(survey: Survey, block: Sizes) -> list[tuple[str, PicturePair]]:
    """Return one image as it is, and as training sees it at each size, with labels."""
    whole = [("original", load_pair(survey, block.position))]
    return whole + [(f"{size} px", load_pair(survey, block.position, size)) for size in block.sizes_px]


def write_cell(value: Any, kind: str) -> str:
    """Return a value of a table as text."""
    value = plain(value)
    if value is None or value == "":
        return NONE if kind != "text" else ""
    writers: Mapping[str, Callable[[Any], str]] = {
        "text": str,
        "count": lambda number: f"{round(number):,}",
        "share": write_share,
        "exact_share": _write_exact_share,
        "iou": lambda number: f"{number:.3f}",
        "level": lambda number: f"{number:.4f}",
        "number": lambda number: f"{number:,.2f}".replace("-", "−"),
        "chance": write_chance,
        "points": lambda number: f"{100 * number:.1f}",
    }
    return writers[kind](value)


def _write_exact_share(share: float) -> str:
    """Return a share in percent with enough digits for rare classes: 0.034 %, 12.3 %."""
    percent = 100 * share
    return f"{percent:.1f} %" if percent >= 1 or not percent else f"{percent:.2g} %" if percent >= 0.001 else "<0.001 %"


def _heat(shade: float) -> str:
    """Return the opacity of a cell's heat in percent; 0 for none."""
    return f"{100 * (PALEST + shade * (DARKEST - PALEST)):.0f}%" if shade == shade else "0%"

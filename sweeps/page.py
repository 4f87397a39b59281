"""Report -> its sections, in order -> one self-contained HTML page, and Markdown with the same words and numbers."""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from sweeps import curves, faults, grid, sealed
from sweeps.board import build_leaderboard, build_verdict
from sweeps.canvas import render_svg
from sweeps.classes import build_classes
from sweeps.errors import StorageError
from sweeps.gather import Report
from sweeps.listing import render_csv, render_json
from sweeps.origin import build_again, build_check, build_data, say_source
from sweeps.ranking import CAVEAT
from sweeps.section import Section
from sweeps.wording import TEMPLATES, build_environment, build_markdown_environment

FILES = {"html": "index.html", "markdown": "report.md", "json": "report.json", "csv": "leaderboard.csv"}

BUILDERS: tuple[Callable[[Report], Section | None], ...] = (
    build_verdict,
    build_leaderboard,
    faults.build_section,
    grid.build_section,
    build_classes,
    curves.build_section,
    sealed.build_section,
    build_check,
    build_data,
    build_again,
)
"""The sections of a page, in order; a builder gives None where its section does not apply."""


def build_sections(report: Report) -> list[Section]:
    """Return the sections that apply."""
    return [section for build in BUILDERS if (section := build(report)) is not None]


def render_html(report: Report, sections: Sequence[Section] | None = None) -> str:
    """Return the page: everything in one file, nothing fetched, every text escaped."""
    environment = build_environment()
    found = build_sections(report) if sections is None else sections
    bodies = {section.name: _render_body(environment, report, section, "html") for section in found}
    return environment.get_template("page.html.j2").render(_context(report), sections=found, bodies=bodies)


def render_markdown(report: Report, sections: Sequence[Section] | None = None) -> str:
    """Return the report as Markdown; a `|` or a tag in what was read back comes out as text."""
    environment = build_markdown_environment()
    found = build_sections(report) if sections is None else sections
    bodies = {section.name: _render_body(environment, report, section, "md") for section in found}
    text = environment.get_template("report.md.j2").render(_context(report), sections=found, bodies=bodies)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def write_report(report: Report, out: Path) -> Path:
    """Write page, Markdown, JSON and CSV below `out` in a folder of the sweep's own; return the page's path.

    Raises:
        StorageError: when the folder cannot be written.
    """
    folder, sections = out / folder_name(report.sweep_id), build_sections(report)
    texts = {
        "html": render_html(report, sections),
        "markdown": render_markdown(report, sections),
        "json": render_json([report]),
        "csv": render_csv([report]),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for form, text in texts.items():
            _write(folder / FILES[form], text)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written ({error.strerror}): give a folder that can be with --out"
        ) from error
    return folder / FILES["html"]


def folder_name(sweep_id: str) -> str:
    """Return the sweep's id as the name of one folder; an id that had to be changed gets a part of its hash."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", sweep_id).strip("._-")[:100]
    if name and name == sweep_id:
        return name
    return f"{name or 'sweep'}-{hashlib.sha256(sweep_id.encode(errors='replace')).hexdigest()[:8]}"


def _context(report: Report) -> dict[str, object]:
    return {"report": report, "facts": report.facts, "source": say_source(report.facts), "CAVEAT": CAVEAT}


def _render_body(environment: Environment, report: Report, section: Section, form: str) -> Markup:
    """Return what stands below the section's sentence: its template's text, which escaped itself; empty without one."""
    name = f"sections/{section.name}.{form}.j2"
    if not (TEMPLATES / name).exists():
        return Markup()
    own = {"section": section, "figure": partial(_two_widths, section)}
    return Markup(environment.get_template(name).render(_context(report), **own))  # noqa: S704


def _two_widths(section: Section, name: str) -> Markup:
    """Return a drawing twice, as `render_svg` made and escaped it: for wide pages and for narrow ones."""
    drawing = section.drawings[name]
    said = f"{drawing.words}; the tables of this page hold the same figures."
    wide, narrow = (
        render_svg(partial(drawing.draw, wide=wide), f"{section.name}-{name}-{'wide' if wide else 'narrow'}", said)
        for wide in (True, False)
    )
    return Markup(f'<div class="figure wide">{wide}</div>\n<div class="figure narrow">{narrow}</div>')  # noqa: S704


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)

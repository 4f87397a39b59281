"""Write the files of a report into one folder: page, Markdown, JSON, CSV and figures."""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bddseg.files import write_file
from sweeps.errors import StorageError
from sweeps.formatting import folder_name
from sweeps.report.comparison import Comparison
from sweeps.report.figures import RenderedFigures
from sweeps.report.formats import render_csv, render_json, render_standing, render_verdict
from sweeps.report.gather import Report
from sweeps.report.page import build_sections, render_comparison, render_html, render_markdown
from sweeps.report.sections import comparison as side_by_side

PAGE, FIGURES = "index.html", "figures"


def write_report(report: Report, out: Path) -> Path:
    """Write the report below `out`; return the page's path.

    Raises:
        StorageError: when the folder cannot be written.
    """
    sections = build_sections(report)
    figures = RenderedFigures()
    texts = {
        PAGE: render_html(report, sections, figures),
        "report.md": render_markdown(report, sections),
        "report.json": render_json([report]),
        "verdict.json": render_verdict(report),
        "leaderboard.csv": render_csv([report]),
    }
    folder = out / folder_name(report.sweep_id)
    _write_page(folder, texts, figures.files(sections))
    return folder / PAGE


def write_comparison(comparison: Comparison, out: Path) -> Path:
    """Write the page of several sweeps below `out`; return its path.

    Raises:
        StorageError: when the folder cannot be written.
    """
    figures, ids = RenderedFigures(), "+".join(contender.report.sweep_id for contender in comparison.contenders)
    texts = {
        PAGE: render_comparison(comparison, "html", figures),
        "comparison.md": render_comparison(comparison, "md", figures),
        "comparison.json": render_standing(comparison),
    }
    folder = out / f"comparison-{hashlib.sha256(ids.encode(errors='replace')).hexdigest()[:8]}"
    _write_page(folder, texts, figures.files(side_by_side.build_sections(comparison)))
    return folder / PAGE


def _write_page(folder: Path, texts: Mapping[str, str], drawings: Mapping[str, bytes]) -> None:
    """Write the texts of a page, and its drawings into a folder of their own."""
    files = {name: text.encode(errors="replace") for name, text in texts.items()}
    write_files(folder, files | {f"{FIGURES}/{name}": content for name, content in drawings.items()})


def check_folder(out: Path) -> None:
    """Create the report folder, and check that it is writable.

    Raises:
        StorageError: when it cannot.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            return
    except OSError as error:
        raise _closed(out, error) from error


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder, each atomically; delete figures of an earlier report.

    Raises:
        StorageError: when the folder cannot be written.
    """
    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, content)
        for old in (folder / FIGURES).glob("*.[sp][vn]g"):
            if f"{FIGURES}/{old.name}" not in files:
                old.unlink()
    except OSError as error:
        raise _closed(folder, error) from error


def _closed(folder: Path, error: OSError) -> StorageError:
    return StorageError(f"{folder} cannot be written ({error.strerror}): give a folder that can be with --out")

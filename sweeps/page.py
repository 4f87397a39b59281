"""Report -> one self-contained HTML page, Markdown, JSON, CSV and a plain table: the same numbers in each."""

import csv
import hashlib
import io
import json
import os
import re
import shlex
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from bddseg.labels import CLASSES, GROUPS, PALETTE
from sweeps.errors import StorageError
from sweeps.figures import (
    GROUP_NAMES,
    Grid,
    build_grid,
    draw_classes,
    draw_curves,
    draw_fit,
    draw_grid,
    draw_groups,
    render_svg,
)
from sweeps.gather import Entry, Report
from sweeps.plan import compact
from sweeps.ranking import CAVEAT

TEMPLATES = Path(__file__).with_name("templates")
FORMAT = 1
FILES = {"html": "index.html", "markdown": "report.md", "json": "report.json", "csv": "leaderboard.csv"}
NONE = "–"


def render_html(report: Report) -> str:
    """Return the page: everything in one file, nothing fetched, every text escaped."""
    context = _context(report)
    return _environment().get_template("page.html.j2").render(context, figures=_figures(report, context["grid"]))


def render_markdown(report: Report) -> str:
    """Return the report as Markdown; a `|` or a tag in what was read back comes out as text."""
    text = _environment(finalize=_plain_markdown).get_template("report.md.j2").render(_context(report))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def render_json(reports: Sequence[Report]) -> str:
    """Return one object for one report, a list for several; what has no value is null."""
    found = [_plain(report) for report in reports]
    return json.dumps(found[0] if len(found) == 1 else found, indent=1, allow_nan=False) + "\n"


def render_csv(reports: Sequence[Report]) -> str:
    """Return the leaderboards as CSV, a line per trial."""
    keys = list(dict.fromkeys(key for report in reports for key in report.varying))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    fixed = ["sweep", "rank", "trial", "role", "reference", *keys, "val/miou", *(f"val/iou/{name}" for name in CLASSES)]
    rest = ["best_epoch", "epochs", "state", "stop_reason", "stop_detail", "seconds", "digest", "log_file"]
    writer.writerow([*fixed, *(f"val/group_miou/{group}" for group in GROUPS), "val/group_gap", *rest])
    for report in reports:
        for entry in report.trials:
            writer.writerow([_cell(value) for value in _csv_row(report, entry, keys)])
    return buffer.getvalue()


def render_table(reports: Sequence[Report]) -> str:
    """Return the leaderboards as one aligned table for a terminal, and who leads in a sentence each."""
    several = len(reports) > 1
    head = ["#", "trial", "", "val mIoU", "best epoch", "epochs", "ended", "time", "digest"]
    rows = [["sweep", *head] if several else head]
    for report in reports:
        rows += [([report.sweep_id] if several else []) + _table_row(report, entry) for entry in report.trials]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    verdict = getattr(_environment().get_template("words.j2").module, "verdict")  # noqa: B009 - a template's macro
    said = [f"{report.sweep_id}: {verdict(report).unescape()}" for report in reports]
    return "\n".join([*lines, "", *said, CAVEAT]) + "\n"


def write_report(report: Report, out: Path) -> Path:
    """Write page, Markdown, JSON and CSV below `out` in a folder of the sweep's own; return the page's path.

    Raises:
        StorageError: when the folder cannot be written.
    """
    folder = out / folder_name(report.sweep_id)
    texts = {
        "html": render_html(report),
        "markdown": render_markdown(report),
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


def _environment(**options: Any) -> Environment:
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    environment.filters |= {"iou": _iou, "points": _points, "time": _time, "value": _value, "when": _when}
    environment.filters |= {"code": _code}
    environment.globals |= {
        "CAVEAT": CAVEAT,
        "CLASSES": CLASSES,
        "GROUPS": GROUPS,
        "GROUP_NAMES": GROUP_NAMES,
        "colours": {name: f"rgb{colour}" for name, colour in zip(CLASSES, PALETTE, strict=True)},
    }
    return environment


def _context(report: Report) -> dict[str, Any]:
    facts, command = report.facts, _leader_command(report)
    return {"report": report, "facts": facts, "grid": build_grid(report), "leader_command": command}


def _figures(report: Report, grid: Grid | None) -> dict[str, dict[str, Markup]]:
    """Return each figure twice: one for wide pages, one for narrow ones."""
    shown = [entry.scores for entry in report.shown()]
    draws: dict[str, tuple[Callable[..., Figure], str]] = {
        "curves": (partial(draw_curves, report), "Lines: validation mIoU of every trial over epochs"),
    }
    if any(value is not None for scores in shown for value in scores.iou.values()):
        draws["classes"] = (partial(draw_classes, report), "Bars: validation IoU of each class")
    if any(value is not None for scores in shown for value in scores.groups.values()):
        draws["groups"] = (partial(draw_groups, report), "Bars: validation mIoU of city and non-city images")
    if grid is not None:
        draws["grid"] = (partial(draw_grid, report, grid), _grid_words(grid))
    if report.leader.train_curve and report.leader.curve:
        draws["fit"] = (partial(draw_fit, report), "Lines: training and validation mIoU of the leader")
    return {name: _two_widths(name, draw, words) for name, (draw, words) in draws.items()}


def _two_widths(name: str, draw: Callable[..., Figure], words: str) -> dict[str, Markup]:
    """Return SVG as `render_svg` made and escaped it: the one text that a page takes as it is."""
    said = f"{words}; the tables of this page hold the same figures."
    return {
        "wide": Markup(render_svg(partial(draw, wide=True), f"{name}-wide", said)),  # noqa: S704
        "narrow": Markup(render_svg(partial(draw, wide=False), f"{name}-narrow", said)),  # noqa: S704
    }


def _grid_words(grid: Grid) -> str:
    kind = "Heat map" if len(grid.keys) == 2 else "Bars"
    return f"{kind}: validation mIoU by {' and '.join(grid.keys)}"


def _leader_command(report: Report) -> str:
    """Return the sweep's command with every axis set to the leader's value: a sweep of that one trial."""
    if report.facts["confirmation"]:
        return ""  # its trials are runs of settings, not points of a grid
    command = report.facts["command"]
    axes = [key for key in report.facts["axes"] if key in report.leader.settings]
    pinned = [f"--set {shlex.quote(f'{key}={_exact(report.leader.settings[key])}')}" for key in axes]
    return " ".join([command, *pinned]) if command else ""


def _exact(value: Any) -> str:
    """Return a value as people write it, or in full where that would lose digits."""
    short = compact(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)


def _plain(report: Report) -> dict[str, Any]:
    """Return the report as JSON has it: trials once, elsewhere by their id."""
    found = {"version": FORMAT, "caveat": CAVEAT, **asdict(report)}
    for name in ("leader", "runner_up", "reference"):
        entry = getattr(report, name)
        found[name] = entry.trial_id if entry else None
    opened = [
        {"trial_id": entry.trial_id, "epoch": epoch, **asdict(scores)} for entry, epoch, scores in report.test.opened
    ]
    return {**found, "test": {"opened": opened, "notes": list(report.test.notes)}}


def _csv_row(report: Report, entry: Entry, keys: Iterable[str]) -> list[Any]:
    scores = entry.scores
    fixed = [report.sweep_id, entry.rank, entry.name, report.role(entry), entry.is_reference]
    settings = [entry.settings.get(key) for key in keys]
    figures = [
        scores.miou,
        *(scores.iou.get(name) for name in CLASSES),
        *(scores.groups.get(g) for g in GROUPS),
        scores.gap,
    ]
    ended = [entry.best_epoch, entry.epochs, entry.state, entry.stop_reason, entry.stop_detail, entry.seconds]
    return [*fixed, *settings, *figures, *ended, entry.digest, entry.log_file]


def _cell(value: Any) -> Any:
    """Return what a CSV cell holds; a text that a spreadsheet would run as a formula stays text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@"):
        return f"'{value}"
    return "" if value is None else value


def _table_row(report: Report, entry: Entry) -> list[str]:
    role = report.role(entry) + (" (reference)" if entry.is_reference and report.role(entry) != "reference" else "")
    best = NONE if entry.best_epoch is None else str(entry.best_epoch)
    ended = [_iou(entry.scores.miou if entry.rank else None), best, str(entry.epochs), entry.stop_words]
    return [str(entry.rank or NONE), entry.name, role, *ended, _time(entry.seconds), entry.digest]


def _plain_markdown(value: Any) -> Any:
    """Return a value so that Markdown shows it as text; tags are escaped after this, as in HTML."""
    return value if isinstance(value, Markup) else re.sub(r"([\\`*\[\]|~])", r"\\\1", str(value))


def _code(value: str) -> Markup:
    """Return a text as an indented block, inside which Markdown changes nothing."""
    return Markup("    " + " ".join(value.split()))  # noqa: S704 - Markdown shows tags in a block as text


def _iou(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _points(value: float | None) -> str:
    """Return a difference of IoUs in points: 0.0129 as `+1.29`."""
    if value is None:
        return NONE
    points = round(value * 100, 2) + 0.0  # no minus before a zero
    return f"{points:+.2f}".replace("-", "−")


def _time(seconds: float | None) -> str:
    if seconds is None:
        return NONE
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _value(value: Any) -> str:
    return NONE if value is None else compact(value)


def _when(text: str) -> str:
    """Return an ISO time as people write it, in UTC; any other text as it is."""
    try:
        time = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return text
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


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

"""Report -> JSON, CSV and a plain table: the same numbers as on the page."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from bddseg.labels import CLASSES, GROUPS
from sweeps.board import say_verdict
from sweeps.gather import Entry, Report
from sweeps.ranking import CAVEAT
from sweeps.wording import NONE, write_iou, write_time

FORMAT = 1


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
    said = [f"{report.sweep_id}: {say_verdict(report)}" for report in reports]
    return "\n".join([*lines, "", *said, CAVEAT]) + "\n"


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
        *(scores.groups.get(group) for group in GROUPS),
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
    ended = [write_iou(entry.scores.miou if entry.rank else None), best, str(entry.epochs), entry.stop_words]
    return [str(entry.rank or NONE), entry.name, role, *ended, write_time(entry.seconds), entry.digest]

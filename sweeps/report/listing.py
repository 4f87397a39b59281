"""Report -> JSON, CSV and a plain table: the same numbers as on the page."""

import csv
import io
import json
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from bddseg.labels import CLASSES, GROUPS
from sweeps.ranking import CAVEAT, figure
from sweeps.report.comparison import Comparison
from sweeps.report.gather import Entry, Report
from sweeps.report.wording import NONE, write_iou, write_time
from sweeps.sections.board import find_rivals, say_verdict

FORMAT = 2
DIFFERENCE = ("to_leader", "to_leader_low", "to_leader_high", "p_best", "tied")
"""What the verdict says of a trial; empty for one that it does not compare."""


def render_json(reports: Sequence[Report]) -> str:
    """Return one object for one report, a list for several; what has no value is null."""
    found = [_plain(report) for report in reports]
    return _dump(found[0] if len(found) == 1 else found) + "\n"


def render_verdict(report: Report) -> str:
    """Return the verdict alone as JSON: numbers, intervals and words."""
    found = {"version": FORMAT, "sweep_id": report.sweep_id, "verdict": report.verdict, "left_out": report.left_out}
    return _dump(found) + "\n"


def render_standing(comparison: Comparison) -> str:
    """Return a comparison as JSON: each sweep by its id, with its leader's figures."""
    rows = [
        {
            "sweep_id": it.report.sweep_id,
            "title": it.title,
            "leader": it.entry.trial_id,
            "name": it.entry.name,
            "scores": it.entry.scores,
            "compared": it.rival,
            "left_out": it.left_out,
            "latency": it.latency,
        }
        for it in comparison.contenders
    ]
    return _dump({"version": FORMAT, "sweeps": rows, "verdict": comparison.verdict}) + "\n"


def render_csv(reports: Sequence[Report], top: int | None = None) -> str:
    """Return the leaderboards as CSV, a line per trial, or finalist and run; of the `top` best alone."""
    keys = list(dict.fromkeys(key for report in reports for key in report.varying))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    fixed = [
        "sweep",
        "kind",
        "rank",
        "trial",
        "role",
        "reference",
        *keys,
        "val/miou",
        *DIFFERENCE,
        *(f"val/iou/{name}" for name in CLASSES),
    ]
    rest = ["best_epoch", "epochs", "state", "stop_reason", "stop_detail", "seconds", "digest", "log_file"]
    writer.writerow([*fixed, *(f"val/group_miou/{group}" for group in GROUPS), "val/group_gap", *rest])
    for report in reports:
        for entry in (*report.finalists[:top], *report.trials[:top]):
            writer.writerow([_cell(value) for value in _csv_row(report, entry, keys)])
    return buffer.getvalue()


def render_table(reports: Sequence[Report], top: int | None = None, columns: int | None = None) -> str:
    """Return the leaderboards, or their `top` best, as one table for a terminal, and who leads in a sentence each.

    Sentences are broken into lines of so many columns.
    """
    several = len(reports) > 1
    head = ["#", "trial", "role", "val mIoU", "best epoch", "epochs", "ended", "time", "digest"]
    rows = [["sweep", *head] if several else head]
    for report in reports:
        shown = report.compared()[:top]
        rows += [([report.sweep_id] if several else []) + _table_row(report, entry) for entry in shown]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    said = [f"{report.sweep_id}: {say_verdict(report)}" for report in reports]
    caveats = dict.fromkeys(
        caveat for report in reports for caveat in (report.verdict.caveats if report.verdict else [CAVEAT])
    )
    words = [textwrap.fill(sentence, columns) if columns else sentence for sentence in (*said, *caveats)]
    return "\n".join([*lines, "", *words]) + "\n"


def _plain(report: Report) -> dict[str, Any]:
    """Return the report as JSON has it: trials once, elsewhere by id; counts per image and pictures are left out."""
    found = {"version": FORMAT, **{spec.name: getattr(report, spec.name) for spec in fields(report)}}
    del found["evidence"], found["album"], found["full_names"], found["in_common"]
    for name in ("leader", "runner_up", "reference"):
        entry = getattr(report, name)
        found[name] = entry.trial_id if entry else None
    return found


def _dump(value: Any) -> str:
    """Return JSON; the quick way is for what has no number that JSON does not know."""
    try:
        return json.dumps(value, default=_fields, allow_nan=False)
    except ValueError:
        return json.dumps(_values(value), allow_nan=False)


def _fields(value: Any) -> dict[str, Any]:
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else vars(value)


def _values(value: Any) -> Any:
    """Return plain values all the way down; None for numbers that JSON does not have."""
    if is_dataclass(value) and not isinstance(value, type):
        return {spec.name: _values(getattr(value, spec.name)) for spec in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _csv_row(report: Report, entry: Entry, keys: Iterable[str]) -> list[Any]:
    scores = entry.scores
    kind = "finalist" if entry.finalist == entry.trial_id else "run" if entry.finalist else "trial"
    place = None if kind == "run" else entry.rank
    fixed = [report.sweep_id, kind, place, entry.name, report.role(entry), entry.is_reference]
    settings = [entry.settings.get(key) for key in keys]
    figures = [
        scores.miou,
        *_difference(report, entry),
        *(scores.iou.get(name) for name in CLASSES),
        *(scores.groups.get(group) for group in GROUPS),
        scores.gap,
    ]
    ended = [entry.best_epoch, entry.epochs, entry.state, entry.stop_reason, entry.stop_detail, entry.seconds]
    return [*fixed, *settings, *figures, *ended, entry.digest, entry.log_file]


def _difference(report: Report, entry: Entry) -> list[Any]:
    rival = find_rivals(report).get(entry.trial_id)
    if rival is None:
        return [None] * len(DIFFERENCE)
    between = rival.difference
    return [*map(figure, (between.estimate, between.low, between.high, rival.p_best)), rival.is_tied]


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

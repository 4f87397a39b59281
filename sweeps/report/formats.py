"""Render a report as JSON, CSV and a plain table, with the same numbers as the page."""

import csv
import io
import json
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Self

from bddseg.result import class_metric, gap_metric, group_metric
from sweeps.formatting import NONE, quote_formula, write_iou, write_time
from sweeps.report.comparison import Comparison
from sweeps.report.gather import Entry, Report
from sweeps.report.rendering import write_distance
from sweeps.report.sections.leaderboard import Leaderboard, LeaderboardRow, StoppedRow, build_board
from sweeps.report.sections.verdict import describe_verdict, find_rivals
from sweeps.sanitize import figure
from sweeps.statistics.results import Rival, StoppedTrial
from sweeps.statistics.scores import CAVEAT

SEED = "train.seed"
FORMAT = 3
DIFFERENCE = ("to_leader", "to_leader_low", "to_leader_high", "p_best", "tied")
"""Columns of the verdict on a trial's setting; empty if it is not compared."""

STOPPED = ("stopped/epoch", "stopped/leader_miou", "stopped/p_best")
"""Columns of a stopped trial: its last epoch, the leader's mIoU there, its probability of having become the best."""

APART = ("evidence", "entrants", "album", "full_names", "in_common")
"""Fields that JSON omits: counts per image, pictures, and data for the page only."""


RARE = ("further_scenes",)
"""Fields that JSON has only where they hold something."""


def render_json(reports: Sequence[Report]) -> str:
    """Return one JSON object for one report, a list for several; missing values are null."""
    plain = [_plain(report) for report in reports]
    return _dump(plain[0] if len(plain) == 1 else plain) + "\n"


def render_verdict(report: Report) -> str:
    """Return the verdict alone as JSON: numbers, intervals and words."""
    record = {"version": FORMAT, "sweep_id": report.sweep_id, "verdict": report.verdict, "left_out": report.left_out}
    return _dump(record) + "\n"


def render_standing(comparison: Comparison) -> str:
    """Return a comparison as JSON: each sweep by its id, with its leader's figures."""
    rows = [
        {
            "sweep_id": contender.report.sweep_id,
            "title": contender.title,
            "leader": contender.entry.trial_id,
            "name": contender.entry.name,
            "scores": contender.entry.scores,
            "compared": contender.rival,
            "left_out": contender.left_out,
            "latency": contender.latency,
        }
        for contender in comparison.contenders
    ]
    record = {"version": FORMAT, "sweeps": rows, "settings": comparison.settings, "verdict": comparison.verdict}
    return _dump(record) + "\n"


def render_csv(reports: Sequence[Report], top: int | None = None) -> str:
    """Return the leaderboards as CSV, a line per trial, or finalist and run; of the `top` best settings alone."""
    keys = list(dict.fromkeys(key for report in reports for key in report.varying if key != SEED))
    tasks = [report.task for report in reports]
    classes = list(dict.fromkeys(name for task in tasks for name in task.classes))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    fixed = [
        "sweep",
        "kind",
        "rank",
        "setting",
        "seed",
        "trial",
        "role",
        "reference",
        "judged",
        *keys,
        "val/miou",
        "setting/miou",
        "val/biou",
        *DIFFERENCE,
        *(f"val/{class_metric(name)}" for name in classes),
    ]
    outcome = ["best_epoch", "epochs", "state", "stop_reason", "stop_detail", *STOPPED, "seconds", "digest", "log_file"]
    gap = [f"val/{gap_metric(contrast)}" for task in tasks for contrast in task.contrasts if len(task.groups) == 2]
    groups = list(dict.fromkeys(name for task in tasks for name in task.group_names))
    columns = [*(f"val/{group_metric(name)}" for name in groups), *dict.fromkeys(gap)]
    writer.writerow([*fixed, *columns, *outcome])
    figures = _FigureColumns(tuple(classes), tuple(groups), has_gap=bool(gap))
    for report in reports:
        context = _Context.of(report)
        for entry in _csv_entries(report, top):
            writer.writerow([_cell(value) for value in _csv_row(context, entry, keys, figures)])
    return buffer.getvalue()


def _csv_entries(report: Report, top: int | None) -> Iterator[Entry]:
    """Yield the finalists of a confirmation, then all trials; with `top`, those of the best settings alone."""
    entries = (*(report.settings if report.is_confirmation else ()), *report.trials)
    yield from (entry for entry in entries if top is None or (entry.rank is not None and entry.rank <= top))


def render_table(reports: Sequence[Report], top: int | None = None, columns: int | None = None) -> str:
    """Return the leaderboards, or their `top` best, as one table for a terminal, and the verdict in a sentence each.

    Sentences are broken into lines of so many columns.
    """
    several = len(reports) > 1
    head = ["#", "setting", "role", "val mIoU", "best epoch", "epochs", "ended", "time", "digest"]
    rows = [["sweep", *head] if several else head]
    for report in reports:
        shown = _table_rows(report, build_board(report), top)
        rows += [([report.sweep_id] if several else []) + row for row in shown]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    verdicts = [f"{report.sweep_id}: {describe_verdict(report)}" for report in reports]
    caveats = dict.fromkeys(
        caveat for report in reports for caveat in (report.verdict.caveats if report.verdict else [CAVEAT])
    )
    paragraphs = [textwrap.fill(sentence, columns) if columns else sentence for sentence in (*verdicts, *caveats)]
    return "\n".join([*lines, "", *paragraphs]) + "\n"


def _table_rows(report: Report, board: Leaderboard, top: int | None) -> Iterator[list[str]]:
    """Yield a row for each setting and each of its seeds, then the stopped trials, then the others."""
    for line in board.lines[:top]:
        row = _table_row(report, line.entry, _many(line))
        yield [*row[:-1], "" if line.seeds else row[-1]]  # each seed has a digest of its own
        for seed in line.seeds:
            yield ["", f"  {_say_seed(seed)}", "", *_table_figures(seed)]
    if top is not None:
        return
    for stopped in board.stopped:
        yield _table_row(report, stopped.entry, ended=describe_stopped(stopped))
    for other in board.not_compared:
        why = other.entry.stop_detail if other.entry.state == "failed" and other.entry.stop_detail else other.why
        yield _table_row(report, other.entry, ended=f"{other.entry.stop_words}: {why}")


def describe_stopped(line: StoppedRow) -> str:
    """Return how a trial that was stopped early compares with the leader where it stopped."""
    if line.behind is None:
        return f"stopped early at epoch {line.epoch}: not judged"
    return f"stopped early at epoch {line.epoch}, {write_distance(line.behind)} there: not judged"


def _many(line: LeaderboardRow) -> str:
    return f" ({len(line.seeds)} seeds)" if line.seeds else ""


def _say_seed(seed: Entry) -> str:
    of = f" of {seed.sweep_id}" if seed.sweep_id else ""
    return f"seed {NONE if seed.seed is None else seed.seed}{of}"


def _plain(report: Report) -> dict[str, Any]:
    """Return the report as a JSON object: trials once, elsewhere by id; without counts per image and pictures."""
    record = {"version": FORMAT, **{spec.name: getattr(report, spec.name) for spec in fields(report)}}
    for name in APART:
        del record[name]
    record["settings"] = [_setting(report, entry) for entry in report.settings]
    for name in ("leader", "runner_up", "reference"):
        entry = getattr(report, name)
        record[name] = entry.trial_id if entry else None
    return record


def _setting(report: Report, entry: Entry) -> dict[str, Any]:
    """Return a setting or finalist, its runs by their ids."""
    return {
        "id": entry.trial_id,
        "name": entry.name,
        "rank": entry.rank,
        "is_reference": entry.is_reference,
        "scores": entry.scores,
        "epochs": entry.epochs,
        "seconds": entry.seconds,
        "seeds": [run.trial_id for run in report.seeds(entry)],
    }


def _dump(value: Any) -> str:
    """Return JSON; NaN and infinity become null."""
    try:
        return json.dumps(value, default=_fields, allow_nan=False)
    except ValueError:
        return json.dumps(_values(value), allow_nan=False)


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    return {name: item for name, item in vars(value).items() if item or name not in RARE}


def _values(value: Any) -> Any:
    """Return plain values recursively; None for NaN and infinity."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _values(item) for name, item in _fields(value).items()}
    if isinstance(value, Mapping):
        return {str(key): _values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class _Context:
    """Lookups for every line of a report's CSV."""

    report: Report
    rivals: Mapping[str, Rival]
    settings: Mapping[str, Entry]
    stopped: Mapping[str, StoppedTrial]

    @classmethod
    def of(cls, report: Report) -> Self:
        stopped = report.verdict.stopped if report.verdict else ()
        settings = {entry.trial_id: entry for entry in report.settings}
        return cls(report, find_rivals(report), settings, {trial.trial_id: trial for trial in stopped})


@dataclass(frozen=True)
class _FigureColumns:
    """The classes and groups that have a column."""

    classes: tuple[str, ...]
    groups: tuple[str, ...]
    has_gap: bool


def _csv_row(context: _Context, entry: Entry, keys: Iterable[str], columns: _FigureColumns) -> list[Any]:
    report, scores, setting = context.report, entry.scores, context.settings.get(entry.setting_id)
    kind = "trial" if not report.is_confirmation else "finalist" if entry.trial_id == entry.setting_id else "run"
    rank = None if kind == "run" else entry.rank
    seed = None if kind == "finalist" else entry.seed
    fixed = [report.sweep_id, kind, rank, entry.setting_id, seed, entry.name, report.role(entry), entry.is_reference]
    settings = [entry.settings.get(key) for key in keys]
    pooled = setting.scores.miou if setting else None
    figures = [
        *(scores.miou, pooled, scores.boundary_iou),
        *_difference(context, entry),
        *(scores.iou.get(name) for name in columns.classes),
        *(scores.groups.get(name) for name in columns.groups),
        *([scores.gap] if columns.has_gap else []),
    ]
    ended = [entry.best_epoch, entry.epochs, entry.state, entry.stop_reason, entry.stop_detail]
    last = [*_stopped_cells(context, entry), entry.seconds, entry.digest, entry.log_file]
    return [*fixed, entry.setting_id in context.rivals, *settings, *figures, *ended, *last]


def _difference(context: _Context, entry: Entry) -> list[Any]:
    rival = context.rivals.get(entry.setting_id)
    if rival is None:
        return [None] * len(DIFFERENCE)
    between = rival.difference
    return [*map(figure, (between.estimate, between.low, between.high, rival.p_best)), rival.is_tied]


def _stopped_cells(context: _Context, entry: Entry) -> list[Any]:
    trial = context.stopped.get(entry.trial_id)
    return [trial.epoch, figure(trial.leader_score), figure(trial.p_best)] if trial else [None] * len(STOPPED)


def _cell(value: Any) -> Any:
    """Return the content of a CSV cell; text that a spreadsheet would run as a formula is quoted."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else quote_formula(value)


def _table_row(report: Report, entry: Entry, many: str = "", ended: str = "") -> list[str]:
    role = report.role(entry) + (" (reference)" if entry.is_reference and report.role(entry) != "reference" else "")
    return [str(entry.rank or NONE), f"{entry.name}{many}", role, *_table_figures(entry, ended)]


def _table_figures(entry: Entry, ended: str = "") -> list[str]:
    best = NONE if entry.best_epoch is None else str(entry.best_epoch)
    score = write_iou(entry.scores.miou if entry.is_scored else None)
    return [
        score,
        best,
        NONE if entry.sweep_id else str(entry.epochs),
        ended or entry.stop_words,
        write_time(entry.seconds),
        entry.digest,
    ]

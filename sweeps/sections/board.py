"""Report -> the verdict box and the leaderboard."""

import itertools
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from bddseg.words import count
from sweeps.ranking import CAVEAT
from sweeps.report.gather import Entry, Report
from sweeps.report.section import Section
from sweeps.report.wording import write_iou, write_points, write_share, write_value
from sweeps.sections.intervals import find_span
from sweeps.statistics.design import MOST_RUNS
from sweeps.statistics.findings import Interval, Needed, Rival, Verdict
from sweeps.statistics.sentences import say_needed

TITLES = {"leader": "Leader", "winner": "Winner", "tie": "Tie", "undecided": "Undecided"}
NAMED = 5
"""Of a tie set so many are named in the box."""

FEW_VALUES = 12
"""A setting with more values has no filter of its own."""

KEPT = ("--storage", "--tracking-uri", "--address", "--top")
"""Options of the sweep's command that its confirmation needs too; a screening has no --top."""

OPEN = ("tie", "undecided")
CONFIRM = "A winner is crowned only by a confirmation: finalists, trained anew several times on other cuts of the data."


@dataclass(frozen=True)
class Box:
    """What stands in the verdict box below its sentence."""

    rows: tuple[tuple[str, str, str], ...]
    """What, the figure, what it means."""
    caveats: tuple[str, ...]
    mean: float | None
    """Of a finalist that leads, the mean of its runs."""
    following: str
    """What comes next, in words; empty where nothing does."""
    command: str
    """That does it."""


@dataclass(frozen=True)
class Bar:
    """An interval as it is drawn in a cell: places from 0 to 100 on the scale that all rows share."""

    low: float
    high: float
    at: float
    zero: float
    is_cut: bool
    """The interval goes on beyond the scale."""


@dataclass(frozen=True)
class Line:
    """One row of the leaderboard."""

    entry: Entry
    rival: Rival | None
    bar: Bar | None
    left_out: str
    """Why the verdict does not compare it, where it does not."""
    mean: float | None
    """Of a finalist, the mean of its runs."""


@dataclass(frozen=True)
class Board:
    """The leaderboard and what it can be filtered by."""

    lines: tuple[Line, ...]
    filters: tuple[tuple[str, tuple[str, ...]], ...]
    """Setting and its values, as they are written in the cells."""
    ends: tuple[str, ...]
    has_seeds: bool
    """The seed is a column, and not one of the settings that vary."""
    has_speed: bool


def build_verdict(report: Report) -> Section:
    """Return the box that a reader sees first."""
    verdict = report.verdict
    title = TITLES[verdict.outcome] if verdict else "Highest figure"
    rows = _rows(report, verdict) if verdict else ()
    caveats = verdict.caveats if verdict else (CAVEAT,)
    mean = mean_of_runs(find_rivals(report).get(report.leader.trial_id))
    box = Box(tuple(rows), tuple(caveats), mean, *next_step(report))
    title += "" if report.is_final else ", so far"
    said = say_verdict(report).removeprefix("Undecided: ").removeprefix("A tie: ")  # the title has said it
    return Section("verdict", title, said, data=box, mark=verdict.outcome if verdict else "")


def build_leaderboard(report: Report) -> Section:
    """Return all trials, the best first; of a confirmation the finalists."""
    entries = report.compared()
    lines = tuple(_lines(report, entries))
    board = Board(
        lines=lines,
        filters=tuple(_filters(report, entries)),
        ends=tuple(sorted({entry.stop_words for entry in entries})),
        has_seeds="train.seed" not in report.varying and any(entry.seed is not None for entry in entries),
        has_speed=any(line.rival and line.rival.latency_ms is not None for line in lines),
    )
    return Section("leaderboard", "Leaderboard", _say_trials(report), data=board)


def say_verdict(report: Report) -> str:
    """Return the verdict in words; without one, whose figure is highest and why that decides nothing."""
    if report.verdict:
        return report.verdict.sentence
    lead = f"{report.leader.name} has the highest validation mIoU, {write_iou(report.leader.scores.miou)}"
    why = "; ".join(dict.fromkeys(report.left_out.values())) or "no trial has any"
    return f"{lead}, but nothing is decided: there is no evidence that could be compared ({why})."


def next_step(report: Report) -> tuple[str, str]:
    """Return what comes next and its command: a confirmation, or one with more runs; both empty where nothing does."""
    verdict, kept = report.verdict, _kept_options(report.facts["command"])
    if not report.is_final or verdict is None or kept is None:
        return "", ""
    if not report.is_confirmation:
        return CONFIRM, shlex.join(["python", "tune_main.py", *kept, "--confirm", report.sweep_id])
    screening, runs = report.facts["confirmation"].get("screening"), verdict.needed.runs if verdict.needed else None
    if not screening or runs is None or runs <= verdict.runs or verdict.outcome not in OPEN:
        return "", ""
    words = ["python", "tune_main.py", *kept, "--confirm", str(screening), "--runs", str(runs)]
    return f"What would decide, {runs} runs of each finalist instead of {verdict.runs}:", shlex.join(words)


def _kept_options(command: str) -> list[str] | None:
    """Return those options of a sweep's command that what comes next needs too; None without a command."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    kept: list[str] = []
    for word, value in itertools.pairwise([*words, ""]):
        if word in KEPT:
            kept += [word, value]
        elif word.partition("=")[0] in KEPT:
            kept.append(word)
    return kept if words else None


def find_rivals(report: Report) -> dict[str, Rival]:
    """Return what the verdict says of each compared trial, by its id."""
    return {rival.trial_id: rival for rival in report.verdict.rivals} if report.verdict else {}


def mean_of_runs(rival: Rival | None) -> float | None:
    """Return the mean of a finalist's runs, which need not be its score over the images of all of them together."""
    return fmean(rival.run_scores) if rival and rival.run_scores else None


def _rows(report: Report, verdict: Verdict) -> list[tuple[str, str, str]]:
    rivals = find_rivals(report)
    rows = [_compared(report, rivals, entry) for entry in report.shown() if entry.trial_id != report.leader.trial_id]
    rows.append(("Probability of being best", write_share(rivals[verdict.leader].p_best),
                 "from scores that are shrunk towards their mean by their noise"))  # fmt: skip
    if verdict.corrected:
        rows.append(("Score corrected for selection bias", _iou_interval(verdict.corrected),
                     "the highest of many scores is high by luck too; this part is taken off"))  # fmt: skip
    if len(verdict.tied) > 1:
        rows.append(("Not told apart from it", count(len(verdict.tied) - 1, "trial"), _names(report, verdict.tied[1:])))
    if verdict.recommended != verdict.leader and (cheap := report.find(verdict.recommended)):
        rows.append(("Recommended", cheap.name, _say_cheap(verdict, rivals[verdict.recommended])))
    if verdict.needed and verdict.outcome in OPEN:
        rows.append(("What would decide", *_say_needed(verdict.needed, verdict)))
    if verdict.kendall_tau is not None:
        rows.append(("Order of the screening", f"Kendall's tau {verdict.kendall_tau:+.2f}".replace("-", "−"),
                     "1 when the finalists come in the same order again, −1 when in the opposite one"))  # fmt: skip
    if report.left_out:
        why = "; ".join(dict.fromkeys(report.left_out.values()))
        rows.append(("Not compared", count(len(report.left_out), "trial"), why))
    return rows


def _compared(report: Report, rivals: dict[str, Rival], entry: Entry) -> tuple[str, str, str]:
    role = report.role(entry)
    title = f"{role}, reference" if entry.is_reference and role != "reference" else role
    rival = rivals.get(entry.trial_id)
    if rival is None:
        return title.capitalize(), f"{write_iou(entry.scores.miou)}", f"{entry.name}; not compared"
    figure = f"{write_points(rival.difference.estimate)} points"
    low, high = write_points(rival.difference.low), write_points(rival.difference.high)
    return (
        title.capitalize(),
        figure,
        f"between {low} and {high} (95 %); {entry.name} ({write_iou(rival.score.estimate)})",
    )


def _say_cheap(verdict: Verdict, rival: Rival) -> str:
    cost = f"{rival.latency_ms:.1f} ms an image" if rival.latency_ms is not None else ""
    size = f"{rival.parameters:,} parameters" if rival.parameters is not None else ""
    margin = write_points(verdict.margin).replace("+", "")
    near = f"surely less than {margin} points behind" if rival.is_surely_close else "within one standard error"
    costs = ", ".join(filter(None, [cost, size]))
    return f"the cheapest of those {near}{f': {costs}' if costs else ''}"


def _say_needed(needed: Needed, verdict: Verdict) -> tuple[str, str]:
    """Return how many runs would decide, and what that number and the present images and runs can show."""
    if needed.runs is None:
        return f"more than {MOST_RUNS} runs of each", say_needed(needed, verdict.stage)
    return f"about {count(needed.runs, 'run')} of each", say_needed(needed, verdict.stage)


def _names(report: Report, trial_ids: Sequence[str]) -> str:
    names = [entry.name for trial_id in trial_ids[:NAMED] if (entry := report.find(trial_id))]
    more = len(trial_ids) - len(names)
    return "; ".join(names) + (f"; and {more} more" if more else "")


def _iou_interval(interval: Interval) -> str:
    return f"{write_iou(interval.estimate)} ({write_iou(interval.low)} to {write_iou(interval.high)})"


def _say_trials(report: Report) -> str:
    over = [entry for entry in report.trials if entry.state in ("finished", "stopped", "failed")]
    ended = [entry for entry in over if not entry.is_cut_off]
    cut = f", {len(over) - len(ended)} cut off" if len(ended) < len(over) else ""
    failed = sum(entry.state == "failed" for entry in ended)
    spent = sum(entry.epochs for entry in report.trials)
    planned = count(report.planned, "run" if report.is_confirmation else "trial")
    return (
        f"{len(ended)} of {planned} have ended{f', {failed} of them failed' if failed else ''}{cut}; "
        f"together they trained {spent} of {report.planned_epochs} planned epochs."
    )


def _lines(report: Report, entries: Sequence[Entry]) -> list[Line]:
    rivals = find_rivals(report)
    drawn = [rivals[entry.trial_id] for entry in entries if entry.trial_id in rivals]
    span = find_span(drawn)
    lines = []
    for entry in entries:
        rival = rivals.get(entry.trial_id)
        bar = _bar(rival.difference, span) if rival else None
        lines.append(Line(entry, rival, bar, report.left_out.get(entry.trial_id, ""), mean_of_runs(rival)))
    return lines


def _bar(interval: Interval, span: tuple[float, float]) -> Bar:
    low, high = span
    places = [100 * (value - low) / (high - low) for value in (interval.low, interval.high, interval.estimate, 0.0)]
    start, end, at, zero = (round(min(100.0, max(0.0, place)), 1) for place in places)
    return Bar(start, end, at, zero, is_cut=interval.low < low)


def _filters(report: Report, entries: Sequence[Entry]) -> list[tuple[str, tuple[str, ...]]]:
    found = []
    for key in report.varying:
        values = dict.fromkeys(
            write_value(value) for value in sorted({entry.settings.get(key) for entry in entries}, key=_order)
        )
        if 1 < len(values) <= FEW_VALUES:
            found.append((key, tuple(values)))
    return found


def _order(value: object) -> tuple[bool, float, str]:
    is_number = isinstance(value, int | float)
    return not is_number, float(value) if isinstance(value, int | float) else 0.0, str(value)

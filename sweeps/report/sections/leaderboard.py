"""Report the leaderboard: settings in the verdict's order with their seeds, stopped trials, and all others."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sweeps.formatting import write_value
from sweeps.report.gather import Entry, Report
from sweeps.report.section import Section
from sweeps.report.sections.intervals import find_span
from sweeps.report.sections.verdict import agrees_with_chance, find_rivals, mean_of_runs
from sweeps.sanitize import figure
from sweeps.statistics.results import Interval, Rival

FEW_VALUES = 12
"""A setting with more values has no filter of its own."""


@dataclass(frozen=True)
class Bar:
    """An interval as it is drawn in a cell, in percent of the scale that all rows share."""

    low: float
    high: float
    estimate: float
    zero: float
    is_cut_low: bool
    """Whether the interval continues below the scale."""
    is_cut_high: bool
    is_beyond: bool
    """Whether its estimate lies off the scale, too."""


@dataclass(frozen=True)
class LeaderboardRow:
    """A setting, or finalist, of the leaderboard; without a verdict, a trial."""

    entry: Entry
    rival: Rival | None
    bar: Bar | None
    left_out: str
    """Why the verdict does not compare it; "" if it does."""
    mean: float | None
    """Of its runs."""
    seeds: tuple[Entry, ...]
    """The seeds of a setting with several, those of other sweeps last."""


@dataclass(frozen=True)
class StoppedRow:
    """A trial that was stopped early beside the leader at the same epoch; not judged."""

    entry: Entry
    epoch: int
    score: float | None
    leader_score: float | None
    behind: float | None
    """How far it was behind the leader there, as a fraction of 1; negative: ahead."""
    p_best: float
    """Probability that it would have been the best of all."""


@dataclass(frozen=True)
class OtherRow:
    """A trial that is neither judged nor was stopped early."""

    entry: Entry
    why: str


@dataclass(frozen=True)
class Leaderboard:
    """The rows of the leaderboard and its filters."""

    lines: tuple[LeaderboardRow, ...]
    stopped: tuple[StoppedRow, ...]
    not_compared: tuple[OtherRow, ...]
    filters: tuple[tuple[str, tuple[str, ...]], ...]
    """Settings and their values, as they are written in the cells."""
    ends: tuple[str, ...]
    has_speed: bool
    has_boundary: bool
    """Whether boundary IoU was counted."""
    has_chance: bool
    """Whether probabilities of being best are shown."""


def build_leaderboard(report: Report) -> Section:
    """Return settings, the best first, with their seeds; then the trials that were stopped early; then all others."""
    board = build_board(report)
    return Section("leaderboard", "Leaderboard", _say_trials(report), data=board)


def build_board(report: Report) -> Leaderboard:
    """Return the rows of the leaderboard."""
    lines = tuple(_lines(report))
    stopped = tuple(_stopped_lines(report))
    shown = {line.entry.trial_id for line in lines} | {line.entry.trial_id for line in stopped}
    not_compared = tuple(
        OtherRow(entry, _why_not(report, entry)) for entry in report.unjudged() if entry.trial_id not in shown
    )
    return Leaderboard(
        lines=lines,
        stopped=stopped,
        not_compared=not_compared,
        filters=tuple(_filters(report)),
        ends=tuple(sorted({entry.stop_words for entry in report.listed()})),
        has_speed=any(line.rival and line.rival.latency_ms is not None for line in lines),
        has_boundary=any(line.entry.scores.boundary_iou is not None for line in lines),
        has_chance=report.verdict is not None and agrees_with_chance(report.verdict),
    )


def _say_trials(report: Report) -> str:
    over = [entry for entry in report.trials if entry.state in ("finished", "stopped", "failed")]
    ended = [entry for entry in over if not entry.is_cut_off]
    cut = f", {len(over) - len(ended)} were interrupted" if len(ended) < len(over) else ""
    failed = sum(entry.state == "failed" for entry in ended)
    spent = sum(entry.epochs for entry in report.trials)
    runs = "run" if report.is_confirmation else "trial"
    planned = f"{report.planned:,} {runs}{'' if report.planned == 1 else 's'}"
    return (
        f"{len(ended)} of {planned} ended{f', {failed} of them failed' if failed else ''}{cut}; together they trained "
        f"{spent:,} of {report.planned_epochs:,} planned epochs."
    )


def _lines(report: Report) -> list[LeaderboardRow]:
    """Return what is compared; without a verdict, the trials that have a figure."""
    rivals, seeds = find_rivals(report), _seeds(report)
    entries = report.settings or tuple(entry for entry in report.trials if entry.is_scored)
    span = find_span([rivals[entry.trial_id] for entry in entries if entry.trial_id in rivals])
    lines = []
    for entry in entries:
        rival = rivals.get(entry.trial_id)
        bar = _bar(rival.difference, span) if rival else None
        own = seeds.get(entry.trial_id, ())
        left_out = report.left_out.get(entry.trial_id, "")
        lines.append(LeaderboardRow(entry, rival, bar, left_out, mean_of_runs(rival), own if len(own) > 1 else ()))
    return lines


def _seeds(report: Report) -> Mapping[str, tuple[Entry, ...]]:
    """Return the runs of every setting, those of other sweeps last; none for a confirmation, which lists them apart."""
    runs_by_setting: dict[str, list[Entry]] = {}
    for run in () if report.is_confirmation else (*report.trials, *report.others):
        if run.setting_id:
            runs_by_setting.setdefault(run.setting_id, []).append(run)
    return {name: tuple(runs) for name, runs in runs_by_setting.items()}


def _stopped_lines(report: Report) -> list[StoppedRow]:
    trials = {entry.trial_id: entry for entry in report.trials}
    lines = []
    for trial in report.verdict.stopped if report.verdict else ():
        entry = trials.get(trial.trial_id)
        if entry is not None:
            behind = trial.leader_score - trial.score
            score = None if math.isnan(trial.score) else trial.score
            lines.append(
                StoppedRow(
                    entry=entry,
                    epoch=trial.epoch or entry.epochs,
                    score=figure(score if score is not None else entry.scores.miou),
                    leader_score=figure(trial.leader_score),
                    behind=figure(behind),
                    p_best=trial.p_best,
                )
            )
    return lines


def _why_not(report: Report, entry: Entry) -> str:
    """Return why a trial is not judged."""
    reason = report.left_out.get(entry.trial_id, "")
    if reason:
        return reason
    return "it failed" if entry.state == "failed" else "it has no figure" if not entry.is_scored else "not compared"


def _bar(interval: Interval, span: tuple[float, float]) -> Bar:
    low, high = span
    percents = [100 * (value - low) / (high - low) for value in (interval.low, interval.high, interval.estimate, 0.0)]
    start, end, estimate, zero = (round(min(100.0, max(0.0, percent)), 1) for percent in percents)
    is_beyond = not low <= interval.estimate <= high
    return Bar(start, end, estimate, zero, interval.low < low, interval.high > high, is_beyond)


def _filters(report: Report) -> list[tuple[str, tuple[str, ...]]]:
    filters = []
    entries: Sequence[Entry] = report.listed()
    for key in report.columns():
        values = dict.fromkeys(
            write_value(value) for value in sorted({entry.settings.get(key) for entry in entries}, key=_order)
        )
        if 1 < len(values) <= FEW_VALUES:
            filters.append((key, tuple(values)))
    return filters


def _order(value: object) -> tuple[bool, float, str]:
    is_number = isinstance(value, int | float)
    return not is_number, float(value) if isinstance(value, int | float) else 0.0, str(value)

"""Convert recorded trials to entries: typed, cleaned and rounded once for every output format."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from bddseg.result import OBJECTIVE, class_metric, group_metric
from bddseg.task import Task
from sweeps.sanitize import DECIMALS, clean, clean_all, figure
from sweeps.statistics.scores import FAILED, SCORE, Scores, rank
from sweeps.storage.outcomes import CANCELLED, CUT_OFF, StopReason, SweepState, TrialState, trial_state, words_of
from sweeps.storage.records import Repeat, TrialRow
from sweeps.storage.trial_history import EPOCH_SECONDS

RUNS = ("train.seed", "data.fold", "data.cut")
"""Settings in which the runs of one setting differ."""


FACTS: dict[str, Any] = {
    **dict.fromkeys(("space", "question", "profile", "command", "report_command", "started"), ""),
    **dict.fromkeys(("device", "precision", "code_version"), "unknown"),
    "confirmation": {},
    "axes": {},
    "trials": [],
    "versions": {},
    "scheduler": {"name": "", "max_epochs": 0, "rungs": []},
    "data": {
        "root": "unknown data",
        "embedded": False,
        "fingerprint": "",
        "summary": [],
        "scenes": {},
        "split": {"train": "?", "val": "?", "test": "?", "by_drive": False, "warning": ""},
    },
}
"""The facts that a page needs of a sweep, with defaults for what its manifest lacks."""


@dataclass(frozen=True)
class Entry:
    """One trial as the leaderboard shows it; also a setting, over all its seeds, or a finalist, over all its runs."""

    rank: int | None
    """Rank of its setting in the verdict, from 1; None if not judged. Without a verdict, by its score."""
    trial_id: str
    run_id: str
    name: str
    digest: str
    is_reference: bool
    state: str
    """finished, stopped, failed, running or waiting."""
    settings: dict[str, str | int | float | bool]
    scores: Scores
    """On the validation part, at the epoch that counts; of a setting or finalist, of all its runs together."""
    best_epoch: int | None
    """Of several runs, where all have the same."""
    epochs: int
    """Trained; of several runs, in total."""
    seconds: float | None
    """Of its epochs; pauses and interruptions do not count."""
    stop_reason: str
    stop_words: str
    stop_detail: str
    log_file: str
    curve: tuple[tuple[int, float], ...]
    """Epoch and validation mIoU; of several runs, their mean."""
    train_curve: tuple[tuple[int, float], ...]
    setting_id: str = ""
    """The id of the setting or finalist that it is a run of; a setting has its own id."""
    sweep_id: str = ""
    """The sweep that trained it, if it is another one."""

    @property
    def is_scored(self) -> bool:
        """Return whether it has a figure that counts: a failed trial has none."""
        return self.scores.miou is not None and self.state != TrialState.FAILED

    @property
    def seed(self) -> int | None:
        """Return the seed of its training."""
        value = self.settings.get("train.seed")
        return value if type(value) is int else None

    @property
    def is_cut_off(self) -> bool:
        """Return whether it was interrupted."""
        return self.stop_reason in CUT_OFF and self.stop_words != CANCELLED

    def at(self, epoch: int) -> float | None:
        """Return the validation mIoU at an epoch, where there is one."""
        return dict(self.curve).get(epoch)


def read_facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sweep's manifest, cleaned, with the defaults of FACTS."""
    return _with_defaults(clean_all(manifest), FACTS)


def _with_defaults(recorded: Any, defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the mapping with every default filled in; a value of another kind than its default is dropped."""
    facts = {**defaults, **recorded} if isinstance(recorded, Mapping) else dict(defaults)
    for key, default in defaults.items():
        if isinstance(default, dict) and default:
            facts[key] = _with_defaults(facts[key], default)
        elif isinstance(default, dict | list) and not isinstance(facts[key], type(default)):
            facts[key] = default
    return facts


def detail_names(task: Task) -> tuple[str, ...]:
    """Return the metrics of single classes and groups, without their part."""
    return (*map(class_metric, task.classes), *map(group_metric, task.group_names))


def complete_row(row: TrialRow, history: Mapping[str, Sequence[tuple[int, float]]], task: Task) -> TrialRow:
    """Return the row with the best figures so far if the trial has not recorded its own yet."""
    points = [point for point in history.get(OBJECTIVE, ()) if math.isfinite(point[1])]
    if SCORE in row.metrics or not points or row.status == FAILED:
        return row
    is_last = row.settings.get("train.keep") == "last"
    epoch, value = points[-1] if is_last else max(points, key=lambda point: (point[1], -point[0]))
    best = {f"best/{name}": dict(history.get(f"val/{name}", ())).get(epoch, math.nan) for name in detail_names(task)}
    return replace(row, metrics={**row.metrics, **best, SCORE: value, "best/epoch": epoch})


def build_entries(rows: Sequence[TrialRow], histories: Mapping[str, Any], state: str, task: Task) -> dict[str, Entry]:
    """Return the entries by recorded trial id, the best first and those without a figure last."""
    ranked = {row.trial_id: row for row in rank(rows)}
    ordered = ranked | {row.trial_id: row for row in rows if row.trial_id not in ranked}
    return {name: _entry(row, histories.get(name, {}), state, task) for name, row in ordered.items()}


def other_entry(name: str, repeat: Repeat, task: Task) -> Entry:
    """Return a seed of another sweep, under the id that the verdict has for it."""
    entry = _entry(repeat.row, {}, SweepState.FINISHED, task)
    return replace(entry, trial_id=name, sweep_id=clean(repeat.sweep_id), is_reference=False)


def join_runs(name: str, runs: Sequence[Entry], **changes: Any) -> Entry:
    """Return a setting, or finalist, as one entry under the id of its runs' setting.

    Curves are the mean of its runs, epochs and time their sum, leaving out what other sweeps spent.
    """
    first, own = runs[0], [run for run in runs if not run.sweep_id]
    seconds = [run.seconds for run in own if run.seconds is not None]
    return replace(
        first,
        trial_id=first.setting_id,
        name=name,
        is_reference=any(run.is_reference for run in own),
        settings={key: value for key, value in first.settings.items() if key not in RUNS},
        best_epoch=first.best_epoch if len({run.best_epoch for run in runs}) == 1 else None,
        epochs=sum(run.epochs for run in own),
        seconds=sum(seconds) if seconds else None,
        curve=_mean_curve([run.curve for run in own]),
        train_curve=_mean_curve([run.train_curve for run in own]),
        **changes,
    )


def _mean_curve(curves: Sequence[tuple[tuple[int, float], ...]]) -> tuple[tuple[int, float], ...]:
    values: dict[int, list[float]] = {}
    for epoch, value in (point for curve in curves for point in curve):
        values.setdefault(epoch, []).append(value)
    whole = [(epoch, scores) for epoch, scores in sorted(values.items()) if len(scores) == len(curves)]
    return tuple((epoch, round(fmean(scores), DECIMALS)) for epoch, scores in whole)


def _entry(row: TrialRow, history: Mapping[str, Any], sweep_state: str, task: Task) -> Entry:
    state = trial_state(row.status, row.stop_reason, TrialState.WAITING)
    running = "running" if sweep_state == SweepState.RUNNING else "did not end"
    unknown = {TrialState.RUNNING: running, TrialState.WAITING: "waiting"}.get(state)
    best = figure(row.metrics.get("best/epoch"))
    return Entry(
        rank=None,
        trial_id=clean(row.trial_id),
        run_id=clean(row.run_id),
        name=clean(row.name),
        digest=clean(row.digest),
        is_reference=row.is_reference,
        state=state,
        settings={clean(key): clean(value) if isinstance(value, str) else value for key, value in row.settings.items()},
        scores=_logged_scores(row.metrics, task),
        best_epoch=None if best is None else int(best),
        epochs=max((step for step, _ in history.get(OBJECTIVE, ())), default=0),
        seconds=_seconds(row, history.get(EPOCH_SECONDS, ())),
        stop_reason=clean(row.stop_reason),
        stop_words=unknown or _stop_words(row, state, has_epochs=bool(history.get(OBJECTIVE))),
        stop_detail=clean(row.stop_detail),
        log_file=clean(row.log_file),
        curve=_points(history.get(OBJECTIVE, ())),
        train_curve=_points(history.get("train/miou", ())),
        setting_id=clean(row.finalist),
    )


def _seconds(row: TrialRow, history: Sequence[tuple[int, float]]) -> float | None:
    """Return the time of a trial's epochs; from start to end, with pauses, where no epoch was timed."""
    if history:
        return figure(math.fsum(value for _, value in history))
    timed = row.started_ms is not None and row.ended_ms is not None
    return figure(((row.ended_ms or 0) - (row.started_ms or 0)) / 1000) if timed else None


def _stop_words(row: TrialRow, state: str, *, has_epochs: bool) -> str:
    if row.stop_reason == StopReason.USER and row.stop_detail.startswith(CANCELLED):
        return CANCELLED
    if row.stop_reason in CUT_OFF and not has_epochs:
        return "not started"
    return words_of(row.stop_reason) or clean(row.stop_reason) or state


def _points(history: Iterable[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    return tuple((step, round(value, DECIMALS)) for step, value in history if math.isfinite(value))


def _logged_scores(metrics: Mapping[str, float], task: Task) -> Scores:
    return Scores(
        miou=figure(metrics.get(SCORE)),
        iou={name: figure(metrics.get(f"best/{class_metric(name)}")) for name in task.classes},
        groups={name: figure(metrics.get(f"best/{group_metric(name)}")) for name in task.group_names},
        images={},
    )

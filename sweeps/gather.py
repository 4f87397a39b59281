"""Rows of the store -> Report: all that is said about a sweep, typed, cleaned and rounded once for every format."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bddseg.errors import DataError
from bddseg.evidence import Evidence
from bddseg.labels import CLASSES, GROUPS
from bddseg.result import OBJECTIVE
from sweeps.errors import NothingFinishedError
from sweeps.ranking import (
    DECIMALS,
    FAILED,
    SCORE,
    Check,
    Leader,
    Scores,
    compare_figures,
    figure,
    leader,
    rank,
    score_evidence,
)
from sweeps.store import SweepRecord, TrialRow

STATES = {"FINISHED": "finished", "KILLED": "stopped", "FAILED": "failed", "RUNNING": "running"}

REASONS = {
    "max_epochs": "ran to the end",
    "plateau": "no longer improved",
    "asha": "stopped early",
    "hyperband": "stopped early",
    "median": "stopped early",
    "diverged": "diverged",
    "oom": "out of memory",
    "error": "error",
    "user": "interrupted",
    "time_budget": "time was up",
    "driver_lost": "driver lost",
}
"""Recorded reason why a trial stopped -> how it is said."""

LATENCY = "latency.json"
"""Artifact of the sweep's run: parameters and latency of each trial's network."""

VERIFICATION = "verification.json"
"""Artifact of the leader's run: its figures counted twice."""

FACTS: dict[str, Any] = {
    **dict.fromkeys(("space", "question", "profile", "command", "report_command", "started"), ""),
    **dict.fromkeys(("device", "precision", "code_version"), "unknown"),
    "confirmation": {},
    "axes": {},
    "trials": [],
    "versions": {},
    "scheduler": {"max_epochs": 0, "rungs": []},
    "data": {
        "root": "unknown data",
        "embedded": False,
        "fingerprint": "",
        "summary": [],
        "scenes": {},
        "split": {"train": "?", "val": "?", "test": "?", "by_drive": False, "warning": ""},
    },
}
"""What a page needs to know of a sweep, and what stands in for what its manifest does not say."""

CURVES = (OBJECTIVE, "train/miou")
DETAILS = (*(f"iou/{name}" for name in CLASSES), *(f"group_miou/{group}" for group in GROUPS))


class Reader(Protocol):
    """What is asked of the store."""

    def histories(
        self, record: SweepRecord, keys: Sequence[str]
    ) -> Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]: ...
    def evidence(self, row: TrialRow, part: str) -> Evidence | None: ...
    def json_artifact(self, run_id: str, name: str) -> dict[str, Any] | None: ...


@dataclass(frozen=True)
class Entry:
    """One trial as the leaderboard shows it."""

    rank: int | None
    """From 1; None for a trial without a usable figure."""
    trial_id: str
    run_id: str
    name: str
    digest: str
    is_reference: bool
    state: str
    """finished, stopped, failed, running or waiting."""
    settings: dict[str, str | int | float | bool]
    scores: Scores
    """On the validation part, at the best epoch."""
    best_epoch: int | None
    epochs: int
    seconds: float | None
    stop_reason: str
    stop_words: str
    stop_detail: str
    log_file: str
    curve: tuple[tuple[int, float], ...]
    """Epoch and validation mIoU."""
    train_curve: tuple[tuple[int, float], ...]

    def at(self, epoch: int) -> float | None:
        """Return the validation mIoU at an epoch, where there is one."""
        return dict(self.curve).get(epoch)


@dataclass(frozen=True)
class Test:
    """Figures on the sealed part, for the leader and the reference only."""

    __test__ = False
    opened: tuple[tuple[Entry, int, Scores], ...]
    """Trial, epoch of the weights, figures."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Latency:
    """How large and how fast a trial's network is; None where that was not measured."""

    parameters: int | None
    batch_1_ms: float | None
    batch_16_ms: float | None


@dataclass(frozen=True)
class Speed:
    """What was measured of the networks when the sweep ended."""

    device: str
    precision: str
    trials: dict[str, Latency]
    """By trial id; empty where nothing was measured."""


@dataclass(frozen=True)
class Report:
    """All that is said about one sweep."""

    sweep_id: str
    state: str
    """running, finished, interrupted or failed."""
    facts: dict[str, Any]
    """The sweep's manifest, cleaned; what it lacks is as in FACTS."""
    budget: int
    """Epochs that a trial may train."""
    rungs: tuple[int, ...]
    made: str
    """When the report was written; empty leaves it out."""
    trials: tuple[Entry, ...]
    """Ranked ones first, the best first; then the others in plan order."""
    planned: int
    varying: tuple[str, ...]
    leader: Entry
    runner_up: Entry | None
    reference: Entry | None
    gap: float | None
    check: Check | None
    test: Test
    speed: Speed = Speed("", "", {})

    @property
    def is_final(self) -> bool:
        """Nothing about the sweep can change any more."""
        return self.state in ("finished", "failed")

    @property
    def planned_epochs(self) -> int:
        """Return the epochs of all trials together, each with its own budget where that is known."""
        settings = [trial.get("settings") for trial in self.facts["trials"] if isinstance(trial, dict)]
        known = [_whole(found.get("train.epochs")) for found in settings if isinstance(found, dict)]
        return sum(known) if len(known) == self.planned and all(known) else self.planned * self.budget

    def role(self, entry: Entry) -> str:
        """Return leader, runner-up, reference, or nothing."""
        if entry.trial_id == self.leader.trial_id:
            return "leader"
        if self.runner_up is not None and entry.trial_id == self.runner_up.trial_id:
            return "runner-up"
        return "reference" if entry.is_reference else ""

    def shown(self) -> tuple[Entry, ...]:
        """Return leader, runner-up and reference, each once and only with figures."""
        found = [self.leader, self.runner_up, self.reference]
        return tuple({entry.trial_id: entry for entry in found if entry is not None and entry.rank}.values())

    def epochs_shown(self) -> tuple[int, ...]:
        """Return the epochs at which one of the trials shown has a figure."""
        return tuple(sorted({epoch for entry in self.shown() for epoch, _ in entry.curve}))


def gather_report(record: SweepRecord, store: Reader, *, made: str = "") -> Report:
    """Return all that is to be said about the sweep; the test evidence is opened last, once the leader is settled.

    Raises:
        NothingFinishedError: when no trial has a usable figure; the message says why they failed.
    """
    state = {"RUNNING": "running", "FINISHED": "finished", "FAILED": "failed"}.get(record.status, "interrupted")
    is_open = any(row.status not in ("FINISHED", "KILLED", "FAILED") for row in record.trials)
    details = [f"val/{name}" for name in DETAILS] if is_open else []
    histories = store.histories(record, [*CURVES, *details])
    rows = [_so_far(row, histories.get(row.trial_id, {})) for row in record.trials]
    first = leader(rows)
    if first is None:
        raise NothingFinishedError(_why_nothing(record))
    entries = {row.trial_id: entry for row, entry in zip(rows, _entries(rows, histories, state), strict=True)}
    ranked = sorted(entries.values(), key=lambda entry: entry.rank or math.inf)
    reference = next((entry for entry in ranked if entry.is_reference), None)
    facts = _with_defaults(_cleaned(record.manifest), FACTS)
    verification = store.json_artifact(first.trial.run_id, VERIFICATION)
    found = Report(
        sweep_id=clean(record.sweep_id),
        state=state,
        facts=facts,
        budget=max([_whole(facts["scheduler"]["max_epochs"]), *(entry.epochs for entry in ranked)]),
        rungs=tuple(filter(None, map(_whole, facts["scheduler"]["rungs"]))),
        made=made,
        trials=tuple(ranked),
        planned=max(len(facts["trials"]), len(rows)),
        varying=_varying(ranked, facts["axes"]),
        leader=entries[first.trial.trial_id],
        runner_up=entries[first.runner_up.trial_id] if first.runner_up else None,
        reference=reference,
        gap=figure(first.gap),
        check=compare_figures(_cleaned(verification)) if verification else None,
        test=Test((), ()),
        speed=read_speed(_cleaned(store.json_artifact(record.run_id, LATENCY) or {})),
    )
    return replace(found, test=_open_test(found, first, rows, store))


def clean(value: Any) -> str:
    """Return text without line breaks, control and direction characters: what was read back may hold anything."""
    return " ".join("".join(char if char.isprintable() else " " for char in str(value)).split())


def read_speed(found: Mapping[str, Any]) -> Speed:
    """Return what `latency.json` says; what is no number there is None."""
    trials = found.get("trials")
    rows = {key: row for key, row in trials.items() if isinstance(row, dict)} if isinstance(trials, dict) else {}
    return Speed(
        device=str(found.get("device", "")),
        precision=str(found.get("precision", "")),
        trials={
            key: Latency(
                _whole(row.get("parameters")) or None, figure(row.get("batch_1_ms")), figure(row.get("batch_16_ms"))
            )
            for key, row in rows.items()
        },
    )


def _cleaned(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {clean(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return clean(value) if isinstance(value, str) else value


def _with_defaults(found: Any, defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the mapping with every default filled in; a value of another kind than its default is dropped."""
    facts = {**defaults, **found} if isinstance(found, Mapping) else dict(defaults)
    for key, default in defaults.items():
        if isinstance(default, dict) and default:
            facts[key] = _with_defaults(facts[key], default)
        elif isinstance(default, dict | list) and not isinstance(facts[key], type(default)):
            facts[key] = default
    return facts


def _whole(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0


def _so_far(row: TrialRow, history: Mapping[str, Sequence[tuple[int, float]]]) -> TrialRow:
    """Return the row with the best figures so far, where the trial has not ended and recorded them itself."""
    points = [point for point in history.get(OBJECTIVE, ()) if math.isfinite(point[1])]
    if SCORE in row.metrics or not points or row.status == FAILED:
        return row
    is_last = row.settings.get("train.keep") == "last"
    epoch, value = points[-1] if is_last else max(points, key=lambda point: (point[1], -point[0]))
    found = {f"best/{name}": dict(history.get(f"val/{name}", ())).get(epoch, math.nan) for name in DETAILS}
    return replace(row, metrics={**row.metrics, **found, SCORE: value, "best/epoch": epoch})


def _entries(rows: Sequence[TrialRow], histories: Mapping[str, Any], state: str) -> list[Entry]:
    places = {row.trial_id: place for place, row in enumerate(rank(rows), start=1)}
    return [_entry(row, places.get(row.trial_id), histories.get(row.trial_id, {}), state) for row in rows]


def _entry(row: TrialRow, place: int | None, history: Mapping[str, Any], sweep_state: str) -> Entry:
    curve = _points(history.get(OBJECTIVE, ()))
    state = STATES.get(row.status, "waiting")
    unknown = {"running": "running" if sweep_state == "running" else "did not end", "waiting": "waiting"}.get(state)
    best = figure(row.metrics.get("best/epoch"))
    timed = row.started_ms is not None and row.ended_ms is not None
    return Entry(
        rank=place,
        trial_id=clean(row.trial_id),
        run_id=clean(row.run_id),
        name=clean(row.name),
        digest=clean(row.digest),
        is_reference=row.is_reference,
        state=state,
        settings={clean(key): clean(value) if isinstance(value, str) else value for key, value in row.settings.items()},
        scores=_logged_scores(row.metrics),
        best_epoch=None if best is None else int(best),
        epochs=max((step for step, _ in history.get(OBJECTIVE, ())), default=0),
        seconds=figure(((row.ended_ms or 0) - (row.started_ms or 0)) / 1000) if timed else None,
        stop_reason=clean(row.stop_reason),
        stop_words=unknown or REASONS.get(row.stop_reason, clean(row.stop_reason) or state),
        stop_detail=clean(row.stop_detail),
        log_file=clean(row.log_file),
        curve=curve,
        train_curve=_points(history.get("train/miou", ())),
    )


def _points(history: Iterable[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    return tuple((step, round(value, DECIMALS)) for step, value in history if math.isfinite(value))


def _logged_scores(metrics: Mapping[str, float]) -> Scores:
    return Scores(
        miou=figure(metrics.get(SCORE)),
        iou={name: figure(metrics.get(f"best/iou/{name}")) for name in CLASSES},
        groups={group: figure(metrics.get(f"best/group_miou/{group}")) for group in GROUPS},
        images={},
    )


def _varying(entries: Sequence[Entry], axes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the settings in which trials differ, the axes of the grid first, in their order."""
    keys = dict.fromkeys([*map(clean, axes), *(key for entry in entries for key in entry.settings)])
    return tuple(key for key in keys if len({repr(entry.settings.get(key)) for entry in entries}) > 1)


def _why_nothing(record: SweepRecord) -> str:
    reasons = [
        f"{clean(row.name)}: {clean(row.stop_detail or row.stop_reason or row.status.lower())}" for row in record.trials
    ]
    shown = "; ".join(reasons[:5]) + (f"; and {len(reasons) - 5} more" if len(reasons) > 5 else "")
    return f"no trial of sweep {clean(record.sweep_id)} has a usable figure ({shown or 'none has started'})"


def _open_test(report: Report, first: Leader[TrialRow], rows: Sequence[TrialRow], store: Reader) -> Test:
    if not report.is_final:
        return Test((), (f"The test part stays sealed: the sweep is {report.state}, so its leader may still change.",))
    if report.facts["confirmation"]:
        return Test((), ("The test part stays sealed: a confirmation trains on folds and never looks at it.",))
    wanted = [first.trial, *(row for row in rows if row.is_reference and row.trial_id != first.trial.trial_id)]
    opened, notes = [], []
    for row in wanted:
        entry = next(entry for entry in report.trials if entry.trial_id == clean(row.trial_id))
        found = _read_test(row, report, store)
        if isinstance(found, str):
            notes.append(f"{report.role(entry).capitalize()} ({entry.name}): {found}")
        else:
            opened.append((entry, found.epoch, score_evidence(found)))
    return Test(tuple(opened), tuple(notes))


def _read_test(row: TrialRow, report: Report, store: Reader) -> Evidence | str:
    """Return the evidence, or in words why there is none to show."""
    try:
        evidence = store.evidence(row, "test")
    except DataError as error:
        return f"its test evidence is damaged: {clean(error)}."
    if evidence is None:
        return "it left no test evidence, so there is no test figure."
    known = report.facts["data"]["fingerprint"]
    if known and evidence.fingerprint != known:
        return f"its test evidence is of other frames ({clean(evidence.fingerprint)}), so it is not shown."
    return evidence

"""Status of a sweep from its folder: every planned trial, those that never started included."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bddseg.data.folders import is_there, is_visible
from bddseg.result import OBJECTIVE
from sweeps.errors import StorageError
from sweeps.execution.progress import TrialProgress
from sweeps.schedulers.state_file import FILE as MEMORY
from sweeps.schedulers.state_file import load_memory
from sweeps.storage.event_file import OUTBOX, EventFile
from sweeps.storage.events import PARENT, End, Start
from sweeps.storage.folder import SweepFolder
from sweeps.storage.outcomes import CANCELLED, CUT_OFF, RunStatus, StopReason, SweepState, TrialState, sweep_state
from sweeps.storage.records import TrialRow, Value
from sweeps.storage.relocation import present_path
from sweeps.storage.sweep_json import FILE as MANIFEST
from sweeps.storage.sweep_json import TrialRecord, read_manifest
from sweeps.storage.sweeps import follow_words, latest_sweep
from sweeps.storage.tags import LOG_FILE, REUSED, STOP_DETAIL, STOP_REASON
from sweeps.storage.trial_history import TrialHistory

if TYPE_CHECKING:
    from sweeps.tracking.reader import Store


@dataclass(frozen=True)
class Status:
    """State of a sweep and of its trials."""

    state: str
    rows: tuple[TrialProgress, ...]
    to_follow: list[str]
    """Sentences about trials that are not known yet."""
    settings: Mapping[str, Mapping[str, Value]]
    """Trial -> its settings."""

    def trials(self) -> "list[Trial]":
        """Return the trials as plain values."""
        return [_plain(row, self.settings.get(row.trial_id, {})) for row in self.rows]


@dataclass(frozen=True)
class Trial:
    """One trial of a sweep, as it is now; `--status --json` has the same fields."""

    name: str
    trial_id: str
    """Digest of its settings."""
    state: str
    """waiting, running, paused, finished, stopped, failed, cancelled, interrupted or not started."""
    epochs: int
    """Trained so far."""
    budget: int
    """Most epochs that it may train; 0 where only MLflow knows the sweep."""
    best_miou: float | None
    """val/miou of its best epoch; None without a usable one."""
    best_epoch: int
    """0 without a usable one, and where only MLflow knows the sweep."""
    seconds: float
    """Spent in epochs."""
    stop_reason: str
    """Why it ended: one of a fixed set of reasons; empty while it has not."""
    stop_detail: str
    log_file: str
    is_reference: bool
    settings: Mapping[str, Value]
    """By their dotted names."""


def _plain(row: TrialProgress, settings: Mapping[str, Value]) -> Trial:
    best = None if math.isnan(row.best_miou) else row.best_miou
    return Trial(
        row.name,
        row.trial_id,
        str(row.state),
        row.epochs,
        row.budget,
        best,
        row.best_epoch,
        row.seconds,
        str(row.stop_reason),
        row.stop_detail,
        row.log_file,
        row.is_reference,
        settings,
    )


def find_sweep_id(name: str | None, storage: Path, open_store: "Callable[[], Store]") -> str:
    """Return the id of a sweep; without a name, that of the latest in the storage folder, or in MLflow.

    Raises:
        NoSweepError: when nothing is recorded.
    """
    return name or latest_sweep(storage) or open_store().latest_sweep_id()


def recorded_status(sweep_id: str, storage: Path, open_store: "Callable[[], Store]") -> Status:
    """Return the status of a sweep, from its folder or, where that is missing, from MLflow.

    Raises:
        NoSweepError: when it is recorded in neither.
    """
    if is_there(storage / sweep_id / MANIFEST):
        return read_status(storage / sweep_id)
    record = open_store().read_sweep(sweep_id)
    settings = {trial.trial_id: trial.settings for trial in record.trials}
    return Status(sweep_state(record.status), tuple(map(row_of, record.trials)), [], settings)


def read_status(folder: Path) -> Status:
    """Return the status of the sweep of a folder, from its manifest and its events.

    Raises:
        StorageError: when the manifest is missing or damaged.
    """
    manifest, state = read_manifest(folder), SweepState.RUNNING
    rows = {trial.trial_id: _row(trial) for trial in manifest.trials}
    for event in EventFile(folder / OUTBOX).events():
        if event.trial in rows:
            rows[event.trial].apply(event)
            if isinstance(event, Start) and REUSED in event.tags:
                rows[event.trial].state = TrialState.WAITING  # another sweep started it
        elif event.trial == PARENT and isinstance(event, Start | End):
            state = sweep_state(event.status if isinstance(event, End) else RunStatus.RUNNING)
    for trial_id in _paused(folder):
        if trial_id in rows and rows[trial_id].state == TrialState.RUNNING:
            rows[trial_id].state = TrialState.PAUSED
    for row in rows.values():
        _look_around(row, SweepFolder(folder))
        if row.state == TrialState.WAITING and state != SweepState.RUNNING:
            row.state = "not started"
    return Status(
        state,
        tuple(rows.values()),
        [] if state == SweepState.FINISHED else follow_words(manifest.to_come, manifest.to_replicate),
        {trial.trial_id: dict(trial.settings) for trial in manifest.trials},
    )


def row_of(trial: TrialRow) -> TrialProgress:
    """Return the row of a trial that only the tracking store knows."""
    row = TrialProgress(trial.trial_id, trial.name, trial.is_reference, 0)
    row.end(trial.status, {STOP_REASON: trial.stop_reason, STOP_DETAIL: trial.stop_detail, LOG_FILE: trial.log_file})
    if "best/miou" in trial.metrics:  # epoch 0: the row does not say how many there were
        row.history.candidates[0] = {OBJECTIVE: trial.metrics["best/miou"]}
    return row


def _row(trial: TrialRecord) -> TrialProgress:
    history = TrialHistory(keep=trial.settings.get("train.keep", "best"))
    return TrialProgress(trial.trial_id, trial.name, trial.reference, trial.epochs, history)


def _look_around(row: TrialProgress, folder: SweepFolder) -> None:
    """Add to a row what events lack: a cancellation, an interruption, and the path of its log."""
    row.is_cancelled = is_cancelled = folder.is_cancelled(row.trial_id)
    if is_cancelled and (row.state in (TrialState.WAITING, TrialState.PAUSED) or row.stop_reason == StopReason.USER):
        row.state, row.stop_detail = CANCELLED, row.stop_detail or "cancelled by the user"
    elif is_cancelled and row.state == TrialState.RUNNING:
        row.stop_detail = "cancelled by the user: stops after its current epoch"
    elif row.stop_reason in CUT_OFF:
        row.state = row.ending
    log = folder.log(row.trial_id)
    row.log_file = str(log) if is_visible(log) else present_path(row.log_file, folder.path) if row.log_file else ""


def _paused(folder: Path) -> Mapping[str, int]:
    try:
        return (load_memory(folder / MEMORY) or {}).get("paused", {})
    except StorageError:
        return {}

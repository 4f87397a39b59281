"""Ray callback: records starts, epochs, checkpoints and ends of trials. It never raises into Ray's loop.

The stop reason of a trial comes from its scheduler or from the trial itself; it is never inferred from epoch counts.
"""

import functools
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from pyarrow.fs import LocalFileSystem
from ray.tune import Callback, Checkpoint
from ray.tune.experiment import Trial

from bddseg.files import sync_folder, sync_tree
from bddseg.result import is_metric
from sweeps.execution.ray_patches import has_lost_node
from sweeps.execution.trial_failures import FailureCauses, is_memory_failure, last_failure, write_traceback
from sweeps.execution.trial_recorder import TrialRecorder, cut_off_words
from sweeps.schedulers.rungs import NO_EPOCH, TRIAL_KEY, Stop
from sweeps.storage.artifacts import EVIDENCE_FOLDER, evidence_file
from sweeps.storage.object_store import explain
from sweeps.storage.outcomes import StopReason

log = logging.getLogger(__name__)

EVIDENCE_FILES = (evidence_file("val"), evidence_file("test"))
CHECKPOINT_DEPTH = 3
"""Folders above a checkpoint that may be as new as it is: the trial's, the pass's, the sweep's."""


class StopReasons(Protocol):
    """The part of a scheduler that the callback reads: stopped trials with their reason, and paused trials."""

    stops: dict[str, Stop]
    paused: dict[str, int]


def guarded(hook: Callable[..., None]) -> Callable[..., None]:
    """Return a hook that logs its exceptions: one that leaves a callback would end the whole sweep."""

    @functools.wraps(hook)
    def safe(*args: Any, **info: Any) -> None:
        try:
            hook(*args, **info)
        except Exception:  # nothing of ours raises into Ray's loop
            log.warning("tracking: %s failed; the sweep continues", hook.__name__, exc_info=True)

    return safe


class OutboxCallback(Callback):
    """Passes what Ray reports about trials to a recorder."""

    def __init__(self, recorder: TrialRecorder, scheduler: StopReasons) -> None:
        self.recorder, self.scheduler = recorder, scheduler
        self._causes = FailureCauses()

    @guarded
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Ray has started or restarted a trial."""
        if self.recorder.is_paused(_id(trial)):
            self.recorder.unpause(_id(trial))
        else:
            self.recorder.start(_id(trial))

    @guarded
    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: Mapping[str, Any], **info: Any
    ) -> None:
        """A trial has reported an epoch."""
        if "epoch" not in result:
            return
        trial_id, epoch = _id(trial), int(result["epoch"])
        self.recorder.report_reason(trial_id, str(result.get("stop_reason") or ""))
        if result.get(NO_EPOCH):
            return
        metrics = {name: _number(value) for name, value in result.items() if is_metric(name)}
        self.recorder.epoch(trial_id, epoch, metrics)
        if trial_id in self.scheduler.paused:
            self.recorder.pause(trial_id, epoch)

    @guarded
    def on_checkpoint(
        self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: Checkpoint, **info: Any
    ) -> None:
        """A trial has saved a checkpoint, and Ray is about to delete an older one.

        The checkpoint and the events so far are synced to the disk now, so that a power cut leaves both or neither.
        """
        self.recorder.writer.sync()
        path = Path(checkpoint.path)
        if isinstance(checkpoint.filesystem, LocalFileSystem) and path.is_dir():
            sync_tree(path)
            for folder in path.parents[:CHECKPOINT_DEPTH]:
                sync_folder(folder)

    @guarded
    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has ended by itself or was stopped early."""
        self._end(trial, *self._why(_id(trial)))

    @guarded
    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has failed and will be retried, or its node was lost and it continues on another."""
        trial_id, traceback = _id(trial), last_failure(trial)
        name, log_file = self.recorder.name_of(trial_id), self.recorder.log_file(trial_id)
        if has_lost_node(trial):
            log.warning("%s continues on another node: its own was lost or cannot be reached; see %s", name, log_file)
        else:
            log.warning("%s is retried: %s; see %s", name, self._causes.explain(traceback), log_file)
        self._write_traceback(log_file, traceback)
        self.recorder.retry(trial_id, is_own_failure=not has_lost_node(trial))

    @guarded
    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial has failed and will not be retried."""
        traceback, log_file = last_failure(trial), self.recorder.log_file(_id(trial))
        self._ensure_started(_id(trial))
        self._write_traceback(log_file, traceback)
        if log_file.is_file():
            self.recorder.artifact(_id(trial), log_file, "")
        cause = self._causes.explain(traceback)
        self._end(trial, StopReason.OOM if is_memory_failure(traceback, cause) else StopReason.ERROR, cause)

    @guarded
    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Ray has left its loop: trials that are still open were interrupted."""
        for trial in trials:
            if self.recorder.is_open(_id(trial)):
                self.on_trial_complete(0, trials, trial)

    def _why(self, trial_id: str) -> tuple[str, str]:
        """Return a trial's stop reason and its description."""
        if own_ending := self.recorder.own_ending(trial_id):
            return own_ending
        if stop := self.scheduler.stops.get(trial_id):
            return stop.reason, stop.sentence()
        return StopReason.USER, cut_off_words(self.recorder.history_of(trial_id).epochs)

    def _ensure_started(self, trial_id: str) -> None:
        """Record the start of a trial that Ray ends without having started it."""
        if not self.recorder.is_open(trial_id):
            self.recorder.start(trial_id)

    def _end(self, trial: Trial, reason: str, detail: str) -> None:
        self._ensure_started(_id(trial))
        self._spool_evidence(trial)
        self.recorder.end(_id(trial), reason, detail)

    @guarded
    def _spool_evidence(self, trial: Trial) -> None:
        """Copy the evidence of the trial's last checkpoint to the outbox, where it stays until it is uploaded."""
        for name in EVIDENCE_FILES if trial.checkpoint else ():
            try:
                content = _read(trial.checkpoint, name)
            except OSError as error:
                if isinstance(trial.checkpoint.filesystem, LocalFileSystem):
                    raise
                trial_name = self.recorder.name_of(_id(trial))
                log.warning("the evidence of %s is fetched after the pass: %s", trial_name, explain(error))
                return
            if content is not None:
                self.recorder.spool(_id(trial), name, content, EVIDENCE_FOLDER)

    @guarded
    def _write_traceback(self, log_file: Path, traceback: str) -> None:
        write_traceback(log_file, traceback)


def _id(trial: Trial) -> str:
    return str(trial.config[TRIAL_KEY])


def _number(value: Any) -> float | None:
    """Return a value as JSON holds it: None unless it is finite."""
    number = float(value) if value is not None else math.nan
    return number if math.isfinite(number) else None


def _read(checkpoint: Checkpoint, name: str) -> bytes | None:
    if checkpoint.filesystem is None:
        return None
    try:
        with checkpoint.filesystem.open_input_stream(f"{checkpoint.path}/{name}") as file:
            return bytes(file.read())
    except FileNotFoundError:
        return None

"""Records what happens to trials as events: start, epoch, artifact and end go to the outbox, all go to listeners."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bddseg.files import make_folder, write_file
from bddseg.result import OBJECTIVE
from bddseg.words import count
from sweeps.execution.event_writer import EventWriter
from sweeps.planning.plan import PlannedTrial
from sweeps.storage.attempts import Attempt
from sweeps.storage.events import Artifact, End, Epoch, Event, Pause, Retry, Start, TrialEvent
from sweeps.storage.outcomes import StopReason, status_of
from sweeps.storage.tags import (
    CONFIG_DIGEST,
    IS_REFERENCE,
    LOG_FILE,
    RETRIES,
    SETTING,
    STOP_DETAIL,
    STOP_REASON,
    SWEEP_ID,
    TRIAL_ID,
)
from sweeps.storage.trial_history import TrialHistory

SENTENCES: dict[str, str] = {
    StopReason.MAX_EPOCHS: "all {epochs} done",
    StopReason.PLATEAU: f"no better {OBJECTIVE} since epoch {{best}}, stopped after epoch {{epoch}}",
    StopReason.DIVERGED: "the loss was not finite in epoch {epoch}",
    StopReason.OOM: "out of memory after epoch {epoch}",
    StopReason.USER: "cancelled by the user after epoch {epoch}",
}
"""Stop reason that a trial reports itself -> its description."""

DETAIL_CHARS = 500


class TrialRecorder:
    """Writes the events of trials, adds them to the trials' histories, and passes them to the listeners."""

    def __init__(
        self,
        outbox_folder: Path,
        sweep_id: str,
        trials: Mapping[str, PlannedTrial],
        histories: dict[str, TrialHistory] | None = None,
        *,
        logs: Path | None = None,
        tags: Mapping[str, str] | None = None,
        inputs: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
        listeners: Sequence[Callable[[TrialEvent], None]] = (),
        attempt: Attempt | None = None,
    ) -> None:
        """Create a recorder.

        Args:
            outbox_folder: folder of the sweep's outbox.
            sweep_id: id of the sweep.
            trials: trial id -> trial; not copied, since trials that are suggested during the pass join it.
            histories: trial id -> history, with the events of earlier passes; every event is added to it.
            logs: folder of the trials' log files; the outbox's own `logs` by default.
            tags: tags of every trial's run, for example its data fingerprint.
            inputs: trial id -> the parts of the data that it uses; "" is any trial that is not named.
            listeners: called with every event in this process; a copy that Ray restores has none.
            attempt: the number under which events are written.
        """
        self._folder = Path(outbox_folder).absolute()
        self._logs = Path(logs).absolute() if logs else self._folder / "logs"
        self._sweep_id, self._trials, self._tags = sweep_id, trials, dict(tags or {})
        self._inputs = dict(inputs or {})
        self._listeners = tuple(listeners)
        self._histories = {} if histories is None else histories
        self._reasons: dict[str, str] = {}
        """Trial id -> the stop reason that the trial itself has reported since its start."""
        self._paused_ids: set[str] = set()
        """Trials whose next start continues a pause, even after a retry: the history's state does not tell."""
        self.writer = EventWriter(self._folder, attempt)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_listeners": ()}

    def name_of(self, trial_id: str) -> str:
        """Return a trial's name."""
        return self._trials[trial_id].name

    def history_of(self, trial_id: str) -> TrialHistory:
        """Return a trial's history; an empty one for a trial without events."""
        return self._histories.setdefault(trial_id, TrialHistory(keep=self._trials[trial_id].config.train.keep))

    def is_open(self, trial_id: str) -> bool:
        """Return whether a trial has started and not ended."""
        history = self._histories.get(trial_id, TrialHistory())
        return history.is_started and not history.status

    def is_paused(self, trial_id: str) -> bool:
        """Return whether a trial's next start continues a pause."""
        return trial_id in self._paused_ids and self.is_open(trial_id)

    def log_file(self, trial_id: str) -> Path:
        """Return the path of a trial's log."""
        return self._logs / f"{trial_id}.log"

    def start(self, trial_id: str) -> None:
        """Record that a trial starts or restarts."""
        planned = self._trials[trial_id]
        self._reasons[trial_id] = ""
        self._paused_ids.discard(trial_id)
        tags = {
            **self._tags,
            SWEEP_ID: self._sweep_id,
            TRIAL_ID: planned.trial_id,
            CONFIG_DIGEST: planned.trial_id,
            SETTING: planned.config.setting_digest(),
            IS_REFERENCE: str(planned.is_reference).lower(),
            RETRIES: str(self.history_of(trial_id).retries),
            **planned.tags,
        }
        inputs = self._inputs.get(trial_id, self._inputs.get("", ()))
        self._record(Start(trial_id, planned.name, dict(planned.settings), tags, inputs))

    def unpause(self, trial_id: str) -> None:
        """Notify the listeners that a paused trial continues; its run never ended, so the outbox gets no event."""
        self._paused_ids.discard(trial_id)
        self._notify(Start(trial_id))

    def report_reason(self, trial_id: str, reason: str) -> None:
        """Keep the stop reason that a trial has reported; "" when it continues."""
        self._reasons[trial_id] = reason

    def epoch(self, trial_id: str, epoch: int, metrics: Mapping[str, float | None]) -> None:
        """Record an epoch."""
        self._record(Epoch(trial_id, epoch, metrics, self._reasons.get(trial_id, "")))

    def pause(self, trial_id: str, epoch: int) -> None:
        """Notify the listeners that a trial is paused at its rung."""
        self._paused_ids.add(trial_id)
        self._notify(Pause(trial_id))

    def retry(self, trial_id: str, *, is_own_failure: bool = True) -> None:
        """Notify the listeners that a trial will be started again; count the retry of a failure of its own."""
        self.history_of(trial_id).retries += is_own_failure
        self._notify(Retry(trial_id))

    def artifact(self, trial_id: str, path: Path, folder: str) -> None:
        """Record a file for the run's artifact folder."""
        self._record(Artifact(trial_id, path, folder))

    def spool(self, trial_id: str, name: str, content: bytes, folder: str) -> None:
        """Write a file that stays in the outbox until it is uploaded, and record it."""
        path = self._folder / "spool" / trial_id / name
        make_folder(path.parent)
        write_file(path, content, durable=True)
        self.artifact(trial_id, path, folder)

    def end(self, trial_id: str, reason: str, detail: str) -> None:
        """Record that a trial has ended, with its stop reason and the figures of the epoch that counts."""
        history = self.history_of(trial_id)
        tags = {
            STOP_REASON: str(reason),
            STOP_DETAIL: detail.strip()[:DETAIL_CHARS],
            LOG_FILE: str(self.log_file(trial_id)),
            RETRIES: str(history.retries),
        }
        self._record(End(trial_id, status_of(reason), tags, _best_figures(history), history.epochs))

    def own_ending(self, trial_id: str) -> tuple[str, str] | None:
        """Return the stop reason that a trial has reported, and its description; None when it has reported none."""
        reason, history = self._reasons.get(trial_id), self.history_of(trial_id)
        if not reason:
            return None
        sentence = SENTENCES.get(reason, "ended by itself after epoch {epoch}")
        epochs = count(history.epochs, "epoch")
        return reason, sentence.format(epoch=history.epochs, epochs=epochs, best=history.best_epoch)

    def _record(self, event: Event) -> None:
        self.writer.write(event)
        self._notify(event)

    def _notify(self, event: TrialEvent) -> None:
        self.history_of(event.trial).add(event)
        for listen in self._listeners:
            listen(event)


def _best_figures(history: TrialHistory) -> dict[str, float | None]:
    """Return the validation metrics of the epoch that counts, as `best/...`; none without a usable epoch."""
    if not history.best_epoch:
        return {}
    metrics = history.best_metrics
    figures = {f"best/{name.removeprefix('val/')}": metrics[name] for name in metrics if name.startswith("val/")}
    return {"best/epoch": history.best_epoch, **figures}


def cut_off_words(epoch: int) -> str:
    """Return the description of an interrupted trial by its last epoch; 0 before it had one."""
    return f"cut off after epoch {epoch}" if epoch else "cut off before its first epoch"

"""Records what happens to trials as events: start, epoch, artifact and end go to the outbox, all go to listeners."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bddseg.files import make_folder, write_file
from bddseg.result import OBJECTIVE
from bddseg.words import count
from sweeps.execution.event_writer import EventWriter, new_event
from sweeps.planning.plan import PlannedTrial
from sweeps.storage.outbox import Event

STATUS = {
    "max_epochs": "FINISHED",
    "plateau": "FINISHED",
    "asha": "KILLED",
    "hyperband": "KILLED",
    "median": "KILLED",
    "user": "KILLED",
    "driver_lost": "KILLED",
    "diverged": "FAILED",
    "oom": "FAILED",
    "error": "FAILED",
}
"""Stop reason -> status of the MLflow run."""

SENTENCES = {
    "max_epochs": "all {epochs} done",
    "plateau": f"no better {OBJECTIVE} since epoch {{best}}, stopped after epoch {{epoch}}",
    "diverged": "the loss was not finite in epoch {epoch}",
    "oom": "out of memory after epoch {epoch}",
    "user": "cancelled by the user after epoch {epoch}",
}
"""Stop reason that a trial reports itself -> its description."""

DETAIL_CHARS = 500


@dataclass
class TrialState:
    """The state of one trial during a pass: plain values, because Ray saves them with its snapshots."""

    is_open: bool = False
    """It has started and not ended."""
    is_paused: bool = False
    """It is paused at a rung; its MLflow run stays open."""
    retries: int = 0
    epoch: int = 0
    """The last reported epoch."""
    bests: list[dict[str, Any]] = field(default_factory=list)
    """Metrics of every epoch that was the best when it was reported, with its "epoch"; the last entry counts."""
    reason: str = ""
    """The stop reason that the trial itself reported."""

    def add_epoch(self, epoch: int, metrics: Mapping[str, float | None], keep: str) -> None:
        """Add an epoch; one that is trained again discards those after it. `keep` is best or last."""
        self.epoch = epoch
        while self.bests and self.bests[-1]["epoch"] >= epoch:
            self.bests.pop()
        value = metrics.get(OBJECTIVE)
        if value is not None and (keep == "last" or not self.bests or value > self.bests[-1][OBJECTIVE]):
            self.bests.append({"epoch": epoch, **metrics})

    def best_metrics(self) -> dict[str, float | None]:
        """Return the validation metrics of the epoch that counts, as `best/...`; none without a usable epoch."""
        if not self.bests:
            return {}
        best = self.bests[-1]
        figures = {f"best/{name.removeprefix('val/')}": best[name] for name in best if name.startswith("val/")}
        return {"best/epoch": best["epoch"], **figures}

    def own_ending(self) -> str:
        """Return the description of the stop reason that the trial reported."""
        sentence = SENTENCES.get(self.reason, "ended by itself after epoch {epoch}")
        best = self.bests[-1]["epoch"] if self.bests else 0
        return sentence.format(epoch=self.epoch, epochs=count(self.epoch, "epoch"), best=best)


class TrialRecorder:
    """Keeps the state of each trial, writes its events and passes them to the listeners."""

    def __init__(
        self,
        outbox_folder: Path,
        sweep_id: str,
        trials: Mapping[str, PlannedTrial],
        *,
        logs: Path | None = None,
        tags: Mapping[str, str] | None = None,
        listeners: Sequence[Callable[[Event], None]] = (),
    ) -> None:
        """Create a recorder that knows of no earlier events.

        Args:
            outbox_folder: folder of the sweep's outbox.
            sweep_id: id of the sweep.
            trials: trial id -> trial; not copied, since trials that are suggested during the pass join it.
            logs: folder of the trials' log files; the outbox's own `logs` by default.
            tags: tags of every trial's run, for example its data fingerprint.
            listeners: called with every event in this process; a copy that Ray restores has none.
        """
        self._folder = Path(outbox_folder).absolute()
        self._logs = Path(logs).absolute() if logs else self._folder / "logs"
        self._sweep_id, self._trials, self._tags = sweep_id, trials, dict(tags or {})
        self._listeners = tuple(listeners)
        self._states: dict[str, TrialState] = {}
        self.writer = EventWriter(self._folder)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_listeners": ()}

    def name_of(self, trial_id: str) -> str:
        """Return a trial's name."""
        return self._trials[trial_id].name

    def state_of(self, trial_id: str) -> TrialState:
        """Return a trial's state; a new one for a trial without events."""
        return self._states.setdefault(trial_id, TrialState())

    def log_file(self, trial_id: str) -> Path:
        """Return the path of a trial's log."""
        return self._logs / f"{trial_id}.log"

    def recall(self, events: Iterable[Event]) -> None:
        """Restore the states from the events of earlier passes."""
        for event in events:
            trial_id = str(event.get("trial"))
            if trial_id not in self._trials:
                continue
            state = self.state_of(trial_id)
            if event["kind"] == "epoch":
                state.add_epoch(int(event["step"]), event["metrics"], self._trials[trial_id].config.train.keep)
            elif event["kind"] == "end":
                state.retries = int(event["tags"].get("sweep.retries", state.retries))

    def start(self, trial_id: str) -> None:
        """Record that a trial starts or restarts."""
        planned, state = self._trials[trial_id], self.state_of(trial_id)
        state.is_open, state.is_paused, state.reason = True, False, ""
        tags = {
            **self._tags,
            "sweep.id": self._sweep_id,
            "sweep.trial_id": planned.trial_id,
            "sweep.config_digest": planned.digest,
            "sweep.setting": planned.config.setting_digest(),
            "sweep.reference": str(planned.is_reference).lower(),
            "sweep.retries": str(state.retries),
            **planned.tags,
        }
        self._record(trial_id, "start", name=planned.name, params=dict(planned.settings), tags=tags)

    def unpause(self, trial_id: str) -> None:
        """Notify the listeners that a paused trial continues; its run never ended, so the outbox gets no event."""
        self.state_of(trial_id).is_paused = False
        self._notify(new_event(trial_id, "start"))

    def epoch(self, trial_id: str, epoch: int, metrics: Mapping[str, float | None]) -> None:
        """Record an epoch."""
        state = self.state_of(trial_id)
        state.add_epoch(epoch, metrics, self._trials[trial_id].config.train.keep)
        ending = {"ending": state.reason} if state.reason else {}
        self._record(trial_id, "epoch", step=epoch, metrics=metrics, **ending)

    def pause(self, trial_id: str, epoch: int) -> None:
        """Notify the listeners that a trial is paused at its rung."""
        self.state_of(trial_id).is_paused = True
        self._notify(new_event(trial_id, "pause", step=epoch))

    def retry(self, trial_id: str) -> None:
        """Notify the listeners that a failed trial will be started again."""
        self._notify(new_event(trial_id, "retry"))

    def artifact(self, trial_id: str, path: Path, folder: str) -> None:
        """Record a file for the run's artifact folder."""
        self._record(trial_id, "artifact", path=str(path), folder=folder)

    def spool(self, trial_id: str, name: str, content: bytes, folder: str) -> None:
        """Write a file that stays in the outbox until it is uploaded, and record it."""
        path = self._folder / "spool" / trial_id / name
        make_folder(path.parent)
        write_file(path, content, durable=True)
        self.artifact(trial_id, path, folder)

    def end(self, trial_id: str, reason: str, detail: str) -> None:
        """Record that a trial has ended, with its stop reason and the best figures."""
        state = self.state_of(trial_id)
        tags = {
            "sweep.stop_reason": reason,
            "sweep.stop_detail": detail.strip()[:DETAIL_CHARS],
            "sweep.log_file": str(self.log_file(trial_id)),
            "sweep.retries": str(state.retries),
        }
        state.is_open = False
        outcome = {"status": STATUS.get(reason, "FAILED"), "tags": tags, "metrics": state.best_metrics()}
        self._record(trial_id, "end", **outcome, step=state.epoch, note=None)

    def _record(self, trial_id: str, kind: str, **fields: Any) -> None:
        event = new_event(trial_id, kind, **fields)
        self.writer.write(event)
        self._notify(event)

    def _notify(self, event: Event) -> None:
        for listen in self._listeners:
            listen(event)


def cut_off_words(epoch: int) -> str:
    """Return the description of an interrupted trial by its last epoch; 0 before it had one."""
    return f"cut off after epoch {epoch}" if epoch else "cut off before its first epoch"

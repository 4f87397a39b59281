"""The history of each trial: its events, folded in the order in which they were written.

A trial that is retried or resumed continues after its last checkpoint, and so may report an epoch a second time. The
last report of an epoch counts, and it drops every epoch after it: those belong to weights that no longer exist. The
terminal, `best/...` in MLflow, the report and the Optuna study all follow this rule.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bddseg.result import OBJECTIVE
from sweeps.storage.events import PARENT, End, Epoch, Event, Pause, Retry, Start, TrialEvent
from sweeps.storage.outcomes import CUT_OFF, StopReason, TrialState, trial_state
from sweeps.storage.tags import LOG_FILE, RETRIES, REUSED, STOP_DETAIL, STOP_REASON

EPOCH_SECONDS = "time/epoch_s"

MEMORY_ATTEMPTS = 2
"""A trial that ran out of memory is tried once more, with twice the share."""


@dataclass
class TrialHistory:
    """What its events say of one trial, or of the sweep's own run."""

    values: dict[int, float | None] = field(default_factory=dict)
    """Epoch -> val/miou, ascending; None is NaN."""
    ending: str = ""
    """The trial's own reason to end with its last epoch, while the end itself has not been written."""
    reason: str = ""
    """Why it ended; "" while it has not."""
    is_started: bool = False
    memory_failures: int = 0
    """How often it ran out of memory."""
    keep: str = "best"
    """Which epoch counts: best or last."""
    state: TrialState = TrialState.WAITING
    status: str = ""
    """Status of its run at its end; "" while it has not ended."""
    detail: str = ""
    log_file: str = ""
    retries: int = 0
    ended_after: int = 0
    """The last epoch according to its end."""
    is_reused: bool = False
    """It was started by another sweep, and taken over from there."""
    epoch_seconds: dict[int, float] = field(default_factory=dict)
    candidates: dict[int, Mapping[str, float | None]] = field(default_factory=dict)
    """Epoch -> its metrics, for each epoch that counted when it was reported. The last one counts; the others are kept
    because a repeated epoch may drop it."""

    # The live view reads these properties in a thread of its own while epochs are added: each is one call that Python
    # does not interrupt. `next(reversed(...))` is two, and raises when the dict changes between them.

    @property
    def epochs(self) -> int:
        return max(self.values, default=0)

    @property
    def safe_epoch(self) -> int:
        """Return the last epoch after which training can continue.

        A trial whose last epoch was reported and whose end was never written reports that epoch again.
        """
        return self.epochs - 1 if self.ending else self.epochs

    @property
    def seconds(self) -> float:
        """Return how long its epochs took together."""
        return sum(self.epoch_seconds.values())

    @property
    def best_epoch(self) -> int:
        """Return the epoch that counts; 0 when no epoch had a value."""
        return max(self.candidates, default=0)

    @property
    def best_metrics(self) -> Mapping[str, float | None]:
        """Return all metrics of the epoch that counts; none when no epoch had a value."""
        return self.candidates.get(self.best_epoch, {})

    @property
    def best_value(self) -> float | None:
        """Return val/miou of the epoch that counts; None when no epoch had a value."""
        return self.best_metrics.get(OBJECTIVE)

    def usable(self) -> dict[int, float]:
        """Return epoch -> its value, in order, for epochs that have a value."""
        return {epoch: value for epoch, value in self.values.items() if value is not None}

    def bests(self) -> dict[int, float]:
        """Return epoch -> the best value so far, for epochs that have a value."""
        usable = self.usable()
        return dict(zip(usable, itertools.accumulate(usable.values(), max), strict=True))

    def is_open(self, is_cancelled: bool) -> bool:
        """Return whether a resume would continue the trial, were there memory for it.

        A cancelled trial that was cut off with its driver is open: it ends itself as soon as it starts.
        """
        is_unwanted = is_cancelled and self.reason == StopReason.USER
        return not self.reason or (self.reason in CUT_OFF and not is_unwanted)

    def is_settled(self, is_cancelled: bool) -> bool:
        """Return whether the trial's end is final: no later pass changes it."""
        is_final = self.reason != StopReason.OOM or self.memory_failures >= MEMORY_ATTEMPTS
        return is_final and not self.is_open(is_cancelled)

    def add(self, event: TrialEvent) -> None:
        """Add the next event of the trial."""
        if isinstance(event, Start | End) and (retries := str(event.tags.get(RETRIES))).isdigit():
            self.retries = int(retries)
        match event:
            case Start():
                self.state, self.is_started, self.is_reused = TrialState.RUNNING, True, REUSED in event.tags
                self.status = self.reason = self.detail = ""
            case Epoch():
                self.ending = event.ending
                self.report(event.step, event.metrics)
            case Pause():
                self.state = TrialState.PAUSED
            case Retry():
                self.state = TrialState.WAITING
            case End():
                self.ended_after = event.step
                self.end(event.status, event.tags)

    def report(self, epoch: int, metrics: Mapping[str, float | None]) -> None:
        """Add an epoch; one that is reported again drops itself and what came after it."""
        for reports in (self.values, self.epoch_seconds, self.candidates):
            _drop_from(epoch, reports)
        value, best = _number(metrics.get(OBJECTIVE)), self.best_value
        self.values[epoch] = value
        self.epoch_seconds[epoch] = _number(metrics.get(EPOCH_SECONDS)) or 0.0
        if value is not None and (self.keep == "last" or best is None or value > best):
            self.candidates[epoch] = metrics

    def end(self, status: str, tags: Mapping[str, str]) -> None:
        """Add how the trial ended, by the status and the tags of its run."""
        self.reason, self.detail = str(tags.get(STOP_REASON, "")), str(tags.get(STOP_DETAIL, ""))
        self.state, self.status = trial_state(status, self.reason, TrialState.RUNNING), status
        self.log_file, self.ending = str(tags.get(LOG_FILE, "")), ""
        self.memory_failures += self.reason == StopReason.OOM


def read_runs(events: Iterable[Event]) -> dict[str, TrialHistory]:
    """Return the history of every run that has events, in the order of their first ones; "" is the sweep's own run."""
    histories: dict[str, TrialHistory] = {}
    for event in events:
        histories.setdefault(event.trial, TrialHistory()).add(event)
    return histories


def read_histories(events: Iterable[Event]) -> dict[str, TrialHistory]:
    """Return the history of every trial that has events, in the order of their first ones."""
    return {trial_id: history for trial_id, history in read_runs(events).items() if trial_id != PARENT}


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _drop_from(epoch: int, reports: dict[int, Any]) -> None:
    while reports and next(reversed(reports)) >= epoch:
        reports.popitem()

"""What has become of each trial of a sweep so far, told by the events that it wrote down."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from sweeps.storage.events import PARENT, Event
from sweeps.storage.outcomes import CUT_OFF, StopReason
from sweeps.storage.tags import STOP_REASON

MEMORY_ATTEMPTS = 2
"""A trial for which memory is short is tried once more, with twice the share."""


@dataclass
class TrialHistory:
    """One trial as its events tell."""

    values: dict[int, float | None] = field(default_factory=dict)
    """Epoch -> val/miou."""
    ending: str = ""
    """Why the trial ended itself with its last epoch, in its own words; its end may not have been written down."""
    reason: str = ""
    """Why it ended; "" while it has not."""
    is_started: bool = False
    memory_failures: int = 0
    """How often it ended because memory was short."""

    @property
    def epochs(self) -> int:
        return max(self.values, default=0)

    @property
    def safe_epoch(self) -> int:
        """Return the last epoch after which training can go on.

        A trial that ended itself but was cut off before its end was written down reports its last epoch again.
        """
        return self.epochs - 1 if self.ending else self.epochs

    def usable(self) -> dict[int, float]:
        """Return epoch -> its value, in order, for epochs that have a value."""
        return {epoch: value for epoch, value in sorted(self.values.items()) if value is not None}

    def bests(self) -> dict[int, float]:
        """Return epoch -> the best value up to there, for epochs that have a value."""
        usable = self.usable()
        return dict(zip(usable, itertools.accumulate(usable.values(), max), strict=True))

    def is_open(self, is_cancelled: bool) -> bool:
        """Return whether the trial has come to no end of its own, leaving aside what memory it may need.

        A trial that the user cancelled and that was cut off by the loss of its driver ends itself as soon as it starts.
        """
        is_unwanted = is_cancelled and self.reason == StopReason.USER
        return not self.reason or (self.reason in CUT_OFF and not is_unwanted)

    def is_settled(self, is_cancelled: bool) -> bool:
        """Return whether the trial has come to an end that stays: not one that another pass may change."""
        return not self.is_open(is_cancelled) and (
            self.reason != StopReason.OOM or self.memory_failures >= MEMORY_ATTEMPTS
        )

    def tell(self, event: Event, objective: str) -> None:
        """Take in the next event of the trial."""
        kind = event.get("kind")
        if kind == "start":
            self.is_started, self.reason = True, ""
        elif kind == "epoch":
            self.values[int(event["step"])] = event["metrics"].get(objective)
            self.ending = str(event.get("ending") or "")
        elif kind == "end":
            self.reason = str(event["tags"].get(STOP_REASON, ""))
            self.ending = ""
            self.memory_failures += self.reason == StopReason.OOM


def read_past(events: Iterable[Event], objective: str) -> dict[str, TrialHistory]:
    """Return the past of every trial that has one, in the order of their first events."""
    found: dict[str, TrialHistory] = {}
    for event in events:
        trial_id = event.get("trial")
        if isinstance(trial_id, str) and trial_id != PARENT:
            found.setdefault(trial_id, TrialHistory()).tell(event, objective)
    return found

"""Trials that follow from how the others ended: extra seeds of the best settings, or a round of a confirmation."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bddseg.words import count
from sweeps.execution.progress import TrialTable
from sweeps.notes import notes
from sweeps.planning.confirmation import next_runs
from sweeps.planning.growing_plan import GrowingPlan
from sweeps.planning.plan import PlannedTrial
from sweeps.statistics.rounds import Rounds
from sweeps.storage.events import Event
from sweeps.storage.outbox import Outbox
from sweeps.storage.outcomes import OWN_ENDS
from sweeps.storage.sweep_json import SETTINGS
from sweeps.storage.trial_history import TrialHistory


@dataclass
class FollowUps:
    """Chooses the next trials of a plan all of whose trials have ended, and tells the user why."""

    plan: GrowingPlan
    board: TrialTable
    past: Mapping[str, TrialHistory]
    outbox: Outbox
    _started: float = field(default_factory=time.monotonic, init=False)
    _hours_before: float = field(default=0.0, init=False)
    """Hours that earlier drivers spent on the confirmation, up to their last interim analysis."""

    def __post_init__(self) -> None:
        self._hours_before = (self.plan.manifest.confirmation or {}).get("hours", 0.0)

    def choose(self) -> tuple[list[PlannedTrial], dict[str, Any]]:
        """Return the trials that follow, and the changes of sweep.json that belong to them."""
        plan = self.plan.current
        if plan.rounds:
            return self._next_round(plan.rounds)
        return (self._replicates(), {}) if plan.to_replicate else ([], {})

    def _replicates(self) -> list[PlannedTrial]:
        plan = self.plan.current
        best = [row.trial_id for row in self.board.ranked() if row.is_scored and row.stop_reason in OWN_ENDS]
        replicates = list(plan.replicas(best))
        if not replicates:
            self.plan.current = replace(plan, replicates=0)
            return []
        settings = count(min(len(best), SETTINGS), "best setting")
        notes.info(f"the others have ended; now {count(plan.replicates, 'extra seed')} of each of the {settings}")
        return replicates

    def _next_round(self, rounds: Rounds) -> tuple[list[PlannedTrial], dict[str, Any]]:
        """Return another run of each finalist that is still in question, unless the rounds have ended."""
        from sweeps.execution.interim_analysis import finalists_so_far, look  # imports the verdict

        plan = self.plan.current
        finalists = finalists_so_far(plan, self._own_events(), self.past)
        if not finalists:
            return [], {}
        result = look(finalists, rounds)
        if not result.ending and self._exceeds(rounds.hours, len(result.remaining)):
            result = replace(result, ending="budget")
        notes.info(result.sentence({finalist.finalist_id: finalist.name for finalist in finalists}))
        runs = [] if result.ending else next_runs(plan, result.remaining)
        return list(runs), {"confirmation": self._with_look(asdict(result))}

    def _own_events(self) -> Iterator[Event]:
        return self.outbox.events(self.plan.trials)

    def _with_look(self, look: dict[str, Any]) -> dict[str, Any]:
        """Return the manifest's confirmation with a look; it replaces one that an interrupt made void."""
        confirmation = self.plan.manifest.confirmation or {}
        looks = [earlier for earlier in confirmation.get("looks", []) if earlier["runs"] != look["runs"]]
        return {**confirmation, "looks": [*looks, look], "hours": self._hours()}

    def _hours(self) -> float:
        """Return the hours spent on the confirmation."""
        return self._hours_before + (time.monotonic() - self._started) / 3600

    def _exceeds(self, hours: float, runs: int) -> bool:
        """Return whether this many further runs would end after the budget; 0 hours are no limit."""
        spent = self._hours()
        return bool(hours) and spent + runs * spent / len(self.plan.trials) > hours

"""Ray's param space, searcher and scheduler for a plan."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher
from ray.tune.search.basic_variant import BasicVariantGenerator
from ray.tune.search.sample import Categorical

from sweeps.planning.experiment import Experiment
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.schedulers.asha_promote import AshaPromote
from sweeps.schedulers.hyperband import Hyperband
from sweeps.schedulers.median import Median
from sweeps.schedulers.rungs import TRIAL_KEY
from sweeps.schedulers.scheduler import Asha, HalvingSetup, RunAll, Scheduler

WITHOUT_SLOTS = {kind.name: kind for kind in (Asha, Hyperband, Median, RunAll)}
"""Name -> scheduler, for those that leave it to Ray which trial gets a free slot."""

Source = Callable[[], PlannedTrial | None]
"""Returns a new trial; None when there are no more."""

ROOM_SECONDS = 5.0
"""Time between two looks at the size of the cluster."""

log = logging.getLogger(__name__)


class _PlannedValue(Categorical):
    """The domain of a setting whose values all come from the points of the plan.

    It has no values itself, because Tune copies the space for each point: with them 10,000 points took minutes.
    """

    def __init__(self) -> None:
        super().__init__([0])

    def is_valid(self, value: Any) -> bool:
        """Return True: the plan has checked its points."""
        return True


@dataclass(frozen=True)
class TunerSetup:
    """The arguments of a Tuner that runs a plan."""

    param_space: dict[str, Any]
    searcher: "BasicVariantGenerator | PlanSearcher"
    scheduler: Scheduler
    num_samples: int

    def failure(self) -> Exception | None:
        """Return the error that ended the suggestions, if there was one."""
        return self.searcher.failure if isinstance(self.searcher, PlanSearcher) else None


class PlanSearcher(Searcher):
    """Suggests to Tune the open trials, in order, and then new ones from a source, one at a time.

    It suggests no more than there is room for, since a later suggestion can use more results.
    """

    def __init__(self, trials: Iterable[PlannedTrial], source: Source, room: Callable[[], int]) -> None:
        """Create the searcher.

        Args:
            trials: the open trials.
            source: returns a new trial at each call.
            room: returns how many trials may be started or waiting.
        """
        super().__init__()
        self.failure: Exception | None = None
        """The error that ended the suggestions before the source was empty."""
        self._open, self._source, self._room = deque(trials), source, room
        self._live: set[str] = set()
        self._most, self._looked = 0, -math.inf

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def set_search_properties(self, *properties: Any, **spec: Any) -> bool:
        """Return True: no setting of Tune is used."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial's flat config; None for later, or Ray's constant for the end. Never raises."""
        if self.failure:
            return Searcher.FINISHED
        try:
            if not self._is_room():
                return None
            trial = self._open.popleft() if self._open else self._source()
        except OSError as error:
            log.warning("no trial can be suggested now; the disk is retried: %s", error)
            return None
        except Exception as error:  # nothing of ours raises into Ray's loop
            log.warning("no further trial is suggested", exc_info=True)
            self.failure = error
            return Searcher.FINISHED
        if trial is None:
            return Searcher.FINISHED
        self._live.add(trial_id)
        return {TRIAL_KEY: trial.trial_id, **trial.point}

    def _is_room(self) -> bool:
        """Return whether another trial may be started; the cluster's size is read every few seconds."""
        if time.monotonic() - self._looked > ROOM_SECONDS:
            self._most, self._looked = self._room(), time.monotonic()
        return len(self._live) < self._most

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record that a trial has ended."""
        self._live.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Write the empty file that Tune requires: nothing reads it."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: a sweep is resumed from its own records."""


def build_search(
    experiment: Experiment,
    plan: Plan,
    *,
    open_trials: Sequence[PlannedTrial] | None = None,
    memory: Path | None = None,
    slots: int = 0,
    max_concurrent: int = 0,
    source: Source | None = None,
    room: Callable[[], int] = lambda: 1,
) -> TunerSetup:
    """Return the plan for Ray: each open trial is one preset point, in order, with flat columns.

    Args:
        experiment: names the scheduler.
        plan: all trials.
        open_trials: the trials to run; all of the plan by default.
        memory: the scheduler's state file; None keeps its state in memory.
        slots: trials that run in parallel.
        max_concurrent: maximum number of trials in parallel; 0 is no limit. Tune ignores `max_concurrent_trials` beside
            a generator of its own kind, so the generator itself counts, unless the scheduler does.
        source: returns a new trial while others run, as long as fewer than `room()` are started or waiting.
        room: see `source`.
    """
    trials = plan.trials if open_trials is None else open_trials
    if all(trial.is_replicate for trial in trials) and source is None:  # extra seeds are not stopped early
        scheduler: Scheduler = RunAll()
    else:
        scheduler = build_scheduler(experiment, plan, memory=memory, slots=slots)
    if source is not None:
        return TunerSetup({}, PlanSearcher(trials, source, room), scheduler, len(trials) + plan.to_come)
    points = [{TRIAL_KEY: trial.trial_id, **trial.point} for trial in trials]
    space: dict[str, Any] = {key: _PlannedValue() for key in points[0]}
    most = 0 if isinstance(scheduler, AshaPromote) else max_concurrent
    searcher = BasicVariantGenerator(points_to_evaluate=points, max_concurrent=most)
    return TunerSetup(space, searcher, scheduler, len(points))


def build_scheduler(experiment: Experiment, plan: Plan, *, memory: Path | None = None, slots: int = 0) -> Scheduler:
    """Return the scheduler that the experiment names; `memory` is its state file, `slots` the trials in parallel."""
    models = {trial.trial_id: trial.config.model.name for trial in plan.originals}
    reference = next((trial.trial_id for trial in plan.trials if trial.is_reference), "")
    setup = HalvingSetup(plan.rungs, experiment.schedule.reduction, models, reference, memory)
    if experiment.schedule.name == AshaPromote.name:
        return AshaPromote(setup, slots=slots)
    return WITHOUT_SLOTS[experiment.schedule.name](setup)

"""Experiment, plan -> Ray's param space, searcher and scheduler; the only place that spells Ray's domains."""

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
"""Gives a new trial; None when there is no more."""

ROOM_SECONDS = 5.0

log = logging.getLogger(__name__)


class _PlannedValue(Categorical):
    """The domain of a setting whose values all come from the points of the plan.

    Tune copies the space for each point: with the values in it that took minutes where there were 10,000 points.
    """

    def __init__(self) -> None:
        super().__init__([0])

    def is_valid(self, value: Any) -> bool:
        """Return True: the plan has checked its points."""
        return True


@dataclass(frozen=True)
class TunerSetup:
    """What a Tuner needs to run a plan, and nothing else."""

    param_space: dict[str, Any]
    searcher: "BasicVariantGenerator | PlanSearcher"
    scheduler: Scheduler
    num_samples: int

    def failure(self) -> Exception | None:
        """Return what kept further trials from being suggested."""
        return self.searcher.failure if isinstance(self.searcher, PlanSearcher) else None


class PlanSearcher(Searcher):
    """Gives Tune the trials that are open, in order, and then new ones from their source, one at a time.

    No more than there is room for: a suggestion that is made later knows of more figures.
    """

    def __init__(self, trials: Iterable[PlannedTrial], source: Source, room: Callable[[], int]) -> None:
        super().__init__()
        self.failure: Exception | None = None
        """What made an end of it before the source was empty."""
        self._open, self._source, self._room = deque(trials), source, room
        self._live: set[str] = set()
        self._most, self._looked = 0, -math.inf

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def set_search_properties(self, *properties: Any, **spec: Any) -> bool:
        """Return that nothing is wanted of Tune."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial's flat config; None for later, or Ray's word for the end. Never raises."""
        if self.failure:
            return Searcher.FINISHED
        try:
            if not self._is_room():
                return None
            trial = self._open.popleft() if self._open else self._source()
        except OSError as error:
            log.warning("nothing is suggested now, the disk is asked again: %s", error)
            return None
        except Exception as error:  # nothing of ours raises into Ray's loop
            log.warning("nothing more is suggested", exc_info=True)
            self.failure = error
            return Searcher.FINISHED
        if trial is None:
            return Searcher.FINISHED
        self._live.add(trial_id)
        return {TRIAL_KEY: trial.trial_id, **trial.point}

    def _is_room(self) -> bool:
        """Return whether another trial may be under way; the cluster is looked at every few seconds."""
        if time.monotonic() - self._looked > ROOM_SECONDS:
            self._most, self._looked = self._room(), time.monotonic()
        return len(self._live) < self._most

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Note that a trial has ended."""
        self._live.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Write the empty file that Tune insists on: nobody reads it."""
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
    """Return the plan in Ray's words: each trial that is open is one preset point, in order, with flat columns.

    `memory` is the file in which the scheduler keeps its state, `slots` how many trials run side by side. Tune would
    ignore a `max_concurrent_trials` beside a generator of its own kind: the generator itself must count, unless the
    scheduler does. With a `source` further trials are asked for while others run, as
    long as fewer than `room()` are under way.
    """
    trials = plan.trials if open_trials is None else open_trials
    if all(trial.is_replicate for trial in trials) and source is None:  # seeds of the best are not stopped
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

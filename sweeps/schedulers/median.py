"""Early stopping by the median stopping rule."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from ray.tune.schedulers import TrialScheduler

from sweeps.schedulers.rungs import Rungs
from sweeps.schedulers.scheduler import Halving, HalvingSetup

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController

NEEDED = 3
"""Number of other trials at a rung below which no trial is stopped."""


@dataclass
class RunningMean:
    """Running average and best value of one trial."""

    epoch: int = 0
    """The last epoch that was added."""
    epochs: int = 0
    """Number of epochs that were added; epochs without a finite value are not."""
    total: float = 0.0
    best: float = -math.inf

    def take(self, epoch: int, value: float) -> None:
        """Add an epoch's value; an epoch that is reported again changes nothing."""
        if epoch > self.epoch:
            self.epoch, self.epochs, self.total = epoch, self.epochs + 1, self.total + value
            self.best = max(self.best, value)

    @property
    def average(self) -> float:
        return self.total / self.epochs

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the instance that `dataclasses.asdict` turned into these values."""
        return cls(**values)


class Median(Halving):
    """Stop a trial whose best value so far is below the median of the other trials' running averages.

    `rungs.values` holds the running averages, taken over the epochs that had a finite value.

    Source: Golovin et al. 2017, Google Vizier: A Service for Black-Box Optimization, section 3.2.2. Unlike
    there, all trials that reached the epoch are compared, not only completed ones, and only at rungs.
    """

    name = "median"
    compares_best = False  # the running average needs every epoch's own value

    def __init__(self, setup: HalvingSetup) -> None:
        super().__init__(replace(setup, reduction=2))
        self.courses: dict[str, RunningMean] = {}

    def _judge(self, controller: "TuneController", trial_id: str, epoch: int, value: float, ends: bool) -> str:
        course = self.courses.setdefault(trial_id, RunningMean())
        course.take(epoch, value)
        if trial_id in self.rungs.values.get(epoch, {trial_id: 0}):
            return TrialScheduler.CONTINUE
        averages = self.rungs.values[epoch]
        without_trial = Rungs(2, {epoch: dict(averages)})
        self.rungs.values[epoch] = {**averages, trial_id: course.average}
        stop = None
        if len(averages) >= NEEDED:
            stop = without_trial.judge(epoch, trial_id, course.best, self.name)
        leads = stop is not None and self.rungs.leads(epoch, trial_id, self._family(trial_id))
        return self._decide(trial_id, stop, leads, ends)

    def restore_value(self, trial_id: str, epoch: int, value: float, best: float) -> None:
        """Add an epoch that the trial's running mean lacks; at a rung, fill in the running average."""
        course = self.courses.setdefault(trial_id, RunningMean())
        course.take(epoch, value)
        super().restore_value(trial_id, epoch, value, course.average)

    def _more(self) -> dict[str, Any]:
        return {**super()._more(), "courses": {trial: asdict(course) for trial, course in self.courses.items()}}

    def _load_more(self, state: Mapping[str, Any]) -> None:
        super()._load_more(state)
        self.courses = {trial: RunningMean.of(values) for trial, values in state["courses"].items()}

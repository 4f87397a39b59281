"""The median stopping rule."""

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ray.tune.schedulers import TrialScheduler

from sweeps.schedulers.rungs import Rungs
from sweeps.schedulers.scheduler import Halving

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController

NEEDED = 3
"""It stops nobody before so many other trials can be compared with."""


@dataclass
class RunningMean:
    """One trial's values so far, as the median stopping rule needs them."""

    epoch: int = 0
    """The last one taken in."""
    epochs: int = 0
    """How many were taken in: those without a finite value are not."""
    total: float = 0.0
    best: float = -math.inf

    def take(self, epoch: int, value: float) -> None:
        """Take in a value; an epoch that is reported again changes nothing."""
        if epoch > self.epoch:
            self.epoch, self.epochs, self.total = epoch, self.epochs + 1, self.total + value
            self.best = max(self.best, value)

    @property
    def average(self) -> float:
        return self.total / self.epochs

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the course that `dataclasses.asdict` wrote."""
        return cls(**values)


class Median(Halving):
    """Stop a trial whose best value so far lies below the median of the others' running averages.

    `rungs.values` holds the running averages. They are taken over the epochs that had a finite value.

    Source: Golovin et al. 2017, Google Vizier: A Service for Black-Box Optimization, section 3.2.2; here all trials
    that reached the epoch are compared, not only completed ones, and only at rungs.
    """

    name = "median"
    compares_best = False  # the running average is made of every epoch's own value

    def __init__(
        self, rungs: Collection[int], models: Mapping[str, str], reference: str, *, path: Path | None = None
    ) -> None:
        super().__init__(rungs, 2, models, reference, path=path)
        self.courses: dict[str, RunningMean] = {}

    def _judge(self, controller: "TuneController", trial_id: str, epoch: int, value: float, ends: bool) -> str:
        course = self.courses.setdefault(trial_id, RunningMean())
        course.take(epoch, value)
        if trial_id in self.rungs.values.get(epoch, {trial_id: 0}):
            return TrialScheduler.CONTINUE
        others = self.rungs.values[epoch]
        cutoff = Rungs(2, {epoch: dict(others)})
        self.rungs.values[epoch] = {**others, trial_id: course.average}
        stop = None
        if len(others) >= NEEDED:
            stop = cutoff.judge(epoch, trial_id, course.best, self.name)
        leads = stop is not None and self.rungs.leads(epoch, trial_id, self._family(trial_id))
        return self._decide(trial_id, stop, leads, ends)

    def restore_value(self, trial_id: str, epoch: int, value: float, best: float) -> None:
        """Take in an epoch that the trial's course does not have yet; at a rung, its running average."""
        course = self.courses.setdefault(trial_id, RunningMean())
        course.take(epoch, value)
        super().restore_value(trial_id, epoch, value, course.average)

    def _more(self) -> dict[str, Any]:
        return {**super()._more(), "courses": {trial: asdict(course) for trial, course in self.courses.items()}}

    def _load_more(self, state: Mapping[str, Any]) -> None:
        super()._load_more(state)
        self.courses = {trial: RunningMean.of(values) for trial, values in state["courses"].items()}

"""Suggests new trials while others run, and reports to the study how trials end."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from bddseg.flops import count_forward
from sweeps.planning.experiment import Experiment
from sweeps.planning.growing_plan import GrowingPlan
from sweeps.planning.optuna_study import FILE, Study, snap_to_axis
from sweeps.planning.plan import PlannedTrial, plan_trial
from sweeps.planning.sampling import COST, draw_points
from sweeps.storage.folder import SweepFolder
from sweeps.storage.trial_history import TrialHistory

TWINS = 10
"""Suggestions in a row that repeat known trials, or are invalid, before a point is drawn at random."""
CHANCES = 200
"""Maximum number of points drawn at random."""

log = logging.getLogger(__name__)


@dataclass
class Suggestions:
    """Optuna's suggestions for a sweep, as trials that are not in its plan yet.

    A suggestion becomes a trial in this order: it is in the study's file (`next`), then the caller adds it to the plan,
    then the study records which trial it is (`catch_up`). A resumed sweep continues from any of these states.
    """

    experiment: Experiment
    folder: SweepFolder
    plan: GrowingPlan
    past: Mapping[str, TrialHistory]
    is_exhausted: bool = False
    """The space has no further points."""
    _study: Study | None = field(default=None, init=False)
    _reported: set[str] = field(default_factory=set, init=False)
    """Trials whose end the study knows."""

    def catch_up(self) -> None:
        """Add to the study the trials that it lacks, and the ends that it has not recorded.

        Raises:
            OSError: when its file cannot be read or written; the next call starts by reading it again.
        """
        plan = self.plan.current
        study, self._study = self._study, None  # not trusted until everything is written
        if study is None:
            experiment = self.experiment
            study = Study(
                self.folder.path / FILE, experiment.sampling, experiment.base, dict(experiment.axes), plan.rungs
            )
            self._reported.clear()
        study.add_planned(plan.originals)
        for trial in plan.originals:
            if trial.trial_id not in self._reported and self.is_settled(trial.trial_id):
                past, keep = self.past[trial.trial_id], trial.config.train.keep
                study.tell(trial.trial_id, past, self._cost(trial), keep)
                self._reported.add(trial.trial_id)
        self._study = study

    def next(self) -> PlannedTrial | None:
        """Return a new trial for the plan; None when the plan is full, or the space has no further points.

        Raises:
            OSError: when the sweep's folder cannot be written; the call can be repeated.
        """
        if not self.plan.current.to_come or self.is_exhausted:
            return None
        self.catch_up()
        trial = self._suggested()
        self.is_exhausted = trial is None
        return trial

    def is_settled(self, trial_id: str) -> bool:
        """Return whether a trial has ended for good: no later pass can change its end."""
        return self.past.get(trial_id, TrialHistory()).is_settled(self.folder.is_cancelled(trial_id))

    def close(self) -> None:
        """Report all ends to the study; trials that never ended have failed."""
        self.catch_up()
        if self._study:
            self._study.end()

    def _suggested(self) -> PlannedTrial | None:
        """Return a trial that is not in the plan yet; None after many suggestions that are."""
        study, axes = self._study, dict(self.experiment.axes)
        assert study is not None
        planned_ids = self.plan.trials
        for _ in range(TWINS):
            suggestion = study.ask()
            if suggestion is None:
                break
            trial = self._trial({key: snap_to_axis(axes[key], value) for key, value in suggestion.point.items()})
            if trial.trial_id not in planned_ids:
                return trial
            study.refuse(suggestion, trial.trial_id)
        base = self.experiment.base
        drawn = map(self._trial, draw_points(base, axes, base.train.seed + len(planned_ids)))
        return next((trial for trial in islice(drawn, CHANCES) if trial.trial_id not in planned_ids), None)

    def _trial(self, point: Mapping[str, Any]) -> PlannedTrial:
        trials = self.plan.current.trials
        return plan_trial(self.experiment, point, trials[0].config.train.precision, [trial.point for trial in trials])

    def _cost(self, trial: PlannedTrial) -> float:
        return self._count_gflops(trial) if COST in self.experiment.sampling.objectives else 0.0

    def _count_gflops(self, trial: PlannedTrial) -> float:
        return count_forward(trial.config, len(self.experiment.task.classes)).flops / 1e9

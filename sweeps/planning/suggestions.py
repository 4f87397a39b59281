"""Suggested trials: in the sweep's manifest before they train, reported to the Optuna study when they end."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from bddseg.flops import count_forward
from sweeps.planning.experiment import Experiment
from sweeps.planning.optuna_study import FILE, Study, snap_to_axis
from sweeps.planning.plan import Plan, PlannedTrial, plan_trial
from sweeps.planning.sampling import COST, draw_points
from sweeps.storage.trial_history import TrialHistory

TWINS = 10
"""Number of repeated suggestions in a row after which points are drawn at random, as after many invalid ones."""
CHANCES = 200
"""Limit of the points drawn at random."""

log = logging.getLogger(__name__)


@dataclass
class Suggestions:
    """Source of new trials of an Optuna search.

    A suggestion becomes a trial in this order: it is in the study's file, then in the sweep's manifest (`admit`), then
    the study records which trial it is. A resumed sweep continues from any of these states.
    """

    experiment: Experiment
    folder: Path
    plan: Callable[[], Plan]
    """Return the current plan."""
    past: Mapping[str, TrialHistory]
    is_settled: Callable[[str], bool]
    """Return whether the end of a trial is final."""
    admit: Callable[[PlannedTrial], bool]
    """Make a suggestion a trial of the plan; return whether it has to be trained, or can be reused."""
    is_exhausted: bool = False
    """The space has no further points."""
    _study: Study | None = field(default=None, init=False)
    _reported: set[str] = field(default_factory=set, init=False)

    def catch_up(self) -> None:
        """Report to the study the trials and ends that it lacks.

        Raises:
            OSError: when its file cannot be read or written; the next call reads it again first.
        """
        study, self._study = self._study, None  # not reused if a write fails: its memory and its file may differ
        if study is None:
            experiment = self.experiment
            axes, rungs = dict(experiment.axes), self.plan().rungs
            study = Study(self.folder / FILE, experiment.sampling, experiment.base, axes, rungs)
            self._reported.clear()
        study.add_planned(self.plan().originals)
        for trial in self.plan().originals:
            if trial.trial_id not in self._reported and self.is_settled(trial.trial_id):
                past, keep = self.past[trial.trial_id], trial.config.train.keep
                study.tell(trial.trial_id, past, self._cost(trial), keep)
                self._reported.add(trial.trial_id)
        self._study = study

    def next(self) -> PlannedTrial | None:
        """Return a new trial to train; None when the plan is full or the space is exhausted.

        Raises:
            OSError: when the sweep's folder cannot be written; the call can be repeated.
        """
        while self.plan().to_come and not self.is_exhausted:
            self.catch_up()
            trial = self._suggested()
            if trial is None:
                self.is_exhausted = True
            elif self.admit(trial):
                self.catch_up()
                return trial
        return None

    def close(self) -> None:
        """Report everything to the study; trials without an end as failed."""
        self.catch_up()
        if self._study:
            self._study.end()

    def _suggested(self) -> PlannedTrial | None:
        """Return a trial that is not in the plan yet; None after many repeats."""
        study, axes = self._study, dict(self.experiment.axes)
        assert study is not None
        planned_ids = {trial.trial_id for trial in self.plan().trials}
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
        trials = self.plan().trials
        return plan_trial(self.experiment, point, trials[0].config.train.precision, [trial.point for trial in trials])

    def _cost(self, trial: PlannedTrial) -> float:
        return count_forward(trial.config).flops / 1e9 if COST in self.experiment.sampling.objectives else 0.0

"""An Optuna study of a sweep: what to try next, told what has become of what was tried; one file in its folder.

The study can be rebuilt from the sweep's own plan and events: what it lacks of them when it is opened is told then, and
a file that is damaged is set aside. Each suggestion follows from the seed, its number and what was told before, whether
or not the process was another one meanwhile.
"""

import logging
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from bddseg.config import TrainConfig
from bddseg.errors import ConfigError
from bddseg.result import OBJECTIVE
from sweeps.planning.axes import Axis, Range
from sweeps.planning.plan import PlannedTrial
from sweeps.planning.sampling import Sampling, draw_point
from sweeps.storage.outcomes import OWN_ENDS, STOPPED_EARLY, StopReason
from sweeps.storage.trial_history import TrialHistory

FILE = "study.journal"
NAME = "sweep"
TRIAL = "trial_id"
"""Attribute of a study's trial: the sweep's own trial that it is."""

TWIN = "same_as"
"""Attribute of a suggestion that was not trained: the trial that it would have been."""

INVALID = 20
"""Suggestions in a row that make no configuration, until it is given up: a sampler may learn nothing from them."""

STARTUP = 8
"""Suggestions at random, those that were planned among them, before a sampler models what it was told."""

PRUNED = STOPPED_EARLY | {StopReason.USER, StopReason.DIVERGED}
"""Told as pruned. A diverged trial too, with NaN as its last value, so that the sampler keeps away from there."""

log = logging.getLogger(__name__)


@dataclass
class Suggestion:
    """A suggestion that is no trial yet."""

    number: int
    point: Mapping[str, Any]


@dataclass
class Study:
    """A study kept in a file; one process at a time may have it open."""

    path: Path
    sampling: Sampling
    base: TrainConfig
    axes: Mapping[str, Axis]
    rungs: Sequence[int] = ()
    _study: optuna.Study = field(init=False)
    _known: dict[str, int] = field(init=False, default_factory=dict)
    """Trial -> its number."""
    _asked: Suggestion | None = field(init=False, default=None)
    """Asked for, and not known as a trial: by this process, or by one that was lost at that moment."""

    def __post_init__(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.open()

    def open(self) -> None:
        """Read the file again; one that is damaged is set aside, and a new one begun.

        Raises:
            OSError: when the file cannot be read or written.
        """
        cut_torn_line(self.path)
        try:
            self._load()
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            log.warning("%s is set aside, it is damaged (%s); it is written anew", self.path, error)
            os.replace(self.path, self.path.with_suffix(".damaged"))
            self._load()

    def _load(self) -> None:
        directions = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE][: len(self.sampling.objectives)]
        storage = JournalStorage(JournalFileBackend(str(self.path)))
        self._study = optuna.create_study(
            storage=storage, study_name=NAME, directions=directions, load_if_exists=True, sampler=self._sampler(0)
        )
        trials = self._study.get_trials(deepcopy=False)
        self._known = {trial.user_attrs[TRIAL]: trial.number for trial in trials if TRIAL in trial.user_attrs}
        open_ones = [trial for trial in trials if trial.state == TrialState.RUNNING and TRIAL not in trial.user_attrs]
        self._asked = None
        for trial in open_ones:
            is_whole = self._asked is None and self._is_point(trial.params)
            if is_whole:
                self._asked = Suggestion(trial.number, dict(trial.params))
            else:
                self._study.tell(trial.number, state=TrialState.FAIL)

    def ask(self) -> Suggestion | None:
        """Return a point to try: the same again until it was accepted or refused; None after many that are invalid."""
        for _ in range(INVALID):
            if self._asked is not None:
                break
            number = len(self._study.get_trials(deepcopy=False))
            self._study.sampler = self._sampler(number)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                trial = self._study.ask()
                try:
                    point = draw_point(self.base, self.axes, lambda key, axis, trial=trial: _suggest(trial, key, axis))
                except ConfigError as error:  # the values do not go together
                    log.info("a suggestion is passed over: %s", error)
                    self._study.tell(trial, state=TrialState.FAIL)
                    continue
            self._asked = Suggestion(trial.number, point)
        return self._asked

    def accept(self, asked: Suggestion, trial: PlannedTrial) -> None:
        """Note that a suggestion is now a trial of the sweep."""
        self._note(asked.number, TRIAL, trial.trial_id)
        self._known[trial.trial_id] = asked.number
        self._asked = None

    def refuse(self, asked: Suggestion, twin: str) -> None:
        """Note that a suggestion is a trial of the sweep already; it is not told twice what came of that."""
        self._note(asked.number, TWIN, twin)
        self._study.tell(asked.number, state=TrialState.FAIL)
        self._asked = None

    def add_planned(self, trials: Iterable[PlannedTrial]) -> None:
        """Take in trials of the sweep that the study does not know: those that were planned before any was suggested.

        A suggestion that was lost before it was noted which trial it is is noted now.
        """
        for trial in trials:
            if trial.trial_id in self._known:
                continue
            params = self._effective(trial)
            if self._asked is not None and self._settled(self._asked.point) == params:
                self.accept(self._asked, trial)
                continue
            space = {key: _distribution(self.axes[key]) for key in params}
            self._study.add_trial(
                create_trial(
                    state=TrialState.RUNNING, params=params, distributions=space, user_attrs={TRIAL: trial.trial_id}
                )
            )
            self._known[trial.trial_id] = len(self._study.get_trials(deepcopy=False)) - 1

    def tell(self, trial_id: str, past: TrialHistory, cost: float, keep: str = "best") -> None:
        """Tell what has become of a trial that has ended; one that is open, or was told before, changes nothing.

        Who ran to its end is told with its best value, who was stopped as pruned, with the best value up to each rung
        and to its last epoch, who failed as failed. Where the last epoch is kept, its value is told, not the best.
        """
        frozen = self._study.get_trials(deepcopy=False)[self._known[trial_id]]
        if frozen.state != TrialState.RUNNING or not past.reason:
            return
        counted = past.usable() if keep == "last" else past.bests()
        if past.reason in OWN_ENDS and counted:
            values = {OBJECTIVE: counted[max(counted)]}
            self._study.tell(frozen.number, [values.get(name, cost) for name in self.sampling.objectives])
        elif past.reason in PRUNED:
            self._tell_stopped(frozen, past, counted)
        else:
            self._study.tell(frozen.number, state=TrialState.FAIL)

    def end(self) -> None:
        """Tell that what is still open has failed."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)

    def _tell_stopped(self, frozen: FrozenTrial, past: TrialHistory, counted: Mapping[int, float]) -> None:
        if len(self.sampling.objectives) == 1:  # Optuna has no intermediate values of several
            steps = {epoch: value for epoch, value in counted.items() if epoch in self.rungs or epoch == max(counted)}
            if past.reason == StopReason.DIVERGED:
                steps[past.epochs] = float("nan")
            for epoch, value in steps.items():
                if epoch not in frozen.intermediate_values:
                    self._study._storage.set_trial_intermediate_value(frozen._trial_id, epoch, value)
        self._study.tell(frozen.number, state=TrialState.PRUNED)

    def _note(self, number: int, key: str, value: str) -> None:
        frozen = self._study.get_trials(deepcopy=False)[number]
        self._study._storage.set_trial_user_attr(frozen._trial_id, key, value)

    def _effective(self, trial: PlannedTrial) -> dict[str, Any]:
        """Return a trial's values on the axes that have an effect in it."""
        return {key: value for key, value in trial.point.items() if trial.config.has_effect(key)}

    def _settled(self, point: Mapping[str, Any]) -> dict[str, Any]:
        return {key: snap_to_axis(self.axes[key], value) for key, value in point.items()}

    def _is_point(self, params: Mapping[str, Any]) -> bool:
        """Return whether nothing is missing of a suggestion: its process may have been lost in the middle of it."""
        try:
            return params == draw_point(self.base, self.axes, lambda key, _: params[key])
        except (KeyError, ConfigError):
            return False

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        seed = int(np.random.SeedSequence([self.base.train.seed, number]).generate_state(1)[0])
        if self.sampling.sampler == "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP, warn_independent_sampling=False)
        if self.sampling.sampler == "nsga2":
            population = max(4, self.sampling.samples // 5)
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=population)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=STARTUP, multivariate=True, group=True, constant_liar=True
            )


def snap_to_axis(axis: Axis, value: Any) -> Any:
    """Return a suggested value as it is trained."""
    return axis.settle(value) if isinstance(axis, Range) else value


def cut_torn_line(path: Path) -> None:
    """Cut what a killed process, or a full disk, has left of a line, and take away the lock that it held.

    The caller must be the only one who writes.
    """
    Path(f"{path}.lock").unlink(missing_ok=True)
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)


def _suggest(trial: Trial, key: str, axis: Axis) -> Any:
    if isinstance(axis, tuple):
        return trial.suggest_categorical(key, axis)
    if axis.is_whole:
        return trial.suggest_int(key, int(axis.low), int(axis.high), step=int(axis.step) or 1, log=axis.log)
    return trial.suggest_float(key, axis.low, axis.high, step=axis.step or None, log=axis.log)


def _distribution(axis: Axis) -> BaseDistribution:
    if isinstance(axis, tuple):
        return CategoricalDistribution(axis)
    if axis.is_whole:
        return IntDistribution(int(axis.low), int(axis.high), step=int(axis.step) or 1, log=axis.log)
    return FloatDistribution(axis.low, axis.high, step=axis.step or None, log=axis.log)

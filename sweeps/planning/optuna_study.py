"""The Optuna study of a sweep, in a file of its folder: suggests points and records the results of trials.

The study can be rebuilt from the sweep's plan and events: missing trials and results are added when it is opened, and a
damaged file is set aside. A suggestion depends only on the seed, its number and the results so far, so a resumed sweep
gets the same suggestions as an uninterrupted one.
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
"""Attribute of a study's trial: id of the trial of the sweep."""

TWIN = "same_as"
"""Attribute of a suggestion that repeats a trial: id of that trial."""

INVALID = 20
"""Limit of invalid suggestions in a row: a sampler may not learn from them."""

STARTUP = 8
"""Number of trials, planned ones included, before a sampler models the results; until then it suggests at random."""

PRUNED = STOPPED_EARLY | {StopReason.USER, StopReason.DIVERGED}
"""Recorded as pruned. A diverged trial has NaN as its last value, so that the sampler avoids its neighbourhood."""

log = logging.getLogger(__name__)


@dataclass
class Suggestion:
    """A suggested point that is not a trial yet."""

    number: int
    point: Mapping[str, Any]


@dataclass(frozen=True)
class StudyFile:
    """An Optuna study with its storage, whose public methods reach trials that this process did not suggest."""

    study: optuna.Study
    storage: JournalStorage

    def trials(self) -> list[FrozenTrial]:
        """Return all trials by their numbers."""
        return self.study.get_trials(deepcopy=False)

    def fail(self, number: int) -> None:
        """Record a trial as failed."""
        self.study.tell(number, state=TrialState.FAIL)

    def set_attribute(self, number: int, key: str, value: str) -> None:
        """Record an attribute of a trial."""
        self.storage.set_trial_user_attr(self._storage_id(number), key, value)

    def set_score(self, number: int, epoch: int, value: float) -> None:
        """Record the score of a trial after an epoch."""
        self.storage.set_trial_intermediate_value(self._storage_id(number), epoch, value)

    def _storage_id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self.storage.get_study_id_from_name(NAME), number)


def load_study(path: Path, sampling: Sampling, seed: int) -> StudyFile:
    """Return the study of a file, which is created where it is missing."""
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(
        storage=storage,
        study_name=NAME,
        directions=[StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE][: len(sampling.objectives)],
        load_if_exists=True,
        sampler=build_sampler(sampling, seed, 0),
    )
    return StudyFile(study, storage)


@dataclass
class Study:
    """A study in a file; only one process at a time may have it open."""

    path: Path
    sampling: Sampling
    base: TrainConfig
    """Settings of every trial that the axes do not replace."""
    axes: Mapping[str, Axis]
    rungs: Sequence[int] = ()
    """Epochs whose scores are recorded for stopped trials."""
    _file: StudyFile = field(init=False)
    _numbers: dict[str, int] = field(init=False, default_factory=dict)
    """Id of a trial -> its number in the study."""
    _pending: Suggestion | None = field(init=False, default=None)
    """Suggested, but neither accepted nor refused: by this process, or by one that was killed at that moment."""

    def __post_init__(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.open()

    def open(self) -> None:
        """Read the file again; a damaged one is set aside and a new one started.

        Raises:
            OSError: when the file cannot be read or written.
        """
        cut_torn_line(self.path)
        try:
            self._load()
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            log.warning("%s is damaged (%s): it is set aside and written again", self.path, error)
            os.replace(self.path, self.path.with_suffix(".damaged"))
            self._load()

    def _load(self) -> None:
        self._file = load_study(self.path, self.sampling, self.base.train.seed)
        trials = self._file.trials()
        self._numbers = {trial.user_attrs[TRIAL]: trial.number for trial in trials if TRIAL in trial.user_attrs}
        self._pending = None
        for trial in trials:
            if trial.state != TrialState.RUNNING or TRIAL in trial.user_attrs:
                continue
            if self._pending is None and self._is_complete(trial.params):
                self._pending = Suggestion(trial.number, dict(trial.params))
            else:
                self._file.fail(trial.number)

    def ask(self) -> Suggestion | None:
        """Return a point to try, the same until it is accepted or refused; None after many invalid suggestions."""
        for _ in range(INVALID):
            if self._pending is not None:
                break
            number, study = len(self._file.trials()), self._file.study
            study.sampler = build_sampler(self.sampling, self.base.train.seed, number)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                trial = study.ask()
                try:
                    point = draw_point(self.base, self.axes, lambda key, axis, trial=trial: _suggest(trial, key, axis))
                except ConfigError as error:  # the values are not compatible
                    log.info("a suggestion is skipped: %s", error)
                    self._file.fail(trial.number)
                    continue
            self._pending = Suggestion(trial.number, point)
        return self._pending

    def accept(self, suggestion: Suggestion, trial: PlannedTrial) -> None:
        """Record that a suggestion is now a trial of the sweep."""
        self._file.set_attribute(suggestion.number, TRIAL, trial.trial_id)
        self._numbers[trial.trial_id] = suggestion.number
        self._pending = None

    def refuse(self, suggestion: Suggestion, twin: str) -> None:
        """Record that a suggestion repeats a trial of the sweep, whose result is not recorded twice."""
        self._file.set_attribute(suggestion.number, TWIN, twin)
        self._file.fail(suggestion.number)
        self._pending = None

    def add_planned(self, trials: Iterable[PlannedTrial]) -> None:
        """Add trials of the sweep that the study lacks: those that were planned before any was suggested.

        A pending suggestion that equals one of them is accepted: its process was killed between the two writes.
        """
        for trial in trials:
            if trial.trial_id in self._numbers:
                continue
            params = {key: value for key, value in trial.point.items() if trial.config.has_effect(key)}
            if self._pending is not None and self._snapped(self._pending.point) == params:
                self.accept(self._pending, trial)
                continue
            space = {key: _distribution(self.axes[key]) for key in params}
            self._file.study.add_trial(
                create_trial(
                    state=TrialState.RUNNING, params=params, distributions=space, user_attrs={TRIAL: trial.trial_id}
                )
            )
            self._numbers[trial.trial_id] = len(self._file.trials()) - 1

    def tell(self, trial_id: str, past: TrialHistory, cost: float, keep: str = "best") -> None:
        """Record the result of a trial that has ended; an open or an already recorded one changes nothing.

        A completed trial gets its best value. A stopped one is pruned, with its best value up to each rung and up to
        its last epoch. A failed one fails.

        Args:
            trial_id: of the trial.
            past: its epochs and its end.
            cost: its second objective, where there are two.
            keep: of its settings; with `last` the value of the last epoch is recorded in place of the best.
        """
        frozen = self._file.trials()[self._numbers[trial_id]]
        if frozen.state != TrialState.RUNNING or not past.reason:
            return
        counted = past.usable() if keep == "last" else past.bests()
        if past.reason in OWN_ENDS and counted:
            values = {OBJECTIVE: counted[max(counted)]}
            self._file.study.tell(frozen.number, [values.get(name, cost) for name in self.sampling.objectives])
        elif past.reason in PRUNED:
            self._tell_stopped(frozen, past, counted)
        else:
            self._file.fail(frozen.number)

    def end(self) -> None:
        """Record all open trials as failed."""
        for trial in self._file.trials():
            if trial.state == TrialState.RUNNING:
                self._file.fail(trial.number)

    def _tell_stopped(self, frozen: FrozenTrial, past: TrialHistory, counted: Mapping[int, float]) -> None:
        if len(self.sampling.objectives) == 1:  # Optuna has no intermediate values of several
            steps = {epoch: value for epoch, value in counted.items() if epoch in self.rungs or epoch == max(counted)}
            if past.reason == StopReason.DIVERGED:
                steps[past.epochs] = float("nan")
            for epoch, value in steps.items():
                if epoch not in frozen.intermediate_values:
                    self._file.set_score(frozen.number, epoch, value)
        self._file.study.tell(frozen.number, state=TrialState.PRUNED)

    def _snapped(self, point: Mapping[str, Any]) -> dict[str, Any]:
        return {key: snap_to_axis(self.axes[key], value) for key, value in point.items()}

    def _is_complete(self, params: Mapping[str, Any]) -> bool:
        """Return whether a suggestion has all its values: its process may have been killed in the middle of it."""
        try:
            return params == draw_point(self.base, self.axes, lambda key, _: params[key])
        except (KeyError, ConfigError):
            return False


def build_sampler(sampling: Sampling, seed: int, number: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of one suggestion; its own seed makes it independent of the process that asks."""
    seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if sampling.sampler == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP, warn_independent_sampling=False)
    if sampling.sampler == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=max(4, sampling.samples // 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=STARTUP, multivariate=True, group=True, constant_liar=True
        )


def snap_to_axis(axis: Axis, value: Any) -> Any:
    """Return a suggested value, rounded as it is trained."""
    return axis.settle(value) if isinstance(axis, Range) else value


def cut_torn_line(path: Path) -> None:
    """Remove a partial last line, left by a killed process or a full disk, and the lock that it held.

    The caller must be the only writer.
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

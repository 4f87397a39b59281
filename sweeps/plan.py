"""Experiment -> the distinct trials: inert settings folded, hashed, in order, with their rungs."""

import itertools
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bddseg.config import TrainConfig
from bddseg.errors import ConfigError
from sweeps.errors import ExperimentError
from sweeps.experiment import Experiment
from sweeps.sampling import draw_points

SHORT = {"vanilla_unet": "vanilla", "attention_unet": "attention", "unet": "unet"}
ALWAYS_NAMED = ("model.name", "model.base_filters", "loss.name", "optim.lr", "optim.weight_decay")
PATIENCE = 200
"""So many points drawn one after the other that are known already mean that the space has no more."""
ABBREVIATIONS = {
    "optim.lr": "lr",
    "optim.weight_decay": "wd",
    "model.dropout": "dropout",
    "loss.gamma": "gamma",
    "optim.name": "optim",
}


@dataclass(frozen=True)
class PlannedTrial:
    """One configuration to be trained."""

    trial_id: str
    """The configuration's digest: equal settings are the same trial, in every sweep."""
    name: str
    config: TrainConfig
    point: Mapping[str, Any]
    """Its value on each axis."""
    is_reference: bool
    tags: Mapping[str, str] = field(default_factory=dict)
    """What its run is tagged with besides."""

    @property
    def epochs(self) -> int:
        """Return its budget."""
        return self.config.train.epochs

    @property
    def digest(self) -> str:
        return self.trial_id

    @property
    def settings(self) -> dict[str, Any]:
        return self.config.flat()


@dataclass(frozen=True)
class Plan:
    """The trials of a sweep, in the order in which they start: the reference first, the rest shuffled by seed."""

    trials: tuple[PlannedTrial, ...]
    rungs: tuple[int, ...]
    epochs: int
    """Budget of each trial; where they differ, the largest."""
    grid_points: int
    """Points that were looked at: before settings without effect were folded and `limit` was applied."""
    reduction: int = 3
    """At each rung about one in so many trials goes on."""
    samples: int = 0
    """Trials in all where some are suggested while others run; 0 where all are known."""

    @property
    def reference(self) -> PlannedTrial:
        return self.trials[0]

    @property
    def epochs_in_all(self) -> int:
        """Return the epochs of all trials together, if none is stopped early."""
        return sum(trial.epochs for trial in self.trials) + self.to_come * self.epochs

    @property
    def to_come(self) -> int:
        """Return how many trials are still to be suggested."""
        return max(0, self.samples - len(self.trials))

    def size_words(self) -> str:
        """Return its size in words: `8 trials, 20 epochs each`."""
        least = min(trial.epochs for trial in self.trials)
        epochs = f"{self.epochs} epochs each" if least == self.epochs else f"{least} to {self.epochs} epochs"
        return f"{len(self.trials) + self.to_come} trials, {epochs}"

    def with_trial(self, trial: PlannedTrial) -> "Plan":
        """Return the plan with one more trial, the last."""
        return replace(self, trials=(*self.trials, trial))


def build_plan(experiment: Experiment, *, precision: str = "auto", limit: int = 0) -> Plan:
    """Return the distinct trials of the experiment, as far as they are known before any has run.

    `precision` is what "auto" resolves to on the device that will train. Points that differ only in settings without
    effect (dropout on a net without one, gamma under cross-entropy) are one trial. `limit` > 0 keeps the first ones.

    Raises:
        ExperimentError: when a combination of grid values makes no valid configuration, or the budget varies.
    """
    check_axes(experiment)
    if not experiment.base.data.has_validation:
        raise ExperimentError("data.folds is 1, but must be 0 or >= 2 in a sweep: without validation nothing compares")
    known = _known_points(experiment)
    if not experiment.axes or experiment.sampling.name == "grid":
        points = _grid(experiment)
        ordered = _order(_distinct(experiment, points, precision), experiment.base.train.seed)
    elif experiment.sampling.name == "random":
        points, ordered = _drawn(experiment, known, precision, limit)
    else:
        points, ordered = known, _distinct(experiment, known, precision)
    is_open = bool(experiment.axes) and experiment.sampling.is_open
    samples = min(experiment.sampling.samples, limit or experiment.sampling.samples) if is_open else 0
    return Plan(
        trials=tuple(ordered[: limit or samples or len(ordered)]),
        rungs=experiment.schedule.rungs(experiment.base.train.epochs),
        epochs=experiment.base.train.epochs,
        grid_points=len(points),
        reduction=experiment.schedule.reduction,
        samples=samples,
    )


def imagine_plan(plan: Plan, experiment: Experiment) -> Plan:
    """Return the plan with trials drawn at random in the place of those that are still to be suggested.

    For what a sweep takes: it is not known which they will be, but what they may be.
    """
    if not plan.to_come:
        return plan
    precision = plan.trials[0].config.train.precision
    known = [dict(trial.point) for trial in plan.trials]
    drawn = replace(experiment, sampling=replace(experiment.sampling, name="random", samples=plan.samples))
    points, trials = _drawn(drawn, known, precision, 0)
    return replace(plan, trials=tuple(trials), grid_points=len(points), samples=0)


def check_axes(experiment: Experiment) -> None:
    """Refuse what cannot differ within a sweep.

    Raises:
        ExperimentError: naming the axis.
    """
    for key, _ in experiment.axes:
        if key == "train.epochs":
            raise ExperimentError(f"axis {key}: the epoch budget must be the same for all trials, so it is no axis")
        if key.startswith("data.") and key != "data.augment":
            raise ExperimentError(f"axis {key}: all trials of a sweep share their frames and split, so it is no axis")


def plan_trial(experiment: Experiment, point: Mapping[str, Any], precision: str) -> PlannedTrial:
    """Return the trial of a point.

    Raises:
        ExperimentError: when the point makes no valid configuration.
    """
    config = _config(experiment, point, precision)
    keys = [key for key, _ in experiment.axes]
    is_reference = config.digest() == _config(experiment, experiment.reference, precision).digest()
    settings = config.flat()
    effective = {key: settings[key] for key in keys}
    return PlannedTrial(config.digest(), trial_name(config, tuple(keys)), config, effective, is_reference)


def trial_name(config: TrainConfig, axes: tuple[str, ...] = ()) -> str:
    """Return a short name that tells a trial from its neighbours: `vanilla-f128 cross_entropy lr=1e-3 wd=1e-4`."""
    settings = config.flat()
    inert = {key for key, value in settings.items() if config.folded().flat()[key] != value}
    words = [
        f"{SHORT[config.model.name]}-f{config.model.base_filters}",
        config.loss.name,
        f"lr={compact(config.optim.lr)}",
        f"wd={compact(config.optim.weight_decay)}",
    ]
    shown = set(ALWAYS_NAMED) | inert | _meaningless(config)
    for key in axes:
        if key not in shown:
            words.append(f"{ABBREVIATIONS.get(key, key.split('.')[-1])}={compact(settings[key])}")
    return " ".join(words)


def compact(value: Any) -> str:
    """Return a number as people write it: 0.0001 as 1e-4, 0.5 as 0.5; other values as they are."""
    if not isinstance(value, float):
        return str(value)
    if value and (abs(value) < 0.01 or 1e5 <= abs(value) < math.inf):
        mantissa, exponent = f"{value:e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:g}"


def _meaningless(config: TrainConfig) -> set[str]:
    hidden = set() if config.model.name == "attention_unet" else {"model.dropout"}
    return hidden if config.loss.name == "focal" else hidden | {"loss.gamma"}


def _grid(experiment: Experiment) -> list[Mapping[str, Any]]:
    keys = [key for key, _ in experiment.axes]
    lists = [axis for _, axis in experiment.axes if isinstance(axis, tuple)]  # a grid has no ranges
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*lists)]


def _config(experiment: Experiment, point: Mapping[str, Any], precision: str) -> TrainConfig:
    try:
        config = experiment.base.with_overrides(point)
        if config.train.precision == "auto":
            config = config.with_overrides({"train.precision": precision})
        return config.folded()
    except ConfigError as error:
        raise ExperimentError(f"{experiment.name}: {error}") from error


def _known_points(experiment: Experiment) -> list[Mapping[str, Any]]:
    """Return what is tried first: the reference, then the points that the space names."""
    return [experiment.reference, *experiment.points]


def _distinct(experiment: Experiment, points: Iterable[Mapping[str, Any]], precision: str) -> list[PlannedTrial]:
    trials: dict[str, PlannedTrial] = {}
    for point in points:
        trial = plan_trial(experiment, point, precision)
        trials.setdefault(trial.trial_id, trial)
    return list(trials.values())


def _drawn(
    experiment: Experiment, known: Sequence[Mapping[str, Any]], precision: str, limit: int
) -> tuple[list[Mapping[str, Any]], list[PlannedTrial]]:
    """Return the points known and drawn at random, and so many distinct trials of them as are asked for, in order.

    Where the space has fewer points than that, it ends when nothing new has come for long.
    """
    trials = {trial.trial_id: trial for trial in _distinct(experiment, known, precision)}
    samples, points, in_vain = experiment.sampling.samples, list(known), 0
    most = min(samples, limit or samples)
    for point in draw_points(experiment.base, dict(experiment.axes), experiment.base.train.seed):
        if len(trials) >= most or in_vain >= PATIENCE:
            break
        trial = plan_trial(experiment, point, precision)
        in_vain = in_vain + 1 if trial.trial_id in trials else 0
        trials.setdefault(trial.trial_id, trial)
        points.append(point)
    return points, list(trials.values())[:most]


def _order(trials: list[PlannedTrial], seed: int) -> list[PlannedTrial]:
    """Shuffle: early stopping favours who comes first, so a grid in order would favour its first values."""
    by_id = sorted(trials, key=lambda trial: trial.trial_id)
    random.Random(seed).shuffle(by_id)
    return sorted(by_id, key=lambda trial: not trial.is_reference)

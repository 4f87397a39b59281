"""Experiment -> the distinct trials: inert settings folded, hashed, in order, with their rungs."""

import itertools
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bddseg.config import TrainConfig
from bddseg.errors import ConfigError
from sweeps.errors import ExperimentError
from sweeps.experiment import Experiment

SHORT = {"vanilla_unet": "vanilla", "attention_unet": "attention", "unet": "unet"}
ALWAYS_NAMED = ("model.name", "model.base_filters", "loss.name", "optim.lr", "optim.weight_decay")
ABBREVIATIONS = {"optim.lr": "lr", "optim.weight_decay": "wd", "model.dropout": "dropout", "loss.gamma": "gamma"}


@dataclass(frozen=True)
class PlannedTrial:
    """One configuration to be trained."""

    trial_id: str
    """The configuration's digest: equal settings are the same trial, in every sweep."""
    name: str
    config: TrainConfig
    point: Mapping[str, Any]
    """Its value on each axis of the grid."""
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
    """Before settings without effect were folded and `limit` was applied."""
    reduction: int = 3
    """At each rung about one in so many trials goes on."""

    @property
    def reference(self) -> PlannedTrial:
        return self.trials[0]

    @property
    def epochs_in_all(self) -> int:
        """Return the epochs of all trials together, if none is stopped early."""
        return sum(trial.epochs for trial in self.trials)

    def size_words(self) -> str:
        """Return its size in words: `8 trials, 20 epochs each`."""
        least = min(trial.epochs for trial in self.trials)
        epochs = f"{self.epochs} epochs each" if least == self.epochs else f"{least} to {self.epochs} epochs"
        return f"{len(self.trials)} trials, {epochs}"


def build_plan(experiment: Experiment, *, precision: str = "auto", limit: int = 0) -> Plan:
    """Return the distinct trials of the experiment.

    `precision` is what "auto" resolves to on the device that will train. Points that differ only in settings without
    effect (dropout on a net without one, gamma under cross-entropy) are one trial. `limit` > 0 keeps the first ones.

    Raises:
        ExperimentError: when a combination of grid values makes no valid configuration, or the budget varies.
    """
    if any(key == "train.epochs" for key, _ in experiment.axes):
        raise ExperimentError("grid.train.epochs: the epoch budget must be the same for all trials, so it is no axis")
    if shared := [key for key, _ in experiment.axes if key.startswith("data.") and key != "data.augment"]:
        raise ExperimentError(f"grid.{shared[0]}: all trials of a sweep share their frames and split, so it is no axis")
    if not experiment.base.data.has_validation:
        raise ExperimentError("data.folds is 1, but must be 0 or >= 2 in a sweep: without validation nothing compares")
    points = _grid(experiment)
    reference = _config(experiment, experiment.reference, precision).digest()
    trials: dict[str, PlannedTrial] = {}
    for point in points:
        config = _config(experiment, point, precision)
        trial_id = config.digest()
        name = trial_name(config, tuple(point))
        trials.setdefault(
            trial_id, PlannedTrial(trial_id, name, config, _effective(point, config), trial_id == reference)
        )
    ordered = _order(list(trials.values()), experiment.base.train.seed)
    return Plan(
        trials=tuple(ordered[:limit] if limit > 0 else ordered),
        rungs=experiment.schedule.rungs(experiment.base.train.epochs),
        epochs=experiment.base.train.epochs,
        grid_points=len(points),
        reduction=experiment.schedule.reduction,
    )


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


def _grid(experiment: Experiment) -> list[dict[str, Any]]:
    keys = [key for key, _ in experiment.axes]
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*(v for _, v in experiment.axes))]


def _config(experiment: Experiment, point: Mapping[str, Any], precision: str) -> TrainConfig:
    try:
        config = experiment.base.with_overrides(point)
        if config.train.precision == "auto":
            config = config.with_overrides({"train.precision": precision})
        return config.folded()
    except ConfigError as error:
        raise ExperimentError(f"{experiment.name}: {error}") from error


def _effective(point: Mapping[str, Any], config: TrainConfig) -> dict[str, Any]:
    settings = config.flat()
    return {key: settings[key] for key in point}


def _order(trials: list[PlannedTrial], seed: int) -> list[PlannedTrial]:
    """Shuffle: early stopping favours who comes first, so a grid in order would favour its first values."""
    by_id = sorted(trials, key=lambda trial: trial.trial_id)
    random.Random(seed).shuffle(by_id)
    return sorted(by_id, key=lambda trial: not trial.is_reference)

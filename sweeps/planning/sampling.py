"""Search of a space: the full grid, random points, or Optuna's adaptive suggestions."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bddseg.config import TrainConfig
from bddseg.errors import ConfigError
from bddseg.result import OBJECTIVE
from sweeps.errors import ExperimentError, StorageError
from sweeps.planning.axes import Axis, Range, draw_value
from sweeps.storage.sweep_json import SAMPLES

SEARCHES = ("grid", "random", "optuna")
SAMPLERS = ("tpe", "gp", "nsga2")
COST = "gflops"
"""The second objective: 10^9 operations of the network per image. They are counted, because a latency that is measured
while other trials run depends on those trials."""
OBJECTIVES = ((OBJECTIVE,), (OBJECTIVE, COST))
OBJECTIVES_IN_WORDS = f"[{OBJECTIVE}] or [{OBJECTIVE}, {COST}]"
MOST_POINTS = 20_000
"""Limit of a plan: each point is a configuration, an entry of sweep.json and an MLflow run. 10,000 take a second."""
PATIENCE = 1000
"""Number of invalid points in a row after which drawing ends."""
KEYS = ("name", "samples", "sampler", "objectives")


@dataclass(frozen=True)
class Sampling:
    """How the points of a space are chosen."""

    name: str = "grid"
    samples: int = SAMPLES
    """Total number of trials, with the reference and the first points; a grid ignores it."""
    sampler: str = "tpe"
    """Optuna's sampler: tree-structured Parzen estimator, Gaussian process, or NSGA-II."""
    objectives: tuple[str, ...] = (OBJECTIVE,)

    @property
    def is_open(self) -> bool:
        """Whether trials are suggested while others run."""
        return self.name == "optuna"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, with the parameters that the search uses."""
        if self.name != "optuna":
            return {"name": self.name} | ({"samples": self.samples} if self.name == "random" else {})
        return {key: list(value) if isinstance(value := getattr(self, key), tuple) else value for key in KEYS}


GRID = Sampling()


def build_sampling(section: Any, typed: Mapping[str, Any], location: str) -> Sampling:
    """Return the search of a space, given as a name or a mapping, with the replacements of the command line.

    Raises:
        ExperimentError: naming location, value and rule.
    """
    entries = {"name": section} if isinstance(section, str) else section
    if not isinstance(entries, Mapping):
        raise ExperimentError(f"{location} is {section!r}, but must be one of {', '.join(SEARCHES)}, or a mapping")
    for key in entries:
        if key not in KEYS:
            raise ExperimentError(f"{location} has an unknown key {key!r}; known: {', '.join(KEYS)}")
    chosen = dict(entries) | {key: value for key, value in typed.items() if value}
    objectives = chosen.get("objectives", [OBJECTIVE])
    if not isinstance(objectives, list):
        raise ExperimentError(f"{location}.objectives is {objectives!r}, but must be {OBJECTIVES_IN_WORDS}")
    sampling = Sampling(
        chosen.get("name", "grid"),
        chosen.get("samples", SAMPLES),
        chosen.get("sampler", "tpe"),
        tuple(objectives),
    )
    _check(sampling, typed, location)
    return sampling


def check_grid(axes: Mapping[str, Axis], sampling: Sampling, location: str) -> None:
    """Refuse a grid over a range.

    Raises:
        ExperimentError: naming the axis.
    """
    for key, axis in axes.items():
        if sampling.name == "grid" and isinstance(axis, Range):
            raise ExperimentError(
                f"{location}: {key} is a range ({axis}), so there is no grid: choose --search random or optuna, or "
                f'give its values with --set "{key}=[...]"'
            )


def recorded_sampling(recorded: Mapping[str, Any]) -> Sampling:
    """Return the search that `to_dict` recorded.

    Raises:
        StorageError: when the record is invalid.
    """
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in recorded.items()
    }
    location = "the recorded search"
    try:
        if unknown := [key for key in values if key not in KEYS]:
            raise ExperimentError(f"{location} has an unknown key {unknown[0]!r}; known: {', '.join(KEYS)}")
        sampling = Sampling(**values)
        _check(sampling, {}, location)
    except ExperimentError as error:
        raise StorageError(str(error)) from error
    return sampling


def draw_points(base: TrainConfig, axes: Mapping[str, Axis], seed: int) -> Iterator[dict[str, Any]]:
    """Yield random points; the same for the same seed, so that a longer plan starts like a shorter one.

    Invalid points are skipped; drawing ends when there is hardly a valid one.
    """
    chance, invalid = random.Random(seed), 0
    while invalid < PATIENCE:
        try:
            yield draw_point(base, axes, lambda _, axis: draw_value(axis, chance))
            invalid = 0
        except ConfigError:
            invalid += 1


def draw_point(base: TrainConfig, axes: Mapping[str, Axis], draw: Any) -> dict[str, Any]:
    """Return a point of values from `draw(key, axis)`; settings without effect at that point are not drawn.

    Raises:
        ConfigError: when the values are not compatible.
    """
    point: dict[str, Any] = {}
    for key in sorted(axes, key=TrainConfig.is_conditional):  # settings that others depend on come first
        if not TrainConfig.is_conditional(key) or base.with_overrides(point).has_effect(key):
            point[key] = draw(key, axes[key])
    base.with_overrides(point)
    return point


def _check(sampling: Sampling, typed: Mapping[str, Any], location: str) -> None:
    if sampling.name not in SEARCHES:
        raise ExperimentError(f"{location}.name is {sampling.name!r}, but must be one of {', '.join(SEARCHES)}")
    if type(sampling.samples) is not int or sampling.samples < 1:
        raise ExperimentError(f"{location}.samples is {sampling.samples!r}, but must be a whole number >= 1")
    if sampling.name != "grid" and sampling.samples > MOST_POINTS:
        raise ExperimentError(f"{location}.samples is {sampling.samples:,}, but must be at most {MOST_POINTS:,}")
    if sampling.sampler not in SAMPLERS:
        raise ExperimentError(f"{location}.sampler is {sampling.sampler!r}, but must be one of {', '.join(SAMPLERS)}")
    if sampling.objectives not in OBJECTIVES:
        raise ExperimentError(
            f"{location}.objectives is {list(sampling.objectives)!r}, but must be {OBJECTIVES_IN_WORDS}"
        )
    if sampling.name == "grid" and typed.get("samples"):
        raise ExperimentError(f"--samples goes with --search random or optuna, but the search of {location} is grid")
    if sampling.sampler == "nsga2" and len(sampling.objectives) == 1:
        raise ExperimentError(
            f"{location}.sampler is 'nsga2', which needs two objectives, but there is one: {OBJECTIVE}"
        )

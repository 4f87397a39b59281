"""How the points of a space are chosen: all of a grid, at random, or by Optuna as figures come in."""

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
"""The second objective: what one image costs the network, forward, in 10^9 operations. It is counted, not timed: a
latency that is measured while other trials run beside says more of them than of the network."""
OBJECTIVES = ((OBJECTIVE,), (OBJECTIVE, COST))
OBJECTIVES_IN_WORDS = f"[{OBJECTIVE}] or [{OBJECTIVE}, {COST}]"
MOST_POINTS = 20_000
"""A plan has no more: each is a configuration, an entry of sweep.json and a run in MLflow. 10,000 take a second."""
PATIENCE = 1000
"""So many points in a row that make no configuration, and none is drawn any more."""
KEYS = ("name", "samples", "sampler", "objectives")


@dataclass(frozen=True)
class Sampling:
    """How points are chosen."""

    name: str = "grid"
    samples: int = SAMPLES
    """Trials in all, the reference and the points to try first among them; a grid has as many as it has."""
    sampler: str = "tpe"
    """Optuna's: tree-structured Parzen estimator, Gaussian process, or NSGA-II."""
    objectives: tuple[str, ...] = (OBJECTIVE,)

    @property
    def is_open(self) -> bool:
        """Whether trials are suggested while others run."""
        return self.name == "optuna"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; nothing for a grid that would not hold."""
        if self.name != "optuna":
            return {"name": self.name} | ({"samples": self.samples} if self.name == "random" else {})
        return {key: list(value) if isinstance(value := getattr(self, key), tuple) else value for key in KEYS}


GRID = Sampling()


def build_sampling(section: Any, typed: Mapping[str, Any], location: str) -> Sampling:
    """Return what a space says, a name or a mapping, with what the command line gives instead.

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
    """Refuse a grid with an axis that has no end of values.

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
    """Return what `to_dict` gave.

    Raises:
        StorageError: when it holds something else.
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
    """Yield points drawn at random: the same for the same seed, so that a longer plan begins as a shorter one does.

    Points that make no valid configuration are passed over; the end comes when there is hardly any other.
    """
    chance, invalid = random.Random(seed), 0
    while invalid < PATIENCE:
        try:
            yield draw_point(base, axes, lambda _, axis: draw_value(axis, chance))
            invalid = 0
        except ConfigError:
            invalid += 1


def draw_point(base: TrainConfig, axes: Mapping[str, Axis], draw: Any) -> dict[str, Any]:
    """Return a point whose values `draw(key, axis)` gives; a setting that has no effect there is not drawn.

    Raises:
        ConfigError: when the values do not go together.
    """
    point: dict[str, Any] = {}
    for key in sorted(axes, key=TrainConfig.is_conditional):  # what decides comes before what depends on it
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

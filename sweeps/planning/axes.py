"""Axes of a space: lists of values and ranges, read from YAML and checked by type."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Union

from bddseg.config import check_setting, flatten, known_setting
from bddseg.data.description import selection_text
from bddseg.errors import ConfigError, DataError
from sweeps.errors import ExperimentError

CLASSES, SKIP = "data.classes", "data.skip"
NO_AXES = {CLASSES: "classes", SKIP: "images"}
"""Settings of a whole sweep -> what they change."""

RANGE_KEYS = ("low", "high", "log", "step")
DIGITS = 4
"""Significant digits of a drawn value: enough to distinguish two, few enough to read and type."""
WHOLE = 1e-9
"""Tolerance for a count of steps, which rounding errors may keep from being a whole number."""


@dataclass(frozen=True)
class Range:
    """Every number from low to high, both ends included."""

    low: float
    high: float
    log: bool = False
    """Values are drawn uniformly in the logarithm."""
    step: float = 0
    """Distance between the values, from low; 0 for a continuous range, or for every whole number."""

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        return not self.step or _is_whole((value - self.low) / self.step)

    @property
    def is_whole(self) -> bool:
        """Whether it is a range of whole numbers."""
        return isinstance(self.low, int)

    def draw(self, chance: random.Random) -> float:
        """Return a value."""
        if self.step:
            return self.settle(self.low + self.step * chance.randint(0, round((self.high - self.low) / self.step)))
        if self.is_whole and not self.log:
            return chance.randint(int(self.low), int(self.high))
        if not self.log:
            return self.settle(chance.uniform(self.low, self.high))
        half = (
            0.5 if self.is_whole else 0.0
        )  # so that the ends of a range of whole numbers are as likely as their neighbours
        return self.settle(math.exp(chance.uniform(math.log(self.low - half), math.log(self.high + half))))

    def settle(self, value: float) -> float:
        """Return the value rounded as it is trained: to a whole number or to DIGITS digits, within the range."""
        rounded = round(value) if self.is_whole else float(f"{value:.{DIGITS - 1}e}")
        return min(max(rounded, self.low), self.high)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as YAML has them."""
        log, step = {"log": True} if self.log else {}, {"step": self.step} if self.step else {}
        return {"low": self.low, "high": self.high, **log, **step}

    def __str__(self) -> str:
        log, step = ", log" if self.log else "", f", step {_name(self.step)}" if self.step else ""
        return f"{_name(self.low)} to {_name(self.high)}{log}{step}"


Axis = Union[tuple[Any, ...], Range]  # noqa: UP007  (an alias for annotations and isinstance alike)
"""The values that a setting may take."""


def build_axes(section: Any, location: str) -> dict[str, Axis]:
    """Return dotted setting -> its axis.

    Raises:
        ExperimentError: naming location, value and rule.
    """
    if not isinstance(section, Mapping):
        raise ExperimentError(f"{location} is {section!r}, but must be a mapping")
    axes: dict[str, Axis] = {}
    for key, values in section.items():
        _check_is_axis(str(key), f"{location}.{key}")
        if isinstance(values, Mapping) and not _is_range(values):
            axes.update(build_axes({f"{key}.{inner}": deep for inner, deep in values.items()}, location))
        else:
            axes[str(key)] = build_axis(str(key), values, f"{location}.{key}")
    return axes


def _check_is_axis(key: str, location: str) -> None:
    if key in NO_AXES:
        raise ExperimentError(
            f"{location} cannot be an axis: figures of other {NO_AXES[key]} do not compare, so it is a setting of the "
            "whole sweep; write it under settings, or give it with --set"
        )


def build_axis(key: str, values: Any, location: str) -> Axis:
    """Return the axis of a list of values, or of a mapping with low and high.

    Raises:
        ExperimentError: naming location, value and rule.
    """
    _check_is_axis(key, location)
    if isinstance(values, Mapping):
        return _range(key, values, location)
    if not isinstance(values, list) or not values:
        raise ExperimentError(f"{location} is {values!r}, but must be a list of at least one value, or a range")
    checked = tuple(check_value(key, value, f"{location}[{index}]") for index, value in enumerate(values))
    if len(set(checked)) < len(checked):
        raise ExperimentError(f"{location} is {values!r}, but must not hold a value twice")
    return checked


def space_axes(space: Mapping[str, Any], location: str) -> dict[str, Axis]:
    """Return the axes of a space: `grid` has lists, `vary` has lists and ranges.

    Raises:
        ExperimentError: naming location, value and rule.
    """
    axes = build_axes(space.get("grid", {}), f"{location}.grid")
    for key, axis in axes.items():
        if isinstance(axis, Range):
            raise ExperimentError(f"{location}.grid.{key} is a range, but must be a list; ranges go under vary")
    for key, axis in build_axes(space.get("vary", {}), f"{location}.vary").items():
        if key in axes:
            raise ExperimentError(f"{location}.vary.{key} is an axis of the grid too, but must be only one of the two")
        axes[key] = axis
    return axes


def build_settings(section: Any, location: str) -> dict[str, Any]:
    """Return dotted setting -> value.

    Raises:
        ExperimentError: naming location, value and rule.
    """
    if not isinstance(section, Mapping):
        raise ExperimentError(f"{location} is {section!r}, but must be a mapping")
    flat = flatten_settings(section, location)
    return {key: check_value(key, value, f"{location}.{key}") for key, value in flat.items()}


def flatten_settings(section: Mapping[str, Any], location: str) -> dict[str, Any]:
    """Return dotted setting -> value; the classes, a list or mapping in YAML, as one text.

    Raises:
        ExperimentError: when the classes are neither.
    """
    rest = dict(section)
    chosen: dict[str, Any] = {}
    if CLASSES in rest:
        chosen[CLASSES] = rest.pop(CLASSES)
    nested = rest.get("data")
    if isinstance(nested, Mapping) and "classes" in nested:
        chosen[CLASSES] = nested["classes"]
        rest["data"] = {key: value for key, value in nested.items() if key != "classes"}
    return {**flatten(rest), **{key: classes_text(value, f"{location}.{key}") for key, value in chosen.items()}}


def classes_text(value: Any, location: str) -> Any:
    """Return the classes as one text, from a text, a list of names, or a mapping of merged ones.

    Raises:
        ExperimentError: when a list or mapping holds something else.
    """
    if not isinstance(value, list | Mapping):
        return value
    try:
        return selection_text(value, location)
    except DataError as error:
        raise ExperimentError(str(error)) from error


def build_point(section: Any, axes: Mapping[str, Axis], location: str) -> dict[str, Any]:
    """Return a point of the axes; it may leave some of them out."""
    point = build_settings(section, location)
    for key, value in point.items():
        if key not in axes:
            raise ExperimentError(f"{location}.{key} is no axis of the space; known: {', '.join(axes) or 'none'}")
        if value not in axes[key]:
            rule = "within" if isinstance(axes[key], Range) else "one of"
            raise ExperimentError(f"{location}.{key} is {value!r}, but must be {rule} {name_axis(axes[key])}")
    return point


def build_points(section: Any, axes: Mapping[str, Axis], location: str) -> list[dict[str, Any]]:
    """Return points of the axes; each may leave some of them out."""
    if not isinstance(section, list):
        raise ExperimentError(f"{location} is {section!r}, but must be a list of points")
    return [build_point(point, axes, f"{location}[{index}]") for index, point in enumerate(section)]


def fill_point(point: Mapping[str, Any], axes: Mapping[str, Axis], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Return the point with `usual` values where it has none, or one that its axis does not have any more."""
    return {key: point[key] if key in point and point[key] in axes[key] else usual[key] for key in axes}


def check_value(key: str, value: Any, location: str) -> Any:
    """Return a value as its setting holds it.

    Raises:
        ExperimentError: naming location, value and rule.
    """
    try:
        return check_setting(key, value)
    except ConfigError as error:
        raise ExperimentError(f"{location}: {error}") from error


def first_value(axis: Axis, usual: Any) -> Any:
    """Return the default of an axis: its first value; of a range the usual value, if it is inside, or the lower end."""
    if isinstance(axis, tuple):
        return axis[0]
    return usual if usual in axis else axis.low


def draw_value(axis: Axis, chance: random.Random) -> Any:
    """Return one of its values at random."""
    return axis.draw(chance) if isinstance(axis, Range) else chance.choice(axis)


def record_axis(axis: Axis) -> Any:
    """Return the axis as JSON holds it."""
    return axis.to_dict() if isinstance(axis, Range) else list(axis)


def recorded_axis(recorded: Any) -> Axis:
    """Return the axis that `record_axis` wrote."""
    return Range(**recorded) if isinstance(recorded, Mapping) else tuple(recorded)


def name_axis(axis: Axis) -> str:
    """Return an axis as text: its values, or its two ends."""
    if isinstance(axis, Range):
        return str(axis)
    return ", ".join(map(_name, axis))


def _name(value: Any) -> str:
    """Return a value as text; a number that six digits do not represent exactly has all its digits."""
    is_short = isinstance(value, float) and float(f"{value:g}") == value
    return f"{value:g}" if is_short else str(value)


def _is_range(values: Mapping[Any, Any]) -> bool:
    return not values or any(key in RANGE_KEYS for key in values)


def _range(key: str, values: Mapping[Any, Any], location: str) -> Range:
    kind = _kind(key, location)
    for name in values:
        if name not in RANGE_KEYS:
            raise ExperimentError(f"{location} has an unknown key {name!r}; known: {', '.join(RANGE_KEYS)}")
    for name in ("low", "high"):
        if name not in values:
            raise ExperimentError(f"{location} has no {name}, but must have both ends: low and high")
    low, high = (check_value(key, values[name], f"{location}.{name}") for name in ("low", "high"))
    if low >= high:
        raise ExperimentError(f"{location}.high is {high!r}, but must be > low, which is {low!r}")
    log, step = values.get("log", False), values.get("step", 0)
    if not isinstance(log, bool):
        raise ExperimentError(f"{location}.log is {log!r}, but must be true or false")
    if isinstance(step, bool) or not isinstance(step, int | kind) or not 0 <= step < math.inf:
        raise ExperimentError(f"{location}.step is {step!r}, but must be a {'whole ' if kind is int else ''}number > 0")
    if log and low <= 0:
        raise ExperimentError(f"{location}.low is {low!r}, but must be > 0 where log is true")
    if log and step:
        raise ExperimentError(f"{location}.step is {step!r}, but must not be given where log is true")
    steps = (high - low) / step if step else 1
    if round(steps) < 1 or (step and not _is_whole(steps)):
        raise ExperimentError(f"{location}.high is {high!r}, but must be low plus a whole number of steps of {step!r}")
    return Range(low, high, log, step)


def _kind(key: str, location: str) -> Any:
    try:
        kind = known_setting(key).type
    except ConfigError as error:
        raise ExperimentError(f"{location}: {error}") from error
    if kind not in (int, float):
        raise ExperimentError(f"{location} is a range, but {key} is no number: give a list of its values")
    return kind


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < WHOLE

"""A space of experiments.yaml under a profile -> Experiment, checked against the settings of a trial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bddseg.config import TrainConfig, known_setting
from bddseg.errors import ConfigError
from bddseg.result import OBJECTIVE
from bddseg.task import FIVE_CLASSES, Task
from sweeps.errors import ExperimentError
from sweeps.planning.axes import (
    CLASSES,
    RANGE_KEYS,
    Axis,
    Range,
    build_axes,
    build_axis,
    build_point,
    build_points,
    build_settings,
    check_value,
    classes_text,
    fill_point,
    first_value,
    space_axes,
)
from sweeps.planning.experiments_file import UNREADABLE, ExperimentsFile, as_mapping, check_keys, read_book
from sweeps.planning.sampling import GRID, Sampling, build_sampling, check_grid
from sweeps.schedulers.rungs import SCHEDULERS, Schedule

GLUED = tuple(f"{name}:" for name in RANGE_KEYS)
"""Start of a key of a range when the blank after the colon is missing."""

MOST_REPLICATES = 100

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader in C is ten times as fast: a list may have 10,000 values."""


@dataclass(frozen=True)
class Experiment:
    """A space under a profile: every setting has its value, except the axes."""

    name: str
    question: str
    profile: str
    base: TrainConfig
    axes: tuple[tuple[str, Axis], ...]
    """Dotted setting -> its values; without axes there is one trial."""
    reference: Mapping[str, Any]
    schedule: Schedule
    sampling: Sampling = GRID
    points: tuple[Mapping[str, Any], ...] = ()
    """Points that are tried first, after the reference."""
    replicates: int | None = None
    """Extra seeds of each of the best settings; None: the default for the size of the sweep."""
    task: Task = FIVE_CLASSES
    """The classes and groups of its dataset."""


def load_experiment(
    name: str,
    *,
    profile: str,
    overrides: Sequence[str] = (),
    scheduler: str | None = None,
    search: str | None = None,
    samples: int = 0,
    seed: int | None = None,
    replicates: int | None = None,
    path: Path | None = None,
) -> Experiment:
    """Return a space of experiments.yaml, or of another file, under a profile.

    Args:
        name: of the space.
        profile: name of the profile.
        overrides: `key=value` texts; a list or a range adds or replaces an axis, a single value fixes the setting.
        scheduler: replaces the space's early-stopping rule.
        search: replaces how points are chosen.
        samples: replaces the number of trials of a random or Optuna search; 0 leaves it.
        seed: of training and of the order of trials.
        replicates: replaces the number of extra seeds of the best settings.
        path: of the file; None for the usual one.

    Raises:
        ExperimentError: with location, value, rule and known names.
    """
    book = read_book(path)
    asked = CommandLineSettings(tuple(overrides), scheduler, {"name": search, "samples": samples}, seed, replicates)
    try:
        return _load(book, name, profile, asked)
    except ExperimentError as error:
        raise ExperimentError(book.located(str(error))) from error


@dataclass(frozen=True)
class CommandLineSettings:
    """Options of the command line besides space and profile."""

    overrides: tuple[str, ...]
    scheduler: str | None
    sampling: Mapping[str, Any]
    seed: int | None
    replicates: int | None


def _load(book: ExperimentsFile, name: str, profile: str, asked: CommandLineSettings) -> Experiment:
    space, chosen, path = book.space(name), book.profile(profile), book.path
    location = f"{path.name}: spaces.{name}"
    _check_metric(book.defaults.get("metric", OBJECTIVE), path)
    axes = space_axes(space, location)
    reference = build_point(space.get("reference", {}), axes, f"{location}.reference")
    points = build_points(space.get("points", []), axes, f"{location}.points")
    pinned = _pinned(space.get("pin", {}), axes, f"{location}.pin")
    replacing = build_axes(chosen.get("grid", {}), f"{path.name}: profiles.{profile}.grid")
    axes |= {key: values for key, values in replacing.items() if key in axes}
    axes |= _axes_under(space.get("under", {}), book, profile, axes, f"{location}.under")
    settings = {
        **build_settings(book.defaults.get("settings", {}), f"{path.name}: defaults.settings"),
        **build_settings(space.get("settings", {}), f"{location}.settings"),
        **build_settings(chosen.get("settings", {}), f"{path.name}: profiles.{profile}.settings"),
        **pinned,
    }
    _config(
        settings, location
    )  # the file's own settings first, so that its errors are not attributed to the command line
    typed = dict(_parse_override(text) for text in asked.overrides)
    if asked.seed is not None:
        typed.setdefault("train.seed", asked.seed)
    axes, settings = _override(axes, settings, typed)
    base = _config(settings, "--set")
    usual = {key: first_value(axis, base.flat()[key]) for key, axis in axes.items()}
    standard = fill_point(reference, axes, usual)
    sampling = build_sampling(space.get("search", "grid"), asked.sampling, f"{location}.search")
    check_grid(axes, sampling, location)
    schedule = _schedule(
        {
            **as_mapping(book.defaults.get("scheduler", {}), f"{path.name}: defaults.scheduler"),
            **as_mapping(space.get("scheduler", {}), f"{location}.scheduler"),
        },
        asked.scheduler,
        location,
    )
    if sampling.is_open and schedule.name == "asha_promote":
        raise ExperimentError(f"{location}: asha_promote needs all trials at the start, so it does not go with optuna")
    return Experiment(
        name=name,
        question=_question(space.get("question"), location),
        profile=profile,
        base=base,
        axes=tuple(axes.items()),
        reference=standard,
        schedule=schedule,
        sampling=sampling,
        points=tuple(fill_point(point, axes, standard) for point in points),
        replicates=_replicates(space.get("replicates"), location) if asked.replicates is None else asked.replicates,
    )


def _question(text: Any, location: str) -> str:
    if text is None or isinstance(text, str):
        return text or ""
    raise ExperimentError(f"{location}.question is {text!r}, but must be text")


def _axes_under(
    section: Any, book: ExperimentsFile, profile: str, axes: Mapping[str, Axis], location: str
) -> Mapping[str, Axis]:
    """Return the axes whose values a space replaces under a profile."""
    replacing: dict[str, Mapping[str, Axis]] = {}
    for name, values in as_mapping(section, location).items():
        if name not in book.profiles:
            raise ExperimentError(f"{location}.{name} is no profile; known: {', '.join(book.profiles)}")
        replacing[name] = build_axes(values, f"{location}.{name}")
        for key in replacing[name]:
            if key not in axes:
                raise ExperimentError(f"{location}.{name}.{key} is no axis of the space; known: {', '.join(axes)}")
    return replacing.get(profile, {})


def _pinned(section: Any, axes: Mapping[str, Axis], location: str) -> dict[str, Any]:
    pinned = build_settings(section, location)
    for key in pinned:
        if key in axes:
            raise ExperimentError(f"{location}.{key} is an axis of the grid too, but must be only one of the two")
    return pinned


def _parse_override(text: str) -> tuple[str, Any]:
    """Return key and value of `key=value`; unlike in YAML, 1e-4 is a number where the setting is one."""
    key, equals, raw = text.partition("=")
    if not equals:
        raise ExperimentError(f"--set {text!r} has no '=', but must be key=value")
    try:
        value = yaml.load(raw, Loader=LOADER)  # noqa: S506 - a safe loader
        spec = known_setting(key)
    except UNREADABLE as error:
        raise ExperimentError(f"--set {text[:80]!r} has a value that is not YAML") from error
    except ConfigError as error:
        raise ExperimentError(f"--set {text[:80]!r}: {error}") from error
    location = f"--set {key}"
    if key == CLASSES:
        return key, check_value(key, classes_text(value, location), location)
    if isinstance(value, dict) and (joined := [name for name in value if str(name).startswith(GLUED)]):
        raise ExperimentError(f"{location}: {joined[0]!r} needs a blank after the colon: {{low: 1, high: 2}}")
    if isinstance(value, list):
        return key, build_axis(key, [_number(item, spec.type) for item in value], location)
    if isinstance(value, dict):
        return key, build_axis(key, {name: _number(item, spec.type) for name, item in value.items()}, location)
    return key, check_value(key, _number(value, spec.type), location)


def _number(value: Any, kind: Any) -> Any:
    if kind is not float or not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _override(
    axes: dict[str, Axis], settings: dict[str, Any], typed: Mapping[str, Any]
) -> tuple[dict[str, Axis], dict[str, Any]]:
    for key, value in typed.items():
        if isinstance(value, tuple | Range):
            axes = {**axes, key: value}
        else:
            axes = {name: values for name, values in axes.items() if name != key}
            settings = {**settings, key: value}
    return axes, settings


def _config(settings: Mapping[str, Any], location: str) -> TrainConfig:
    try:
        return TrainConfig().with_overrides(settings)
    except ConfigError as error:
        raise ExperimentError(f"{location}: {error}") from error


def _schedule(section: Mapping[str, Any], name: str | None, location: str) -> Schedule:
    check_keys(section, "scheduler", f"{location}.scheduler")
    schedule = Schedule(name or section.get("name", "asha"), section.get("grace", 0.1), section.get("reduction", 3))
    if schedule.name not in SCHEDULERS:
        raise ExperimentError(
            f"{location}.scheduler.name is {schedule.name!r}, but must be one of {', '.join(SCHEDULERS)}"
        )
    if not isinstance(schedule.grace, float) or not 0.1 <= schedule.grace <= 1:
        raise ExperimentError(f"{location}.scheduler.grace is {schedule.grace!r}, but must be a number from 0.1 to 1.0")
    if type(schedule.reduction) is not int or schedule.reduction < 2:
        raise ExperimentError(
            f"{location}.scheduler.reduction is {schedule.reduction!r}, but must be a whole number >= 2"
        )
    return schedule


def _replicates(value: Any, location: str) -> int | None:
    if value is not None and (type(value) is not int or not 0 <= value <= MOST_REPLICATES):
        raise ExperimentError(
            f"{location}.replicates is {value!r}, but must be a whole number from 0 to {MOST_REPLICATES}"
        )
    return value


def _check_metric(name: Any, path: Path) -> None:
    if name != OBJECTIVE:
        raise ExperimentError(f"{path.name}: defaults.metric is {name!r}, but must be {OBJECTIVE}, the deciding metric")

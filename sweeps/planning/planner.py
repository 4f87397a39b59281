"""Planner: the experiment -> the plan. Points become distinct trials, which are put in order."""

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from bddseg.config import TrainConfig
from bddseg.errors import ConfigError
from sweeps.errors import ExperimentError
from sweeps.formatting import longer_words, trial_name
from sweeps.planning.axes import Axis, Range
from sweeps.planning.experiment import Experiment
from sweeps.planning.plan import SEED, Plan, PlannedTrial
from sweeps.planning.sampling import MOST_POINTS, draw_points
from sweeps.storage.sweep_json import SETTINGS

USUAL_SEEDS = 2
"""Default number of extra seeds of each of the best settings."""

LARGEST_SHARE = 1 / 3
"""Largest share of a sweep's epochs for the default replicates; where they would take more, there are none."""

PATIENCE = 200
"""Number of known points drawn in a row after which the space counts as exhausted."""


def build_plan(experiment: Experiment, *, precision: str = "auto", limit: int = 0) -> Plan:
    """Return the distinct trials of the experiment that are known before any has run.

    Points that differ only in settings without effect (dropout of a model without it, gamma of cross-entropy) are one
    trial.

    Args:
        experiment: the space under its profile.
        precision: what "auto" resolves to on the device that will train.
        limit: keep only the first trials; 0 keeps all.

    Raises:
        ExperimentError: when a combination of grid values makes no valid configuration, or the budget varies.
    """
    check_experiment(experiment, limit)
    first_points, points = _first_points(experiment), count_points(experiment)
    if not experiment.axes or experiment.sampling.name == "grid":
        ordered = _planned_grid(experiment, precision, limit)
    elif experiment.sampling.name == "random":
        points, ordered = _drawn(experiment, first_points, precision, limit)
    else:
        points = len(first_points)
        ordered = list(_distinct(_Maker.of(experiment, precision), first_points).values())
    is_open = bool(experiment.axes) and experiment.sampling.is_open
    samples = min(experiment.sampling.samples, limit or experiment.sampling.samples) if is_open else 0
    plan = Plan(
        trials=tuple(ordered[: limit or samples or len(ordered)]),
        rungs=experiment.schedule.rungs(experiment.base.train.epochs),
        epochs=experiment.base.train.epochs,
        grid_points=points,
        reduction=experiment.schedule.reduction,
        samples=samples,
        task=experiment.task,
    )
    return replace(plan, replicates=_replicates(experiment, plan))


def _replicates(experiment: Experiment, plan: Plan) -> int:
    """Return the number of extra seeds of the best settings: as requested, or the default for the size.

    Raises:
        ExperimentError: when some are requested although the seed is an axis.
    """
    asked = experiment.replicates
    if any(key == SEED for key, _ in experiment.axes):
        if asked:
            raise ExperimentError(
                f"{experiment.name}: replicates is {asked}, but must be 0 where {SEED} is an axis already"
            )
        return 0
    usual = replace(plan, replicates=USUAL_SEEDS)
    is_dear = usual.to_replicate * plan.epochs > LARGEST_SHARE * usual.epochs_in_all
    return (0 if is_dear else USUAL_SEEDS) if asked is None else asked


def imagine_plan(plan: Plan, experiment: Experiment) -> Plan:
    """Return the plan with random trials in place of those that are not known yet, for estimates and checks."""
    suggested = _imagine_suggested(plan, experiment)
    rounds = range(1, plan.replicates + 1) if plan.to_replicate else ()
    return suggested.with_trials(trial.replicate(number) for number in rounds for trial in suggested.trials[-SETTINGS:])


def _imagine_suggested(plan: Plan, experiment: Experiment) -> Plan:
    if not plan.to_come:
        return plan
    precision = plan.trials[0].config.train.precision
    planned = [dict(trial.point) for trial in plan.trials]
    drawn = replace(experiment, sampling=replace(experiment.sampling, name="random", samples=plan.samples))
    points, trials = _drawn(drawn, planned, precision, 0)
    return replace(plan, trials=tuple(trials), grid_points=points, samples=0)


def check_experiment(experiment: Experiment, limit: int = 0) -> None:
    """Refuse what can be refused before any configuration is built.

    Raises:
        ExperimentError: when an axis cannot vary, nothing is validated on, or the grid is too large to plan.
    """
    _check_axes(experiment)
    if not experiment.base.data.has_validation:
        raise ExperimentError(
            "data.folds is 1, but must be 0 or >= 2 in a sweep: without validation, trials cannot be compared"
        )
    if is_too_large(experiment) and not 0 < limit <= MOST_POINTS:
        sizes = " x ".join(f"{len(axis)} {key}" for key, axis in experiment.axes if isinstance(axis, tuple))
        raise ExperimentError(
            f"{experiment.name}: the grid has {count_points(experiment):,} points ({sizes}), but a sweep plans at most "
            f"{MOST_POINTS:,}: give fewer values, or draw from them with --limit N or --search random --samples N"
        )


def _check_axes(experiment: Experiment) -> None:
    """Refuse axes of settings that must be the same within a sweep.

    Raises:
        ExperimentError: naming the axis.
    """
    for key, _ in experiment.axes:
        if key == "train.epochs":
            raise ExperimentError(
                f"axis {key}: the epoch budget must be the same for all trials, so it cannot be an axis"
            )
        if key.startswith("data.") and key != "data.augment":
            raise ExperimentError(f"axis {key}: all trials of a sweep share frames and split, so it cannot be an axis")


def plan_trial(
    experiment: Experiment, point: Mapping[str, Any], precision: str, sweep_points: Iterable[Mapping[str, Any]] = ()
) -> PlannedTrial:
    """Return the trial of a point; its name differs from those of the points that its sweep has already.

    Raises:
        ExperimentError: when the point makes no valid configuration.
    """
    return _Maker.of(experiment, precision, sweep_points).trial(point)


@dataclass(frozen=True)
class _Maker:
    """Builds trials from points of an experiment; what they share is computed once."""

    experiment: Experiment
    precision: str
    reference: str
    """Digest of the reference."""
    longer: Mapping[str, Mapping[Any, str]]
    """Axis -> texts of the values that names must write with more digits than usual."""

    @classmethod
    def of(cls, experiment: Experiment, precision: str, further: Iterable[Mapping[str, Any]] = ()) -> Self:
        """Return the maker of an experiment's trials; `further` are points beyond the values of its axes."""
        reference = _config(experiment, experiment.reference, precision).digest()
        points = (experiment.reference, *experiment.points, *further)
        longer = {key: longer_words(_nameable(key, axis, points)) for key, axis in experiment.axes}
        return cls(experiment, precision, reference, {key: texts for key, texts in longer.items() if texts})

    def trial(self, point: Mapping[str, Any]) -> PlannedTrial:
        """Return the trial of a point.

        Raises:
            ExperimentError: when the point makes no valid configuration.
        """
        config = _config(self.experiment, point, self.precision)
        keys = tuple(key for key, _ in self.experiment.axes)
        settings, digest = config.flat(), config.digest()
        name = trial_name(config, keys, self.longer)
        return PlannedTrial(digest, name, config, {key: settings[key] for key in keys}, digest == self.reference)


def _nameable(key: str, axis: Axis, points: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Return the values of an axis that names must distinguish; those drawn from a range have few digits anyway."""
    named = [point[key] for point in points if key in point]
    if not isinstance(axis, Range):
        return [*axis, *named]
    ends = [axis.low, axis.high, *named]
    return [*ends, *map(axis.settle, ends)]


def count_points(experiment: Experiment) -> int:
    """Return the number of points of the grid; a range counts as its two ends."""
    return math.prod(len(axis) if isinstance(axis, tuple) else 2 for _, axis in experiment.axes)


def is_too_large(experiment: Experiment) -> bool:
    """Return whether the experiment is a grid of more points than a sweep plans."""
    return experiment.sampling.name == "grid" and count_points(experiment) > MOST_POINTS


def _planned_grid(experiment: Experiment, precision: str, limit: int) -> list[PlannedTrial]:
    """Return the distinct trials of a grid in their order; of a too large grid, `limit` random ones."""
    if not is_too_large(experiment):
        trials = _distinct(_Maker.of(experiment, precision), _grid(experiment))
        return _order(list(trials.values()), experiment.base.train.seed)
    sampling = replace(experiment.sampling, name="random", samples=limit)
    return _drawn(replace(experiment, sampling=sampling), [experiment.reference], precision, limit)[1]


def _grid(experiment: Experiment) -> Iterator[Mapping[str, Any]]:
    keys = [key for key, _ in experiment.axes]
    lists = [axis for _, axis in experiment.axes if isinstance(axis, tuple)]  # a grid has no ranges
    return (dict(zip(keys, values, strict=True)) for values in itertools.product(*lists))


def _config(experiment: Experiment, point: Mapping[str, Any], precision: str) -> TrainConfig:
    try:
        config = experiment.base.with_overrides(point)
        if config.train.precision == "auto":
            config = config.with_overrides({"train.precision": precision})
        return config.folded()
    except ConfigError as error:
        raise ExperimentError(f"{experiment.name}: {error}") from error


def _first_points(experiment: Experiment) -> list[Mapping[str, Any]]:
    """Return the points to try first: the reference, then those that the space names."""
    return [experiment.reference, *experiment.points]


def _distinct(maker: _Maker, points: Iterable[Mapping[str, Any]]) -> dict[str, PlannedTrial]:
    """Return the distinct trials of the points by id, in order of first appearance."""
    trials: dict[str, PlannedTrial] = {}
    for point in points:
        trial = maker.trial(point)
        trials.setdefault(trial.trial_id, trial)
    return trials


def _drawn(
    experiment: Experiment, first_points: Sequence[Mapping[str, Any]], precision: str, limit: int
) -> tuple[int, list[PlannedTrial]]:
    """Return the number of first and drawn points, and their distinct trials, up to the requested number.

    Where the space has fewer points, drawing ends after PATIENCE repeats in a row.
    """
    maker = _Maker.of(experiment, precision, first_points)
    trials = _distinct(maker, first_points)
    samples, points, repeats = experiment.sampling.samples, len(first_points), 0
    most = min(samples, limit or samples)
    for point in draw_points(experiment.base, dict(experiment.axes), experiment.base.train.seed):
        if len(trials) >= most or repeats >= PATIENCE:
            break
        trial = maker.trial(point)
        repeats = repeats + 1 if trial.trial_id in trials else 0
        trials.setdefault(trial.trial_id, trial)
        points += 1
    return points, list(trials.values())[:most]


def _order(trials: list[PlannedTrial], seed: int) -> list[PlannedTrial]:
    """Return the trials shuffled: early stopping favours early trials, so a sorted grid would favour low values."""
    by_id = sorted(trials, key=lambda trial: trial.trial_id)
    random.Random(seed).shuffle(by_id)
    return sorted(by_id, key=lambda trial: not trial.is_reference)

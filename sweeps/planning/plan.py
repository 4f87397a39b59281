"""Plan of a sweep: the distinct trials of an experiment in their order, with rungs and replicates."""

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from bddseg.config import TrainConfig
from bddseg.errors import ConfigError
from bddseg.words import count
from sweeps.errors import ExperimentError
from sweeps.formatting import longer_words, trial_name
from sweeps.planning.axes import Axis, Range
from sweeps.planning.experiment import Experiment
from sweeps.planning.sampling import MOST_POINTS, draw_points
from sweeps.statistics.rounds import Rounds
from sweeps.storage.sweep_json import SETTINGS, count_replicates
from sweeps.storage.tags import FINALIST, REPLICATE_OF

FINALISTS = 4
"""Number of best trials that are finalists, besides the reference and the best of each model."""

SEED = "train.seed"

USUAL_SEEDS = 2
"""Default number of extra seeds of each of the best settings."""

LARGEST_SHARE = 1 / 3
"""Largest share of a sweep's epochs for the default replicates; where they would take more, there are none."""

PATIENCE = 200
"""Number of known points drawn in a row after which the space counts as exhausted."""


@dataclass(frozen=True)
class PlannedTrial:
    """One configuration to be trained."""

    trial_id: str
    """The configuration's digest: equal settings are the same trial, in every sweep."""
    name: str
    config: TrainConfig
    point: Mapping[str, Any]
    """Value on each axis."""
    is_reference: bool
    tags: Mapping[str, str] = field(default_factory=dict)
    """Additional tags of its run."""

    @property
    def epochs(self) -> int:
        """Return the budget of the trial."""
        return self.config.train.epochs

    def replicate(self, number: int) -> "PlannedTrial":
        """Return the same setting with the seed raised by `number`."""
        seed = self.config.train.seed + number
        config = self.config.with_overrides({SEED: seed})
        name, point = f"{self.name} seed={seed}", {**self.point, SEED: seed}
        return PlannedTrial(config.digest(), name, config, point, False, {REPLICATE_OF: self.trial_id})

    @property
    def is_replicate(self) -> bool:
        """Whether it is an extra seed of a setting, added when the other trials had ended."""
        return REPLICATE_OF in self.tags

    @property
    def settings(self) -> dict[str, Any]:
        return self.config.flat()


@dataclass(frozen=True)
class Plan:
    """The trials of a sweep in starting order: the reference first, the others shuffled by seed."""

    trials: tuple[PlannedTrial, ...]
    rungs: tuple[int, ...]
    epochs: int
    """Budget of each trial; the largest where they differ."""
    grid_points: int
    """Number of points before settings without effect were folded and `limit` was applied."""
    reduction: int = 3
    """At each rung about one in this many trials passes."""
    samples: int = 0
    """Total of trials, without replicates, where some are suggested while others run; 0 where all are known."""
    replicates: int = 0
    """Extra seeds of each of the best settings, added when all other trials have ended."""
    rounds: Rounds | None = None
    """Rounds of a confirmation to which runs are added until it is decided."""

    @property
    def epochs_in_all(self) -> int:
        """Return the epochs of all trials if none is stopped early."""
        return sum(trial.epochs for trial in self.trials) + self.to_follow * self.epochs

    @property
    def originals(self) -> tuple[PlannedTrial, ...]:
        """Return the trials without the replicates."""
        return tuple(trial for trial in self.trials if not trial.is_replicate)

    @property
    def to_come(self) -> int:
        """Return the number of trials that are still to be suggested."""
        return max(0, self.samples - len(self.originals))

    @property
    def to_replicate(self) -> int:
        """Return the number of replicates still to be added, if enough settings complete."""
        return count_replicates(
            self.replicates, len(self.trials) + self.to_come, len(self.trials) - len(self.originals)
        )

    @property
    def to_follow(self) -> int:
        """Return the number of trials that are not known yet."""
        return self.to_come + self.to_replicate

    def replicas(self, best: Sequence[str]) -> tuple[PlannedTrial, ...]:
        """Return the replicates that are still to be added: the first seed of each best setting, then the next one.

        Args:
            best: ids of the completed trials, the best first.
        """
        trials = {trial.trial_id: trial for trial in self.trials}
        rounds = range(1, self.replicates + 1) if self.to_replicate else ()
        return tuple(trials[trial_id].replicate(number) for number in rounds for trial_id in best[:SETTINGS])

    def size_words(self) -> str:
        """Return the size as text: `8 trials, 20 epochs each`."""
        least = min(trial.epochs for trial in self.trials)
        epochs = count(self.epochs, "epoch")
        each = f"{epochs} each" if least == self.epochs else f"{least} to {epochs}"
        if self.rounds:
            return f"{count(len(self.trials), 'trial')} at first, {each}, more until it is decided"
        replicates = f" ({self.to_replicate} of them extra seeds of the best settings)" if self.to_replicate else ""
        return f"{count(len(self.trials) + self.to_follow, 'trial')}{replicates}, {each}"

    def with_trials(self, trials: Iterable[PlannedTrial]) -> "Plan":
        """Return the plan with more trials at its end."""
        return replace(self, trials=(*self.trials, *trials))


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


def most_kept(plan: Plan) -> int:
    """Return the largest number of trials that keep their weights.

    The best, the best of each model, the reference; in a confirmation also the leader on each fold.
    """
    models = {trial.config.model.name for trial in plan.trials}
    references = sum(trial.is_reference for trial in plan.trials)
    folds = {trial.config.data.fold for trial in plan.trials if FINALIST in trial.tags}
    return min(len(plan.trials), FINALISTS + len(models) - 1 + references + len(folds))

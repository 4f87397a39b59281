"""Experiment -> the distinct trials: inert settings folded, hashed, in order, with their rungs."""

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
from sweeps.storage.tags import REPLICATE_OF

FINALISTS = 4
"""The best so many trials are finalists, besides the reference and the best of each model."""

SEED = "train.seed"

USUAL_SEEDS = 2
"""Further seeds of each of them, unless the space or the command line says otherwise."""

LARGEST_SHARE = 1 / 3
"""Of all epochs of a sweep: where nobody asked for replicates and they would take more, there are none."""

PATIENCE = 200
"""So many points drawn one after the other that are known already mean that the space has no more."""


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

    def replicate(self, number: int) -> "PlannedTrial":
        """Return the same setting with another seed: its own and `number`."""
        seed = self.config.train.seed + number
        config = self.config.with_overrides({SEED: seed})
        name, point = f"{self.name} seed={seed}", {**self.point, SEED: seed}
        return PlannedTrial(config.digest(), name, config, point, False, {REPLICATE_OF: self.trial_id})

    @property
    def is_replicate(self) -> bool:
        """Whether it is a further seed of a setting, added when the others had ended."""
        return REPLICATE_OF in self.tags

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
    """Trials in all where some are suggested while others run; 0 where all are known. Replicates are not counted."""
    replicates: int = 0
    """So many further seeds of each of the best settings are added when all others have ended."""
    rounds: Rounds | None = None
    """Of a confirmation to which runs are added until it is decided."""

    @property
    def reference(self) -> PlannedTrial:
        return self.trials[0]

    @property
    def epochs_in_all(self) -> int:
        """Return the epochs of all trials together, if none is stopped early."""
        return sum(trial.epochs for trial in self.trials) + self.to_follow * self.epochs

    @property
    def originals(self) -> tuple[PlannedTrial, ...]:
        """Return the trials without the replicates."""
        return tuple(trial for trial in self.trials if not trial.is_replicate)

    @property
    def to_come(self) -> int:
        """Return how many trials are still to be suggested."""
        return max(0, self.samples - len(self.originals))

    @property
    def to_replicate(self) -> int:
        """Return how many replicates are still to be added, if as many settings as get some train to their end."""
        return count_replicates(
            self.replicates, len(self.trials) + self.to_come, len(self.trials) - len(self.originals)
        )

    @property
    def to_follow(self) -> int:
        """Return how many trials are not known yet."""
        return self.to_come + self.to_replicate

    def replicas(self, best: Sequence[str]) -> tuple[PlannedTrial, ...]:
        """Return the replicates that are still to be added: of each of the best settings seed by seed.

        Args:
            best: ids of the completed trials, the best first.
        """
        known = {trial.trial_id: trial for trial in self.trials}
        rounds = range(1, self.replicates + 1) if self.to_replicate else ()
        return tuple(known[trial_id].replicate(number) for number in rounds for trial_id in best[:SETTINGS])

    def size_words(self) -> str:
        """Return its size in words: `8 trials, 20 epochs each`."""
        least = min(trial.epochs for trial in self.trials)
        epochs = count(self.epochs, "epoch")
        each = f"{epochs} each" if least == self.epochs else f"{least} to {epochs}"
        if self.rounds:
            return f"at first {count(len(self.trials), 'trial')}, {each}, and more until it is decided"
        replicates = f", {self.to_replicate} of them further seeds of the best" if self.to_replicate else ""
        return f"{count(len(self.trials) + self.to_follow, 'trial')}, {each}{replicates}"

    def with_trials(self, trials: Iterable[PlannedTrial]) -> "Plan":
        """Return the plan with more trials, the last."""
        return replace(self, trials=(*self.trials, *trials))


def build_plan(experiment: Experiment, *, precision: str = "auto", limit: int = 0) -> Plan:
    """Return the distinct trials of the experiment, as far as they are known before any has run.

    `precision` is what "auto" resolves to on the device that will train. Points that differ only in settings without
    effect (dropout on a net without one, gamma under cross-entropy) are one trial. `limit` > 0 keeps the first ones.

    Raises:
        ExperimentError: when a combination of grid values makes no valid configuration, or the budget varies.
    """
    check_experiment(experiment, limit)
    known, points = _known_points(experiment), count_points(experiment)
    if not experiment.axes or experiment.sampling.name == "grid":
        ordered = _planned_grid(experiment, precision, limit)
    elif experiment.sampling.name == "random":
        points, ordered = _drawn(experiment, known, precision, limit)
    else:
        points, ordered = len(known), list(_distinct(_Maker.of(experiment, precision), known).values())
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
    """Return how many further seeds the best settings get: as many as are asked for, or as are usual for the size.

    Raises:
        ExperimentError: when some are asked for where the seed is an axis.
    """
    asked = experiment.replicates
    if any(key == SEED for key, _ in experiment.axes):
        if asked:
            raise ExperimentError(
                f"{experiment.name}: replicates is {asked}, but must be 0 where {SEED} is an axis: its trials are some"
            )
        return 0
    usual = replace(plan, replicates=USUAL_SEEDS)
    is_dear = usual.to_replicate * plan.epochs > LARGEST_SHARE * usual.epochs_in_all
    return (0 if is_dear else USUAL_SEEDS) if asked is None else asked


def imagine_plan(plan: Plan, experiment: Experiment) -> Plan:
    """Return the plan with trials drawn at random in the place of those that are not known yet.

    For what a sweep takes: it is not known which they will be, but what they may be.
    """
    suggested = _imagine_suggested(plan, experiment)
    rounds = range(1, plan.replicates + 1) if plan.to_replicate else ()
    return suggested.with_trials(trial.replicate(it) for it in rounds for trial in suggested.trials[-SETTINGS:])


def _imagine_suggested(plan: Plan, experiment: Experiment) -> Plan:
    if not plan.to_come:
        return plan
    precision = plan.trials[0].config.train.precision
    known = [dict(trial.point) for trial in plan.trials]
    drawn = replace(experiment, sampling=replace(experiment.sampling, name="random", samples=plan.samples))
    points, trials = _drawn(drawn, known, precision, 0)
    return replace(plan, trials=tuple(trials), grid_points=points, samples=0)


def check_experiment(experiment: Experiment, limit: int = 0) -> None:
    """Refuse what can be refused without a configuration being made.

    Raises:
        ExperimentError: when an axis cannot vary, nothing is validated on, or the grid is too large to plan.
    """
    _check_axes(experiment)
    if not experiment.base.data.has_validation:
        raise ExperimentError("data.folds is 1, but must be 0 or >= 2 in a sweep: without validation nothing compares")
    if is_too_large(experiment) and not 0 < limit <= MOST_POINTS:
        sizes = " x ".join(f"{len(axis)} {key}" for key, axis in experiment.axes if isinstance(axis, tuple))
        raise ExperimentError(
            f"{experiment.name}: the grid has {count_points(experiment):,} points ({sizes}), but a sweep plans at most "
            f"{MOST_POINTS:,}: give fewer values, or draw from them with --limit N or --search random --samples N"
        )


def _check_axes(experiment: Experiment) -> None:
    """Refuse what cannot differ within a sweep.

    Raises:
        ExperimentError: naming the axis.
    """
    for key, _ in experiment.axes:
        if key == "train.epochs":
            raise ExperimentError(f"axis {key}: the epoch budget must be the same for all trials, so it is no axis")
        if key.startswith("data.") and key != "data.augment":
            raise ExperimentError(f"axis {key}: all trials of a sweep share their frames and split, so it is no axis")


def plan_trial(
    experiment: Experiment, point: Mapping[str, Any], precision: str, known: Iterable[Mapping[str, Any]] = ()
) -> PlannedTrial:
    """Return the trial of a point; its name differs from those of the `known` points of the same sweep.

    Raises:
        ExperimentError: when the point makes no valid configuration.
    """
    return _Maker.of(experiment, precision, known).trial(point)


@dataclass(frozen=True)
class _Maker:
    """Points of an experiment -> trials. What is the same for all of them is worked out once."""

    experiment: Experiment
    precision: str
    reference: str
    """Digest of the reference."""
    words: Mapping[str, Mapping[Any, str]]
    """Axis -> the values of it that a name must write with more digits than usual."""

    @classmethod
    def of(cls, experiment: Experiment, precision: str, known: Iterable[Mapping[str, Any]] = ()) -> Self:
        """Return the maker of an experiment's trials; `known` are points beyond those that its axes can have."""
        reference = _config(experiment, experiment.reference, precision).digest()
        points = (experiment.reference, *experiment.points, *known)
        words = {key: longer_words(_nameable(key, axis, points)) for key, axis in experiment.axes}
        return cls(experiment, precision, reference, {key: longer for key, longer in words.items() if longer})

    def trial(self, point: Mapping[str, Any]) -> PlannedTrial:
        """Return the trial of a point.

        Raises:
            ExperimentError: when the point makes no valid configuration.
        """
        config = _config(self.experiment, point, self.precision)
        keys = tuple(key for key, _ in self.experiment.axes)
        settings, digest = config.flat(), config.digest()
        name = trial_name(config, keys, self.words)
        return PlannedTrial(digest, name, config, {key: settings[key] for key in keys}, digest == self.reference)


def _nameable(key: str, axis: Axis, points: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Return the values of an axis that names must tell apart: a range's drawn ones have the few digits of `settle`."""
    given = [point[key] for point in points if key in point]
    if not isinstance(axis, Range):
        return [*axis, *given]
    ends = [axis.low, axis.high, *given]
    return [*ends, *map(axis.settle, ends)]


def count_points(experiment: Experiment) -> int:
    """Return the points of the grid of all axes; of ranges, which have no end of them, their ends count."""
    return math.prod(len(axis) if isinstance(axis, tuple) else 2 for _, axis in experiment.axes)


def is_too_large(experiment: Experiment) -> bool:
    """Return whether the experiment is a grid of more points than a sweep plans."""
    return experiment.sampling.name == "grid" and count_points(experiment) > MOST_POINTS


def _planned_grid(experiment: Experiment, precision: str, limit: int) -> list[PlannedTrial]:
    """Return the distinct trials of a grid in their order; of a grid that is too large `limit` drawn at random."""
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


def _known_points(experiment: Experiment) -> list[Mapping[str, Any]]:
    """Return what is tried first: the reference, then the points that the space names."""
    return [experiment.reference, *experiment.points]


def _distinct(maker: _Maker, points: Iterable[Mapping[str, Any]]) -> dict[str, PlannedTrial]:
    """Return the trials of the points by their ids, in the order in which they come first."""
    trials: dict[str, PlannedTrial] = {}
    for point in points:
        trial = maker.trial(point)
        trials.setdefault(trial.trial_id, trial)
    return trials


def _drawn(
    experiment: Experiment, known: Sequence[Mapping[str, Any]], precision: str, limit: int
) -> tuple[int, list[PlannedTrial]]:
    """Return how many points were looked at, known and drawn ones, and the distinct trials of them that are asked for.

    Where the space has fewer points than that, it ends when nothing new has come for long.
    """
    maker = _Maker.of(experiment, precision, known)
    trials = _distinct(maker, known)
    samples, points, in_vain = experiment.sampling.samples, len(known), 0
    most = min(samples, limit or samples)
    for point in draw_points(experiment.base, dict(experiment.axes), experiment.base.train.seed):
        if len(trials) >= most or in_vain >= PATIENCE:
            break
        trial = maker.trial(point)
        in_vain = in_vain + 1 if trial.trial_id in trials else 0
        trials.setdefault(trial.trial_id, trial)
        points += 1
    return points, list(trials.values())[:most]


def _order(trials: list[PlannedTrial], seed: int) -> list[PlannedTrial]:
    """Shuffle: early stopping favours who comes first, so a grid in order would favour its first values."""
    by_id = sorted(trials, key=lambda trial: trial.trial_id)
    random.Random(seed).shuffle(by_id)
    return sorted(by_id, key=lambda trial: not trial.is_reference)


def most_kept(plan: Plan) -> int:
    """Return how many trials of a plan keep their weights at most: the best few, the best of each model, references."""
    models = {trial.config.model.name for trial in plan.trials}
    references = sum(trial.is_reference for trial in plan.trials)
    return min(len(plan.trials), FINALISTS + len(models) - 1 + references)

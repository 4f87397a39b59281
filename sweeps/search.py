"""Experiment, plan -> Ray's param space, searcher and scheduler; the only place that spells Ray's domains."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search.basic_variant import BasicVariantGenerator

from sweeps.experiment import Experiment
from sweeps.hyperband import Hyperband
from sweeps.median import Median
from sweeps.plan import Plan, PlannedTrial
from sweeps.promotion import AshaPromote
from sweeps.schedulers import Asha, RunAll, Scheduler

NO_EPOCH = "no_epoch"
"""Marks a trial's report that has no figures and only says why the trial ends."""

TRIAL_KEY = "trial"
"""The one key of a Ray config that is no setting: the trial's id."""


@dataclass(frozen=True)
class Search:
    """What a Tuner needs to run a plan, and nothing else."""

    param_space: dict[str, Any]
    searcher: BasicVariantGenerator
    scheduler: Scheduler
    num_samples: int


def build_search(
    experiment: Experiment,
    plan: Plan,
    *,
    open_trials: Sequence[PlannedTrial] | None = None,
    memory: Path | None = None,
    slots: int = 0,
    max_concurrent: int = 0,
) -> Search:
    """Return the plan in Ray's words: each trial that is open is one preset point, in order, with flat columns.

    `memory` is the file in which the scheduler keeps its state, `slots` how many trials run side by side. Tune would
    ignore a `max_concurrent_trials` beside a generator of its own kind: the generator itself must count, unless the
    scheduler does.
    """
    trials = plan.trials if open_trials is None else open_trials
    points = [{TRIAL_KEY: trial.trial_id, **trial.point} for trial in trials]
    space: dict[str, Any] = {TRIAL_KEY: tune.choice([trial.trial_id for trial in trials])}
    for key, values in experiment.axes:
        space[key] = tune.choice(list(values))
    scheduler = build_scheduler(experiment, plan, memory=memory, slots=slots)
    most = 0 if isinstance(scheduler, AshaPromote) else max_concurrent
    searcher = BasicVariantGenerator(points_to_evaluate=points, max_concurrent=most)
    return Search(space, searcher, scheduler, len(points))


def build_scheduler(experiment: Experiment, plan: Plan, *, memory: Path | None = None, slots: int = 0) -> Scheduler:
    """Return the scheduler that the experiment names."""
    schedule = experiment.schedule
    models = {trial.trial_id: trial.config.model.name for trial in plan.trials}
    reference = next((trial.trial_id for trial in plan.trials if trial.is_reference), "")
    halving = (plan.rungs, schedule.reduction, models, reference)
    if schedule.name == "asha":
        return Asha(*halving, path=memory)
    if schedule.name == "asha_promote":
        return AshaPromote(*halving, path=memory, slots=slots)
    if schedule.name == "hyperband":
        return Hyperband(*halving, path=memory)
    if schedule.name == "median":
        return Median(plan.rungs, models, reference, path=memory)
    return RunAll(models, reference, path=memory)

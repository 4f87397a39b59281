"""Experiment, plan -> Ray's param space, searcher and scheduler; the only place that spells Ray's domains."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ray import tune
from ray.tune.search.basic_variant import BasicVariantGenerator

from sweeps.experiment import Experiment
from sweeps.plan import Plan, PlannedTrial
from sweeps.schedulers import Asha, RunAll

NO_EPOCH = "no_epoch"
"""Marks a trial's report that has no figures and only says why the trial ends."""

TRIAL_KEY = "trial"
"""The one key of a Ray config that is no setting: the trial's id."""


@dataclass(frozen=True)
class Search:
    """What a Tuner needs to run a plan, and nothing else."""

    param_space: dict[str, Any]
    searcher: BasicVariantGenerator
    scheduler: Asha | RunAll
    num_samples: int


def build_search(
    experiment: Experiment, plan: Plan, *, max_concurrent: int = 0, open_trials: Sequence[PlannedTrial] | None = None
) -> Search:
    """Return the plan in Ray's words: each planned trial is one preset point, in order, with flat columns.

    Of a plan that was begun, `open_trials` are run; the scheduler knows all: those that ended are at its rungs.
    Tune would ignore a `max_concurrent_trials` beside a generator of its own kind: the generator itself must count.
    """
    trials = plan.trials if open_trials is None else open_trials
    points = [{TRIAL_KEY: trial.trial_id, **trial.point} for trial in trials]
    space: dict[str, Any] = {TRIAL_KEY: tune.choice([trial.trial_id for trial in trials])}
    for key, values in experiment.axes:
        space[key] = tune.choice(list(values))
    searcher = BasicVariantGenerator(points_to_evaluate=points, max_concurrent=max_concurrent)
    return Search(space, searcher, build_scheduler(experiment, plan), len(points))


def build_scheduler(experiment: Experiment, plan: Plan) -> Asha | RunAll:
    """Return the scheduler that the experiment names."""
    if experiment.schedule.name == "none":
        return RunAll()
    models = {trial.trial_id: trial.config.model.name for trial in plan.trials}
    reference = next((trial.trial_id for trial in plan.trials if trial.is_reference), "")
    return Asha(plan.rungs, experiment.schedule.reduction, models, reference)

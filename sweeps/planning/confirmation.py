"""Confirmation of a recorded screening: its finalists are trained again, run j on fold j with its own seed.

Every finalist gets the same (fold, seed) pairs, so that runs compare in pairs; data, initial weights and order of
batches all vary at once. Source: Bouthillier et al. 2021, Accounting for Variance in Machine Learning Benchmarks.

Every run trains for the full budget of the screening, and no run chooses its epoch on the images that score it: the
mean of the weights of its last epochs is scored. Source: Izmailov et al. 2018, Averaging Weights Leads to Wider Optima
and Better Generalization, section 3. Choosing the epoch on an inner fold, and decaying learning rates, were tried as
well: the spread between runs was 1.7 and 3.8 times as large (benchmarks/RESULTS.md).
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bddseg.config import TrainConfig, setting_names
from bddseg.errors import ConfigError
from sweeps.errors import ExperimentError, NothingFinishedError
from sweeps.planning.experiment import Experiment
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.schedulers.rungs import Schedule
from sweeps.statistics.rounds import CONFIRMING_RUNS, FIRST_LOOK, Rounds
from sweeps.statistics.scores import rank, score
from sweeps.statistics.seed_noise import count_repeats, pool_variance, rise_of, setting_of, sum_squares
from sweeps.storage.outcomes import RunStatus
from sweeps.storage.records import SweepRecord, TrialRow, finalist_name
from sweeps.storage.sweep_json import recorded_task
from sweeps.storage.tags import CONFIRMS, FINALIST, FOLD, RUN

AVERAGED = 0.25
"""Share of the epochs of a run, the last ones, whose weights are averaged."""

FIRST_SEED = 1000
"""Offset of the first run's seed from the screening's, whose replicates use the next seeds."""

LEAST_REPEATS = 2
"""Fewest repeated seeds that measure the noise between runs."""


@dataclass(frozen=True)
class PlannedFinalist:
    """A setting that a confirmation retrains."""

    trial_id: str
    """Of its best seed in the screening sweep."""
    name: str
    why: str
    """Its place in the screening, `reference`, or `best` and its model."""
    is_reference: bool
    config: TrainConfig

    @property
    def epochs(self) -> int:
        """Return the epochs of every run: the screening's budget."""
        return self.config.train.epochs

    def run(self, number: int, folds: int, seed: int) -> PlannedTrial:
        """Return run `number`, from 0, which validates on the next fold; after the last fold comes another cut."""
        cut, fold = divmod(number, folds)
        changes = {
            "data.folds": folds,
            "data.fold": fold,
            "data.cut": cut,
            "train.seed": seed + FIRST_SEED + number,
            "train.patience": 0,
            "train.keep": "last",
            "train.average": AVERAGED,
        }
        return _planned(self, number, self.config.with_overrides(changes))


@dataclass(frozen=True)
class Confirmation:
    """A confirmation that is to be run, derived from the record of its screening."""

    screening: str
    experiment: Experiment
    plan: Plan
    finalists: tuple[PlannedFinalist, ...]
    runs: int
    """Runs per finalist; with rounds, those before the first decision."""
    rounds: Rounds | None
    data: Mapping[str, Any]
    """The screening's data: root, embedded, fingerprint."""
    terms: Mapping[str, Any]
    """Resources and other terms of the screening."""
    notes: tuple[str, ...]
    """Notes to the user about the choice of finalists."""

    def to_dict(self) -> dict[str, Any]:
        """Return the confirmation as the manifest records it."""
        return {
            "screening": self.screening,
            "runs": self.runs,
            "folds": self.rounds.folds if self.rounds else self.runs,
            **({"rounds": self.rounds.to_dict()} if self.rounds else {}),
            "seeds": [trial.config.train.seed for trial in self.plan.trials[:: len(self.finalists)]],
            "finalists": [
                {"trial_id": finalist.trial_id, "name": finalist.name, "why": finalist.why, "epochs": finalist.epochs}
                for finalist in self.finalists
            ],
        }

    def check_data(self, fingerprint: str, root: Path) -> None:
        """Refuse frames that differ from the screened ones, in whatever folder.

        Raises:
            ExperimentError: with both fingerprints.
        """
        screened = self.data["fingerprint"]
        if fingerprint != screened:
            raise ExperimentError(
                f"{self.screening} was screened on frames {screened} of {self.data['root']}, but those of {root} are "
                f"{fingerprint} now: give the folder as it was with --data, or screen again"
            )


@dataclass(frozen=True)
class FinalistScores:
    """A finalist with the scores of its runs."""

    name: str
    is_reference: bool
    epochs: int
    scores: tuple[float, ...]
    """val/miou of each run's last epoch; NaN for a run that gave none."""

    @property
    def done(self) -> list[float]:
        return [score for score in self.scores if not math.isnan(score)]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.done) if self.done else math.nan

    @property
    def spread(self) -> float:
        """Return the sample standard deviation over runs; NaN for fewer than two."""
        return statistics.stdev(self.done) if len(self.done) > 1 else math.nan

    def ahead_of(self, other: "FinalistScores") -> float:
        """Return the mean difference over the runs that both have; NaN without one."""
        differences = [mine - theirs for mine, theirs in zip(self.scores, other.scores, strict=False)]
        paired = [difference for difference in differences if not math.isnan(difference)]
        return statistics.fmean(paired) if paired else math.nan


def plan_confirmation(
    record: SweepRecord, *, top: int = 4, runs: int = CONFIRMING_RUNS, rounds: Rounds | None = None
) -> Confirmation:
    """Return the confirmation of a recorded sweep: `runs` runs of each finalist, run j of all before run j+1 of any.

    With `rounds` these are only the first runs; more follow until the comparison is decided, see `next_runs`.

    Raises:
        ExperimentError: when the sweep is a confirmation itself, or its record is incomplete.
        NothingFinishedError: when no trial completed: the score of one that was stopped early is not comparable.
    """
    if screening := record.tags.get(CONFIRMS):
        raise ExperimentError(f"{record.sweep_id} is itself a confirmation, of {screening}: confirm that one again")
    data = record.manifest.get("data")
    if not isinstance(data, dict) or not {"root", "embedded", "fingerprint"} <= data.keys():
        raise ExperimentError(f"{record.sweep_id} has no sweep.json in the store, so its data is not known")
    terms = record.manifest.get("terms")
    terms = terms if isinstance(terms, dict) else {}
    runs = FIRST_LOOK if rounds else runs
    finalists, notes = choose_finalists(record, top)
    seed = record.manifest.get("seed", 0)
    if type(seed) is not int:
        raise ExperimentError(f"{record.sweep_id} has a damaged sweep.json in the store: its seed is {seed!r}")
    folds = rounds.folds if rounds else runs
    drawn = [finalist.run(number, folds, seed) for number in range(runs) for finalist in finalists]
    axes = _varying([trial.config for trial in drawn])
    plan = Plan(
        trials=tuple(replace(trial, point={key: trial.settings[key] for key in axes}) for trial in drawn),
        rungs=(),
        epochs=max(finalist.epochs for finalist in finalists),
        grid_points=len(drawn),
        rounds=rounds,
        task=recorded_task(record.manifest),
    )
    experiment = Experiment(
        name=str(record.manifest.get("space", "")),
        question=str(record.manifest.get("question", "")),
        profile=str(record.manifest.get("profile", "")),
        base=drawn[0].config.with_overrides({"train.epochs": plan.epochs}),
        axes=tuple(axes.items()),
        reference={},
        schedule=Schedule("none", 0.1, 3),
        task=plan.task,
    )
    return Confirmation(record.sweep_id, experiment, plan, finalists, runs, rounds, data, terms, notes)


def next_runs(plan: Plan, remaining: Sequence[str]) -> tuple[PlannedTrial, ...]:
    """Return one more run of each finalist that is not decided yet: on the next fold, with a new seed."""
    assert plan.rounds is not None
    added = []
    for finalist in remaining:
        first, *later = (trial for trial in plan.trials if trial.tags[FINALIST] == finalist)
        like = PlannedFinalist(finalist, finalist_name(first.name), "", first.is_reference, first.config)
        run = like.run(1 + len(later), plan.rounds.folds, first.config.train.seed - FIRST_SEED)
        added.append(replace(run, point={key: run.settings[key] for key in (*first.point, *RUN_AXES)}))
    return tuple(added)


RUN_AXES = ("data.fold", "data.cut", "train.seed")
"""Settings in which the runs of a finalist differ."""


def choose_finalists(record: SweepRecord, top: int) -> tuple[tuple[PlannedFinalist, ...], tuple[str, ...]]:
    """Return the best `top` settings, the best of each model and the reference; and notes on the choice.

    Trials that differ only in their seed are one setting, ranked by their mean: the best of several seeds is partly
    luck.

    Raises:
        NothingFinishedError: when no trial completed.
    """
    settings = _settings(record)
    if not settings:
        raise NothingFinishedError(f"{record.sweep_id} has no finished trial, so there is nothing to confirm")
    chosen = {id(seeds): f"place {position}" for position, seeds in enumerate(settings[:top], 1)}
    for seeds in {seeds[0].settings["model.name"]: seeds for seeds in reversed(settings)}.values():
        chosen.setdefault(id(seeds), f"best {seeds[0].settings['model.name']}")
    notes = []
    if (reference := next((row for row in record.trials if row.is_reference), None)) is None:
        notes.append("the reference was not among the trials of the screening")
    elif not (reference_seeds := [seeds for seeds in settings if reference in seeds]):
        notes.append(f"the reference ({reference.name}) did not finish, so it is no finalist")
    else:
        chosen.setdefault(id(reference_seeds[0]), "reference")
    if record.status != RunStatus.FINISHED:
        notes.append(f"{record.sweep_id} is {record.status.lower()}, not finished: its finalists might change")
    finalists = [_finalist(seeds, chosen[id(seeds)], record.sweep_id) for seeds in settings if id(seeds) in chosen]
    return tuple(finalists), tuple(notes)


def screened_sd(record: SweepRecord, curves: Sequence[Sequence[float]] = ()) -> tuple[float | None, bool]:
    """Return the standard deviation between runs in a screening, and whether it was measured on repeated seeds.

    It is pooled from seeds and learning curves as the verdict pools it; None where there are neither.

    Args:
        record: the screening.
        curves: val/miou by epoch of its completed trials.
    """
    scores = [np.asarray([score(row) for row in seeds]) for seeds in _settings(record)]
    repeats, rise = count_repeats(scores), rise_of(curves)
    if rise is None and repeats < LEAST_REPEATS:
        return None, False
    variance, _ = pool_variance(np.asarray(sum_squares(scores)), repeats, rise)
    return math.sqrt(float(variance)), repeats >= LEAST_REPEATS


def _settings(record: SweepRecord) -> list[list[TrialRow]]:
    """Return the completed trials of each setting, best seed first; settings are ordered by their mean."""
    groups: dict[str, list[TrialRow]] = {}
    for row in rank([row for row in record.trials if row.is_completed]):
        groups.setdefault(setting_of(row.settings), []).append(row)
    return sorted(groups.values(), key=lambda seeds: -statistics.fmean(map(score, seeds)))


def standings(plan: Plan, scores: Mapping[str, float]) -> list[FinalistScores]:
    """Return the finalists, the best mean first; `scores` has val/miou by trial, for completed runs."""
    of_finalist: dict[str, list[PlannedTrial]] = {}
    for trial in plan.trials:  # in the order of runs
        of_finalist.setdefault(trial.tags[FINALIST], []).append(trial)
    finalists = [
        FinalistScores(
            finalist_name(runs[0].name),
            runs[0].is_reference,
            runs[0].epochs,
            tuple(scores.get(trial.trial_id, math.nan) for trial in runs),
        )
        for runs in of_finalist.values()
    ]
    return sorted(finalists, key=lambda finalist: (not finalist.done, -finalist.mean if finalist.done else 0.0))


def _finalist(seeds: Sequence[TrialRow], why: str, sweep_id: str) -> PlannedFinalist:
    best, name = seeds[0], min((row.name for row in seeds), key=len)
    try:
        config = TrainConfig.from_record(best.settings)
    except ConfigError as error:
        raise ExperimentError(f"{sweep_id}, trial {best.name}: {error}") from error
    return PlannedFinalist(best.trial_id, name, why, any(row.is_reference for row in seeds), config)


def _planned(finalist: PlannedFinalist, number: int, config: TrainConfig) -> PlannedTrial:
    return PlannedTrial(
        trial_id=config.digest(),
        name=f"{finalist.name} run {number + 1}",
        config=config,
        point={},
        is_reference=finalist.is_reference,
        tags={FINALIST: finalist.trial_id, RUN: str(number + 1), FOLD: str(config.data.fold)},
    )


def _varying(configs: Sequence[TrainConfig]) -> dict[str, tuple[Any, ...]]:
    """Return each setting in which the runs differ, with its values in order of appearance."""
    flat = [config.flat() for config in configs]
    values = {key: tuple(dict.fromkeys(settings[key] for settings in flat)) for key in setting_names()}
    return {key: distinct for key, distinct in values.items() if len(distinct) > 1}

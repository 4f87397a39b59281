"""A recorded screening sweep -> its confirmation: finalists trained anew, run j on fold j with a seed of its own.

Every finalist gets the same (fold, seed) pairs, so that runs compare in pairs; data, initial weights and order of
batches all vary at once. Source: Bouthillier et al. 2021, Accounting for Variance in Machine Learning Benchmarks.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bddseg.config import TrainConfig, setting_names
from bddseg.errors import ConfigError
from sweeps.errors import ExperimentError, NothingFinishedError
from sweeps.experiment import Experiment, Schedule
from sweeps.plan import Plan, PlannedTrial
from sweeps.ranking import rank
from sweeps.records import SweepRecord, TrialRow

CONFIRMS, FINALIST, RUN, FOLD = "sweep.confirms", "sweep.finalist", "sweep.run", "sweep.fold"
"""Tags: of the confirmation the screening sweep; of each of its trials the screened trial, the run and its fold."""


@dataclass(frozen=True)
class Finalist:
    """A setting that is confirmed."""

    trial_id: str
    """In the screening sweep."""
    name: str
    why: str
    """The place it had, or reference, or best of its model."""
    is_reference: bool
    config: TrainConfig
    epochs: int
    """At which the screening found its best: what every run trains, to its end."""

    def run(self, number: int, runs: int, seed: int) -> TrainConfig:
        """Return the settings of one run, from 0: fold `number` of `runs` validates, the last epoch counts."""
        return self.config.with_overrides(
            {
                "data.folds": runs,
                "data.fold": number,
                "train.seed": seed + 1 + number,  # never the screening's own
                "train.epochs": self.epochs,
                "train.patience": 0,
                "train.keep": "last",
            }
        )


@dataclass(frozen=True)
class Confirmation:
    """What a confirmation sweep sets out to do, all of it from what was recorded of the screening."""

    screening: str
    experiment: Experiment
    plan: Plan
    finalists: tuple[Finalist, ...]
    runs: int
    data: Mapping[str, Any]
    """The screening's data: root, embedded, fingerprint."""
    terms: Mapping[str, Any]
    """How the screening ran."""
    notes: tuple[str, ...]
    """What the user should know of the choice."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the manifest."""
        return {
            "screening": self.screening,
            "runs": self.runs,
            "folds": self.runs,
            "seeds": [trial.config.train.seed for trial in self.plan.trials[:: len(self.finalists)]],
            "finalists": [
                {"trial_id": it.trial_id, "name": it.name, "why": it.why, "epochs": it.epochs} for it in self.finalists
            ],
        }

    def check_data(self, fingerprint: str, root: Path) -> None:
        """Refuse other frames than those that were screened, wherever they lie now.

        Raises:
            ExperimentError: with both fingerprints.
        """
        known = self.data["fingerprint"]
        if fingerprint != known:
            raise ExperimentError(
                f"{self.screening} was screened on frames {known} of {self.data['root']}, but those of {root} are "
                f"{fingerprint} now: give the folder as it was with --data, or screen again"
            )


@dataclass(frozen=True)
class Standing:
    """A finalist after its runs."""

    finalist: Finalist
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

    def ahead_of(self, other: "Standing") -> float:
        """Return the mean difference over the runs that both have; NaN without one."""
        both = [mine - theirs for mine, theirs in zip(self.scores, other.scores, strict=True)]
        return statistics.fmean(found) if (found := [value for value in both if not math.isnan(value)]) else math.nan


def plan_confirmation(record: SweepRecord, *, top: int = 4, runs: int = 5) -> Confirmation:
    """Return the confirmation of a recorded sweep: `runs` runs of each finalist, run j of all before run j+1 of any.

    Raises:
        ExperimentError: when the sweep is a confirmation itself, or its record is incomplete.
        NothingFinishedError: when no trial finished: one that was stopped early never showed what it can do.
    """
    if screening := record.tags.get(CONFIRMS):
        raise ExperimentError(f"{record.sweep_id} is itself a confirmation, of {screening}: confirm that one again")
    data = record.manifest.get("data")
    if not isinstance(data, dict) or not {"root", "embedded", "fingerprint"} <= data.keys():
        raise ExperimentError(f"{record.sweep_id} has no sweep.json in the store, so its data is not known")
    terms = record.manifest.get("terms")
    terms = terms if isinstance(terms, dict) else {}
    finalists, notes = choose_finalists(record, top, runs)
    seed = record.manifest.get("seed", 0)
    if type(seed) is not int:
        raise ExperimentError(f"{record.sweep_id} has a damaged sweep.json in the store: its seed is {seed!r}")
    rounds = [[(finalist, number) for finalist in finalists] for number in range(runs)]
    drawn = [(finalist, number, finalist.run(number, runs, seed)) for each in rounds for finalist, number in each]
    configs = [config for _, _, config in drawn]
    axes = _varying(configs)
    plan = Plan(
        trials=tuple(_planned(finalist, number, config, axes) for finalist, number, config in drawn),
        rungs=(),
        epochs=max(finalist.epochs for finalist in finalists),
        grid_points=len(drawn),
    )
    experiment = Experiment(
        name=str(record.manifest.get("space", "")),
        question=str(record.manifest.get("question", "")),
        profile=str(record.manifest.get("profile", "")),
        base=configs[0].with_overrides({"train.epochs": plan.epochs}),
        axes=tuple(axes.items()),
        reference={},
        schedule=Schedule("none", 0.1, 3),
    )
    return Confirmation(record.sweep_id, experiment, plan, finalists, runs, data, terms, notes)


def choose_finalists(record: SweepRecord, top: int, runs: int) -> tuple[tuple[Finalist, ...], tuple[str, ...]]:
    """Return the best `top` finished trials, the best of each model and the reference; and what is odd about them.

    Trials that differ only in their seed are one finalist, the better of them: a confirmation has seeds of its own.

    Raises:
        NothingFinishedError: when no trial finished.
    """
    ranked = rank([row for row in record.trials if row.status == "FINISHED"])
    if not ranked:
        raise NothingFinishedError(f"{record.sweep_id} has no finished trial, so there is nothing to confirm")
    chosen = {row.trial_id: f"place {place}" for place, row in enumerate(ranked[:top], 1)}
    for model, row in {row.settings["model.name"]: row for row in reversed(ranked)}.items():
        chosen.setdefault(row.trial_id, f"best {model}")
    notes = []
    if (reference := next((row for row in record.trials if row.is_reference), None)) is None:
        notes.append("the reference was not among the trials of the screening")
    elif reference not in ranked:
        notes.append(f"the reference ({reference.name}) did not finish, so it is no finalist")
    else:
        chosen.setdefault(reference.trial_id, "reference")
    if record.status != "FINISHED":
        notes.append(f"{record.sweep_id} is {record.status.lower()}, not finished: its finalists might change")
    found: dict[str, Finalist] = {}
    for row in ranked:
        if row.trial_id in chosen:
            finalist = _finalist(row, chosen[row.trial_id], record.sweep_id)
            found.setdefault(finalist.run(0, runs, 0).digest(), finalist)
    return tuple(found.values()), tuple(notes)


def standings(confirmation: Confirmation, scores: Mapping[str, float]) -> list[Standing]:
    """Return the finalists, the best mean first; `scores` is val/miou by trial, of runs that finished."""
    of_finalist: dict[str, list[float]] = {finalist.trial_id: [] for finalist in confirmation.finalists}
    for trial in confirmation.plan.trials:  # in the order of runs
        of_finalist[trial.tags[FINALIST]].append(scores.get(trial.trial_id, math.nan))
    found = [Standing(finalist, tuple(of_finalist[finalist.trial_id])) for finalist in confirmation.finalists]
    return sorted(found, key=lambda it: (not it.done, -it.mean if it.done else 0.0))


def _finalist(row: TrialRow, why: str, sweep_id: str) -> Finalist:
    try:
        config = TrainConfig().with_overrides(row.settings)
    except ConfigError as error:
        raise ExperimentError(f"{sweep_id}, trial {row.name}: {error}") from error
    epochs = int(row.metrics.get("best/epoch", 0))
    if epochs < 1:
        raise ExperimentError(f"{sweep_id}, trial {row.name} has no best/epoch, so its number of epochs is not known")
    return Finalist(row.trial_id, row.name, why, row.is_reference, config, epochs)


def _planned(finalist: Finalist, number: int, config: TrainConfig, axes: Mapping[str, Any]) -> PlannedTrial:
    settings = config.flat()
    return PlannedTrial(
        trial_id=config.digest(),
        name=f"{finalist.name} run {number + 1}",
        config=config,
        point={key: settings[key] for key in axes},
        is_reference=finalist.is_reference,
        tags={FINALIST: finalist.trial_id, RUN: str(number + 1), FOLD: str(number)},
    )


def _varying(configs: Sequence[TrainConfig]) -> dict[str, tuple[Any, ...]]:
    """Return each setting in which the runs differ, with its values in order of appearance."""
    flat = [config.flat() for config in configs]
    values = {key: tuple(dict.fromkeys(settings[key] for settings in flat)) for key in setting_names()}
    return {key: found for key, found in values.items() if len(found) > 1}

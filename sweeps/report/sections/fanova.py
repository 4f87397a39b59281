"""Convert a report to an Optuna study, so that its importance and plots work for any sweep."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bddseg.config import TrainConfig
from bddseg.errors import ConfigError
from sweeps.report.entries import Entry
from sweeps.report.gather import Report
from sweeps.report.sections.pivot import list_axes
from sweeps.report.theme import are_logarithmic, are_numbers, short_keys
from sweeps.storage.outcomes import OWN_ENDS, TrialState

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

FEW_TREES, MANY_TREES, MANY = 32, 64, 300
"""Trees of fANOVA's forest: the default number, and half of it for more than MANY trials, which take longer."""


@dataclass(frozen=True)
class FinishedPoint:
    """The completed trials, and which setting has an effect in which of them."""

    entries: tuple[Entry, ...]
    """The best first."""
    names: Mapping[str, str]
    """Setting that varies -> its short name."""
    inert: Mapping[str, frozenset[str]]
    """Setting -> trials in which it has no effect, such as dropout in a network without it."""

    @property
    def everywhere(self) -> tuple[str, ...]:
        """Return the settings that have an effect in every trial."""
        return tuple(key for key in self.names if not self.inert[key])

    @cached_property
    def study(self) -> "Study":
        """The trials as an Optuna study, created on first use."""
        return build_study(self)

    def thinned(self, most: int) -> "FinishedPoint":
        """Return at most so many trials, evenly from the best to the worst."""
        count = len(self.entries)
        if count <= most:
            return self
        indices = sorted({index * (count - 1) // (most - 1) for index in range(most)})
        return FinishedPoint(tuple(self.entries[index] for index in indices), self.names, self.inert)


def build_sample(report: Report) -> FinishedPoint:
    """Return the completed trials that have a figure, with the axes on which they differ.

    One that was stopped after an epoch is worse for having been stopped, whatever its settings are.
    """
    completed = [entry for entry in report.trials if entry.is_scored and _is_completed(entry)]
    entries = tuple(sorted(completed, key=lambda entry: -(entry.scores.miou or 0.0)))
    axes = [key for key in list_axes(report) if len({repr(entry.settings.get(key)) for entry in entries}) > 1]
    inert = {key: _find_inert(entries, key) for key in axes}
    keys = [
        key for key in axes if len({repr(e.settings.get(key)) for e in entries if e.trial_id not in inert[key]}) > 1
    ]
    return FinishedPoint(entries, short_keys(keys), {key: inert[key] for key in keys})


def build_study(sample: FinishedPoint) -> "Study":
    """Return an Optuna study that holds the trials; a setting without effect in a trial is not among its parameters."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    spans = {key: _span([entry.settings.get(key) for entry in sample.entries]) for key in sample.names}
    for entry in sample.entries:
        own = [key for key in sample.names if entry.trial_id not in sample.inert[key]]
        params = {sample.names[key]: _plain(entry.settings.get(key)) for key in own}
        distributions = {sample.names[key]: spans[key] for key in own}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=entry.scores.miou))
    return study


def measure_importance(sample: FinishedPoint) -> dict[str, float]:
    """Return the share of the variance in mIoU that each setting explains by itself, by short name, largest first.

    What they lack together to 1 is how settings act together.

    Settings that have no effect in some trials are left out: fANOVA needs a value of each in all of them.

    Source: Hutter et al. 2014, An Efficient Approach for Assessing Hyperparameter Importance.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    trees = MANY_TREES if len(sample.entries) <= MANY else FEW_TREES
    with quiet():
        evaluator = FanovaImportanceEvaluator(n_trees=trees, seed=0)
        names = [sample.names[key] for key in sample.everywhere]
        shares = get_param_importances(sample.study, evaluator=evaluator, params=names, normalize=False)
    return {name: float(share) for name, share in shares.items()}


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from warning that its plots may change."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def _is_completed(entry: Entry) -> bool:
    return entry.stop_reason in OWN_ENDS or (not entry.stop_reason and entry.state == TrialState.FINISHED)


def _find_inert(entries: Sequence[Entry], key: str) -> frozenset[str]:
    """Return the trials in which the setting has no effect: any of its values gives the same configuration."""
    values = list(dict.fromkeys(entry.settings.get(key) for entry in entries))
    decided: dict[tuple[Any, ...], bool] = {}  # what has an effect depends on settings that are names
    for entry in entries:
        kind = _kind(entry)
        if kind not in decided:
            decided[kind] = is_inert(entry, key, values)
    return frozenset(entry.trial_id for entry in entries if decided[_kind(entry)])


def _kind(entry: Entry) -> tuple[Any, ...]:
    return tuple(value for value in entry.settings.values() if isinstance(value, str))


def is_inert(entry: Entry, key: str, values: Sequence[Any]) -> bool:
    """Return whether the trial would be the same with each of the values."""
    try:
        configs = [TrainConfig.from_record({**entry.settings, key: value}).folded() for value in values]
    except ConfigError:
        return False  # recorded by another version, or a value that this network cannot have
    return all(config == configs[0] for config in configs)


def _span(values: Sequence[Any]) -> "BaseDistribution":
    """Return the distribution of a setting: a range for numbers, categories for names."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if not are_numbers(values):
        return CategoricalDistribution(sorted({_plain(value) for value in values}))
    return FloatDistribution(min(values), max(values), log=are_logarithmic(values))


def _plain(value: Any) -> Any:
    return float(value) if are_numbers([value]) else str(value)

"""Asynchronous halving in several brackets."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import TrialScheduler

from sweeps.schedulers.rungs import Rungs
from sweeps.schedulers.scheduler import Halving

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController


class Hyperband(Halving):
    """Asynchronous halving in several brackets, from the most eager to stop to one that runs all its trials.

    A trial's bracket follows from its place in the plan, so it is the same after a restart; only trials of one bracket
    are compared. Against a first rung that says little of the end, at the price of more epochs.
    """

    name = "hyperband"

    def __init__(
        self,
        rungs: Collection[int],
        reduction: int,
        models: Mapping[str, str],
        reference: str,
        *,
        path: Path | None = None,
    ) -> None:
        super().__init__(rungs, reduction, models, reference, path=path)
        found, turns = brackets(rungs, reduction, models)
        self.bracket = dict(zip(models, turns, strict=True))
        self.brackets = [Rungs(reduction, {rung: {} for rung in one}) for one in found]

    def add_trial(self, trial_id: str, model: str) -> None:
        """Take in a trial, and deal it to its bracket."""
        super().add_trial(trial_id, model)
        _, turns = brackets(self.rungs.values, self.rungs.reduction, self._models)
        self.bracket[trial_id] = turns[-1]

    def _judge(self, controller: "TuneController", trial_id: str, epoch: int, value: float, ends: bool) -> str:
        rungs = self.brackets[self.bracket[trial_id]]
        if trial_id in rungs.values.get(epoch, {trial_id: 0}):
            return TrialScheduler.CONTINUE
        self.rungs.values[epoch][trial_id] = value
        stop = rungs.judge(epoch, trial_id, value, self.name)
        leads = stop is not None and rungs.leads(epoch, trial_id, self._family(trial_id))
        return self._decide(trial_id, stop, leads, ends)

    def restore_value(self, trial_id: str, epoch: int, value: float, best: float) -> None:
        """Put the trial's best value where it is missing at a rung of its bracket."""
        rungs = self.brackets[self.bracket[trial_id]]
        if epoch in rungs.values:
            super().restore_value(trial_id, epoch, value, best)
            rungs.values[epoch].setdefault(trial_id, self.rungs.values[epoch][trial_id])

    def _load_more(self, state: Mapping[str, Any]) -> None:
        super()._load_more(state)
        for rungs in self.brackets:
            rungs.values = {rung: {} for rung in rungs.values}
        for rung, values in self.rungs.values.items():
            for trial_id, value in values.items():
                self.brackets[self.bracket[trial_id]].values[rung][trial_id] = value


def brackets(
    rungs: Collection[int], reduction: int, trials: Collection[str]
) -> tuple[list[tuple[int, ...]], list[int]]:
    """Return Hyperband's brackets as the rungs of each, and the bracket of each trial in turn.

    The first bracket has all rungs, each further one begins a rung later, the last has none. Of S brackets the one
    with s rungs gets a share of reduction^s / (s + 1) of the trials, dealt out so that every prefix of them has it.

    Source: Li et al. 2018, Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization, algorithm 1.
    """
    ordered = tuple(sorted(rungs))
    found = [ordered[first:] for first in range(len(ordered) + 1)]
    weights = [reduction ** len(one) / (len(one) + 1) for one in found]
    dealt, turns = [0] * len(found), []
    for number in range(1, len(trials) + 1):
        owed = [weight * number / sum(weights) - had for weight, had in zip(weights, dealt, strict=True)]
        turn = owed.index(max(owed))
        dealt[turn] += 1
        turns.append(turn)
    return found, turns

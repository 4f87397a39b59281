"""Early stopping by asynchronous Hyperband: successive halving in several brackets."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import TrialScheduler

from sweeps.schedulers.rungs import Rungs
from sweeps.schedulers.scheduler import Halving, HalvingSetup

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController


class Hyperband(Halving):
    """Run asynchronous halving in several brackets, from the one that stops earliest to one that stops no trial.

    A trial's bracket depends on its position in the plan, so it is the same after a restart. Only trials of the same
    bracket are compared. Brackets help where the first rung predicts the final ranking poorly; they cost more epochs.
    """

    name = "hyperband"

    def __init__(self, setup: HalvingSetup) -> None:
        super().__init__(setup)
        bracket_rungs, turns = brackets(setup.rungs, setup.reduction, setup.models)
        self.bracket = dict(zip(setup.models, turns, strict=True))
        self.brackets = [Rungs(setup.reduction, {rung: {} for rung in rungs}) for rungs in bracket_rungs]

    def add_trial(self, trial_id: str, model: str) -> None:
        """Add a trial and assign it to its bracket."""
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
        """Fill in the trial's best value where it is missing at a rung of its bracket."""
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
    """Return the rungs of each Hyperband bracket, and the bracket of each trial in order.

    The first bracket has all rungs, each further bracket starts one rung later, the last has none. A bracket with s
    rungs gets a share proportional to reduction^s / (s + 1) of the trials, assigned so that every prefix of the trials
    keeps these shares as closely as possible.

    Source: Li et al. 2018, Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization, algorithm 1.
    """
    ordered = tuple(sorted(rungs))
    bracket_rungs = [ordered[first:] for first in range(len(ordered) + 1)]
    weights = [reduction ** len(rungs_left) / (len(rungs_left) + 1) for rungs_left in bracket_rungs]
    sizes, turns = [0] * len(bracket_rungs), []
    for number in range(1, len(trials) + 1):
        shortfalls = [weight * number / sum(weights) - size for weight, size in zip(weights, sizes, strict=True)]
        turn = shortfalls.index(max(shortfalls))
        sizes[turn] += 1
        turns.append(turn)
    return bracket_rungs, turns

"""Asynchronous halving with promotion: a trial pauses at its rung, and only the best are continued."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from sweeps.schedulers.rungs import Stop
from sweeps.schedulers.scheduler import Halving

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController

ACTIVE = {Trial.RUNNING, Trial.PENDING}


class AshaPromote(Halving):
    """Pause every trial at its rung; give a free slot to one that waits, or to a new trial.

    Breadth first, a free slot is given, in this order, to a trial that was cut off between rungs; to a trial that was
    never started, in the order of the plan; to one among the best 1/reduction of its rung, the lowest rung first, the
    best there first; to one that leads its own model at its rung. When there is none of these and nothing runs, those
    that still wait are stopped, with the reason. The reference never waits. Who would get the free slot at once goes
    on without a pause.

    Depth first, as it was published for a supply of trials without end, promotions come before new trials, and the
    highest rung first. Early promotions are then made among few: on a grid, whose trials are all known, that costs
    about a fifth more epochs, and finds a good trial sooner.

    A trial that waits has a checkpoint at its rung, gives its slot back and costs nothing. Every start is decided here:
    trials are held back from Ray's own queue, so `TuneConfig.max_concurrent_trials` must not be set.

    Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, algorithm 2 (get_job). What is done
    at the end, and the protection, are ours.
    """

    name = "asha_promote"

    def __init__(
        self,
        rungs: Collection[int],
        reduction: int,
        models: Mapping[str, str],
        reference: str,
        *,
        path: Path | None = None,
        slots: int = 0,
        ahead: int = 0,
        breadth_first: bool = True,
    ) -> None:
        """Take what all halving takes, and how many trials run side by side.

        `breadth_first` is the order in which slots are given out. Without `slots` one trial is chosen ahead and waits
        for Ray's resources. `ahead` chooses so many more than there are slots, a little too early to know all results:
        Ray keeps a process for reuse only when a trial waits for it.
        """
        super().__init__(rungs, reduction, models, reference, path=path)
        self.slots, self.ahead, self.breadth_first = slots, ahead, breadth_first
        self.started: dict[str, None] = {}
        """Trials that were ever given a slot, in that order."""
        self._held: set[str] = set()
        """Trials that this process has held back once; Ray queues them again by itself when they fail."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": set()}

    def on_trial_add(self, tune_controller: "TuneController", trial: Trial) -> None:
        """Hold a trial back from Ray's queue; one that is tried again after a failure is in that queue already."""
        trial_id = trial.config["trial"]
        if trial_id not in self._held and trial.status == Trial.PENDING:
            self._held.add(trial_id)
            trial.set_status(Trial.PAUSED)

    def choose_trial_to_run(self, tune_controller: "TuneController") -> Trial | None:
        """Return the trial that a free slot is given to; end what waits in vain when there is none."""
        trials = tune_controller.get_trials()
        active = sum(trial.status in ACTIVE for trial in trials)
        pending = sum(trial.status == Trial.PENDING for trial in trials)
        if (active >= self.slots + self.ahead) if self.slots else pending:
            return None
        chosen = self._next(trials)
        if chosen is not None:
            self._give_slot(chosen.config["trial"])
            self._save()
        elif not active:
            self._stop_waiting(tune_controller, trials)
        return chosen

    def on_trial_complete(self, tune_controller: "TuneController", trial: Trial, result: dict[str, Any]) -> None:
        """Forget that a trial waits: one whose pause failed was tried again by Ray, and has come to its end."""
        self.paused.pop(trial.config["trial"], None)

    def _judge(self, controller: "TuneController", trial_id: str, epoch: int, value: float, ends: bool) -> str:
        values = self.rungs.values.get(epoch)
        if values is None or (trial_id in values and self.paused.get(trial_id) != epoch):
            return TrialScheduler.CONTINUE
        values.setdefault(trial_id, value)
        self.paused[trial_id] = epoch
        if ends:
            del self.paused[trial_id]
        elif trial_id == self._reference or self._is_next(controller, trial_id):
            self._give_slot(trial_id)
        self._save()
        return TrialScheduler.PAUSE if trial_id in self.paused else TrialScheduler.CONTINUE

    def _is_next(self, controller: "TuneController", trial_id: str) -> bool:
        following = self._next(controller.get_trials(), arriving=trial_id)
        return following is not None and following.config["trial"] == trial_id

    def _next(self, trials: Iterable[Trial], arriving: str = "") -> Trial | None:
        """Return the trial that a free slot belongs to; `arriving` has just reached its rung and still holds one."""
        ready = {
            trial.config["trial"]: trial
            for trial in trials
            if trial.config["trial"] not in self.stops
            and (trial.status == Trial.PAUSED or trial.config["trial"] == arriving)
        }
        return next((ready[trial_id] for trial_id in self._queue(ready) if trial_id in ready), None)

    def _queue(self, ready: Mapping[str, Trial]) -> Iterator[str]:
        yield from (trial_id for trial_id in self.started if trial_id in ready and trial_id not in self.paused)
        new = (trial_id for trial_id in ready if trial_id not in self.started)
        yield from (*new, *self._promotable()) if self.breadth_first else (*self._promotable(), *new)
        yield from self._leaders()

    def _promotable(self) -> Iterator[str]:
        """Yield who waits among the best 1/reduction of its rung, rung by rung, the highest value first."""
        for rung in self.rungs.values if self.breadth_first else reversed(self.rungs.values):
            cutoff, waiting = self.rungs.cutoff(rung), self._waiting(rung)
            yield from sorted((trial for trial in waiting if waiting[trial] >= cutoff), key=lambda t: -waiting[t])

    def _leaders(self) -> Iterator[str]:
        for rung in reversed(self.rungs.values):
            best: dict[str, float] = {}
            for one, value in self.rungs.values[rung].items():
                best[self._models[one]] = max(value, best.get(self._models[one], value))
            waiting = self._waiting(rung)
            yield from (one for one in waiting if waiting[one] >= best[self._models[one]])

    def _waiting(self, rung: int) -> dict[str, float]:
        return {one: self.rungs.values[rung][one] for one, at in self.paused.items() if at == rung}

    def _give_slot(self, trial_id: str) -> None:
        rung = self.paused.pop(trial_id, None)
        if rung is not None and self.rungs.values[rung][trial_id] < self._cutoff(rung):
            self.protected.setdefault(trial_id, []).append(rung)
        self.started[trial_id] = None

    def _stop_waiting(self, controller: "TuneController", trials: Iterable[Trial]) -> None:
        """Stop every trial that waits: nobody will come who could change its place."""
        for trial_id, rung in self.paused.items():
            values = self.rungs.values[rung]
            cutoff = self._cutoff(rung)
            passed = sum(value >= cutoff for value in values.values())
            self.stops[trial_id] = Stop(rung, values[trial_id], cutoff, passed, self.name)
        self.paused.clear()
        self._save()
        for trial in list(trials):
            if trial.status == Trial.PAUSED:
                controller.stop_trial(trial)

    def _cutoff(self, rung: int) -> float:
        """Return what a trial had to reach; at a rung too small to promote anyone, the best value there."""
        return min(self.rungs.cutoff(rung), max(self.rungs.values[rung].values()))

    def _more(self) -> dict[str, Any]:
        return {**super()._more(), "paused": dict(self.paused), "started": list(self.started)}

    def _load_more(self, state: Mapping[str, Any]) -> None:
        super()._load_more(state)
        self.paused = {trial: int(rung) for trial, rung in state["paused"].items()}
        self.started = dict.fromkeys(state["started"])

"""Early stopping by ASHA with promotion: every trial is paused at its rung, and only the best are promoted."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from sweeps.schedulers.rungs import Stop
from sweeps.schedulers.scheduler import Halving, HalvingSetup

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController

ACTIVE = {Trial.RUNNING, Trial.PENDING}


class AshaPromote(Halving):
    """Pause every trial at its rung; assign a free slot to a paused trial or to a new one.

    Breadth first, a free slot is assigned, in this order, to a trial that was interrupted between rungs; to a trial
    that was never started, in the order of the plan; to a trial among the best 1/reduction of its rung, lowest rung
    first and best value first; to the leader of a model at its rung. When there is none of these and no trial is
    running, the paused trials are stopped with a recorded reason: trials that are never promoted are stopped at the
    end. The reference is never paused, nor is a trial that would get the free slot at once.

    Depth first, as published for an unlimited number of trials, promotions come before new trials, highest rung first.
    Early promotions then compare few trials: on a grid, whose trials are all known, this costs about a fifth more
    epochs but finds a good trial sooner.

    A paused trial has a checkpoint at its rung, releases its slot and costs nothing. This class decides every start:
    it removes trials from Ray's own queue, so `TuneConfig.max_concurrent_trials` must not be set.

    Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, algorithm 2 (get_job). The end of the
    sweep and the protection are additions of this project.
    """

    name = "asha_promote"

    def __init__(self, setup: HalvingSetup, *, slots: int = 0, breadth_first: bool = True) -> None:
        """Create the scheduler without any results.

        Args:
            setup: rungs, reduction, models, reference and state file.
            slots: trials that run in parallel; with 0, one trial is chosen in advance and waits for Ray's resources.
            breadth_first: whether new trials come before promotions.
        """
        super().__init__(setup)
        self.slots, self.breadth_first = slots, breadth_first
        self.started: dict[str, None] = {}
        """Trials that ever had a slot, in the order of their first."""
        self._held: set[str] = set()
        """Trials that this process removed from Ray's queue once; Ray itself queues them again when they fail."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": set()}

    def on_trial_add(self, tune_controller: "TuneController", trial: Trial) -> None:
        """Remove a new trial from Ray's queue; a retry after a failure stays in it."""
        trial_id = trial.config["trial"]
        if trial_id not in self._held and trial.status == Trial.PENDING:
            self._held.add(trial_id)
            trial.set_status(Trial.PAUSED)

    def choose_trial_to_run(self, tune_controller: "TuneController") -> Trial | None:
        """Return the trial that gets the free slot; when there is none, stop the trials that are still paused."""
        trials = tune_controller.get_trials()
        active = sum(trial.status in ACTIVE for trial in trials)
        pending = sum(trial.status == Trial.PENDING for trial in trials)
        if (active >= self.slots) if self.slots else pending:
            return None
        chosen = self._next(trials)
        if chosen is not None:
            self._give_slot(chosen.config["trial"])
            self._save()
        elif not active:
            self._stop_paused(tune_controller, trials)
        return chosen

    def on_trial_complete(self, tune_controller: "TuneController", trial: Trial, result: dict[str, Any]) -> None:
        """Mark the trial as no longer paused: after a failed pause Ray retries a trial, which then runs to its end."""
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
        """Return the next trial for a slot; `arriving` has just reached its rung and still holds one."""
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
        """Yield the paused trials among the best 1/reduction of their rung, rung by rung, highest value first."""
        for rung in self.rungs.values if self.breadth_first else reversed(self.rungs.values):
            cutoff, paused = self.rungs.cutoff(rung), self._paused_at(rung)
            yield from sorted((trial for trial in paused if paused[trial] >= cutoff), key=lambda t: -paused[t])

    def _leaders(self) -> Iterator[str]:
        """Yield the paused trials that lead their model at their rung, highest rung first."""
        for rung in reversed(self.rungs.values):
            best: dict[str, float] = {}
            for trial_id, value in self.rungs.values[rung].items():
                model = self._models[trial_id]
                best[model] = max(value, best.get(model, value))
            paused = self._paused_at(rung)
            yield from (trial_id for trial_id in paused if paused[trial_id] >= best[self._models[trial_id]])

    def _paused_at(self, rung: int) -> dict[str, float]:
        values = self.rungs.values[rung]
        return {trial_id: values[trial_id] for trial_id, paused_at in self.paused.items() if paused_at == rung}

    def _give_slot(self, trial_id: str) -> None:
        rung = self.paused.pop(trial_id, None)
        if rung is not None and self.rungs.values[rung][trial_id] < self._cutoff(rung):
            self.protected.setdefault(trial_id, []).append(rung)
        self.started[trial_id] = None

    def _stop_paused(self, controller: "TuneController", trials: Iterable[Trial]) -> None:
        """Stop every paused trial: no further result can change its rank."""
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
        """Return the value that a trial needed; at a rung with too few trials for a promotion, the best value there."""
        return min(self.rungs.cutoff(rung), max(self.rungs.values[rung].values()))

    def _more(self) -> dict[str, Any]:
        return {**super()._more(), "paused": dict(self.paused), "started": list(self.started)}

    def _load_more(self, state: Mapping[str, Any]) -> None:
        super()._load_more(state)
        self.paused = {trial: int(rung) for trial, rung in state["paused"].items()}
        self.started = dict.fromkeys(state["started"])

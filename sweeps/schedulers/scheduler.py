"""Early stopping on Ray: state that survives, reasons recorded, the reference and each model's leader protected.

All schedulers know a trial by `trial.config["trial"]` and see a report the same way:
- An epoch that is no rung changes nothing, so one that comes late, after its rung was missed, is not judged there.
- An epoch that was judged before is not judged again: a trial that went on from a checkpoint repeats some.
- A value that is missing or not finite is never compared: it stops nobody, and nobody is stopped for it. A trial whose
  loss is not finite says so itself and ends as diverged.
- A report with a `stop_reason` ends its trial by itself; its value still counts for the others.
- A value equal to the cut-off passes.
- What is compared is the best value up to the rung, where the report has it (`best/miou`): trials are ranked by their
  best epoch in the end, and a single bad epoch at a rung says little of that.
"""

import logging
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from bddseg.result import OBJECTIVE
from sweeps.errors import StorageError
from sweeps.schedulers.rungs import BEST, Rungs, Stop
from sweeps.schedulers.state_file import load_memory, save_memory

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController

log = logging.getLogger(__name__)

FORMAT = 1


class Scheduler(FIFOScheduler):
    """What all have in common; by itself it stops nothing.

    `state()` is everything it remembers, in plain values; with a `path` it is written there on every decision, and
    `recall()` reads it back. Ray's own snapshots hold the scheduler as it was when the sweep began, without memory.
    """

    name: ClassVar[str] = "none"
    compares_best: ClassVar[bool] = True

    def __init__(
        self, models: Mapping[str, str] | None = None, reference: str = "", *, path: Path | None = None
    ) -> None:
        """Take each trial's model by trial id, and the trial that is never stopped."""
        super().__init__()
        self.stops: dict[str, Stop] = {}
        self.protected: dict[str, list[int]] = {}
        """Trial -> rungs at which it would have been stopped, but was protected."""
        self.paused: dict[str, int] = {}
        """Trial -> rung at which it waits; only promotion lets trials wait."""
        self._models = dict(models or {})
        self._reference = reference
        self._path = path

    def on_trial_result(self, tune_controller: "TuneController", trial: Trial, result: dict[str, Any]) -> str:
        """Return Ray's word for going on, pausing or stopping."""
        epoch, value, trial_id = result.get("epoch"), result.get(OBJECTIVE), trial.config["trial"]
        if trial_id in self.stops:
            return TrialScheduler.STOP
        if not isinstance(epoch, int) or not _is_finite(value):
            return TrialScheduler.CONTINUE
        if self.compares_best and _is_finite(result.get(BEST)):
            value = result[BEST]
        return self._judge(tune_controller, trial_id, epoch, float(value), bool(result.get("stop_reason")))

    def state(self) -> dict[str, Any]:
        """Return everything that is remembered, as JSON holds it."""
        return {
            "version": FORMAT,
            "scheduler": self.name,
            "stops": {trial: asdict(stop) for trial, stop in self.stops.items()},
            "protected": {trial: list(rungs) for trial, rungs in self.protected.items()},
            **self._more(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned, in this process or another.

        Raises:
            StorageError: when it is of another version, scheduler or schedule, or damaged.
        """
        known = {"version": FORMAT, "scheduler": self.name}
        found = {key: state.get(key) for key in known}
        if found != known:
            raise StorageError(f"the scheduler's state is of {found}, but must be of {known}")
        try:
            stops = {trial: Stop(**stop) for trial, stop in state["stops"].items()}
            protected = {trial: list(rungs) for trial, rungs in state["protected"].items()}
            self._load_more(state)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StorageError(f"the scheduler's state does not fit: {error}") from error
        self.stops, self.protected = stops, protected

    def recall(self) -> bool:
        """Take over what was last written to the path; return whether there was something.

        Raises:
            StorageError: as `load_state` and `load_memory` do.
        """
        state = load_memory(self._path) if self._path else None
        if state is not None:
            self.load_state(state)
        return state is not None

    def add_trial(self, trial_id: str, model: str) -> None:
        """Take in a trial that was not known when the sweep began."""
        self._models[trial_id] = model

    def restore_value(self, trial_id: str, epoch: int, value: float, best: float) -> None:
        """Take in what a trial had at an epoch before this process, unless it is known; decides nothing.

        `best` is its best value up to that epoch.
        """

    def debug_string(self) -> str:
        """Return one line about what was decided so far."""
        return f"{self.name}: {len(self.stops)} stopped"

    def _judge(self, controller: "TuneController", trial_id: str, epoch: int, value: float, ends: bool) -> str:
        return TrialScheduler.CONTINUE

    def _more(self) -> dict[str, Any]:
        return {}

    def _load_more(self, state: Mapping[str, Any]) -> None:
        pass

    def _decide(self, trial_id: str, stop: Stop | None, leads: bool, ends: bool) -> str:
        """Record a stop unless the trial is protected or ends anyway; write down that there was a decision."""
        decision = TrialScheduler.CONTINUE
        if stop is not None and not ends:
            if trial_id == self._reference or leads:
                self.protected.setdefault(trial_id, []).append(stop.rung)
            else:
                self.stops[trial_id] = stop
                decision = TrialScheduler.STOP
        self._save()
        return decision

    def _family(self, trial_id: str) -> set[str]:
        model = self._models[trial_id]
        return {other for other, name in self._models.items() if name == model}

    def _save(self) -> None:
        """Write the state; what cannot be written is lost only if the driver is lost before the next decision."""
        if self._path is None:
            return
        try:
            save_memory(self._path, self.state())
        except OSError as error:
            log.warning("%s could not be written: %s; the sweep goes on", self._path, error)


class RunAll(Scheduler):
    """Stop nothing."""


class Halving(Scheduler):
    """What is common to those that compare trials at rungs."""

    def __init__(
        self,
        rungs: Collection[int],
        reduction: int,
        models: Mapping[str, str],
        reference: str,
        *,
        path: Path | None = None,
    ) -> None:
        """Take the rungs (epochs), the share 1/reduction that goes on at each, models and reference."""
        super().__init__(models, reference, path=path)
        self.rungs = Rungs(reduction, {rung: {} for rung in sorted(rungs)})

    def restore_value(self, trial_id: str, epoch: int, value: float, best: float) -> None:
        """Put the trial's best value where it is missing at a rung."""
        if epoch in self.rungs.values:
            self.rungs.values[epoch].setdefault(trial_id, best)

    def debug_string(self) -> str:
        """Return one line about the rungs."""
        reached = ", ".join(f"epoch {rung}: {len(values)}" for rung, values in self.rungs.values.items())
        return f"{self.name}: {len(self.stops)} stopped; trials at rungs: {reached or 'none'}"

    def _more(self) -> dict[str, Any]:
        return {"rungs": self.rungs.to_dict()}

    def _load_more(self, state: Mapping[str, Any]) -> None:
        self.rungs.load(state["rungs"])


class Asha(Halving):
    """Stop a trial that, when it arrives at a rung, lies below the best 1/reduction of those before it."""

    name = "asha"

    def _judge(self, controller: "TuneController", trial_id: str, epoch: int, value: float, ends: bool) -> str:
        if trial_id in self.rungs.values.get(epoch, {trial_id: 0}):
            return TrialScheduler.CONTINUE
        stop = self.rungs.judge(epoch, trial_id, value, self.name)
        leads = stop is not None and self.rungs.leads(epoch, trial_id, self._family(trial_id))
        return self._decide(trial_id, stop, leads, ends)


def _is_finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)

"""Early stopping on Ray: persistent state, recorded reasons, and protection of the reference and each model's leader.

All schedulers identify a trial by `trial.config["trial"]` and treat a report in the same way:
- An epoch that is not a rung changes nothing. A report that arrives after its rung was missed is not judged there.
- An epoch that was judged before is not judged again: a trial that resumes from a checkpoint repeats some epochs.
- A missing or non-finite value is never compared: it stops no trial, and no trial is stopped because of it. A trial
  whose loss is not finite ends itself as diverged.
- A report with a `stop_reason` means that its trial ends itself; its value still counts for the other trials.
- A value equal to the cut-off passes.
- The best value up to the rung (`best/miou`) is compared where the report has it: the final ranking is by best epoch,
  which a single bad epoch at a rung does not predict.
"""

import logging
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
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


@dataclass(frozen=True)
class HalvingSetup:
    """The settings that every scheduler is built from."""

    rungs: Collection[int] = ()
    """Epochs at which trials are compared."""
    reduction: int = 3
    """At each rung about one in this many trials continues."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Trial id -> model, in the order of the plan."""
    reference: str = ""
    """Id of the trial that is never stopped."""
    path: Path | None = None
    """File that the state is written to on every decision; None keeps it in memory."""


NO_RUNGS = HalvingSetup()
"""Setup of a scheduler that compares no trials and keeps its state in memory."""


class Scheduler(FIFOScheduler):
    """The common base of all schedulers; by itself it stops no trial.

    `state()` returns all state as plain values; it is written to the setup's path on every decision, and `recall()`
    reads it back. Ray's own snapshots are no substitute: they hold the scheduler as it was when the sweep started.
    """

    name: ClassVar[str] = "none"
    compares_best: ClassVar[bool] = True

    def __init__(self, setup: HalvingSetup = NO_RUNGS) -> None:
        super().__init__()
        self.stops: dict[str, Stop] = {}
        self.protected: dict[str, list[int]] = {}
        """Trial -> rungs at which it would have been stopped if it were not protected."""
        self.paused: dict[str, int] = {}
        """Trial -> rung at which it is paused; only `asha_promote` pauses trials."""
        self._models = dict(setup.models)
        self._reference = setup.reference
        self._path = setup.path

    def on_trial_result(self, tune_controller: "TuneController", trial: Trial, result: dict[str, Any]) -> str:
        """Return Ray's constant for continue, pause or stop."""
        epoch, value, trial_id = result.get("epoch"), result.get(OBJECTIVE), trial.config["trial"]
        if trial_id in self.stops:
            return TrialScheduler.STOP
        if not isinstance(epoch, int) or not _is_finite(value):
            return TrialScheduler.CONTINUE
        if self.compares_best and _is_finite(result.get(BEST)):
            value = result[BEST]
        return self._judge(tune_controller, trial_id, epoch, float(value), bool(result.get("stop_reason")))

    def state(self) -> dict[str, Any]:
        """Return all state as JSON values."""
        return {
            "version": FORMAT,
            "scheduler": self.name,
            "stops": {trial: asdict(stop) for trial, stop in self.stops.items()},
            "protected": {trial: list(rungs) for trial, rungs in self.protected.items()},
            **self._more(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Replace the state by one that `state` returned, in this process or another.

        Raises:
            StorageError: when it belongs to another version, scheduler or schedule, or is damaged.
        """
        expected = {"version": FORMAT, "scheduler": self.name}
        recorded = {key: state.get(key) for key in expected}
        if recorded != expected:
            raise StorageError(f"the scheduler's state is of {recorded}, but must be of {expected}")
        try:
            stops = {trial: Stop(**stop) for trial, stop in state["stops"].items()}
            protected = {trial: list(rungs) for trial, rungs in state["protected"].items()}
            self._load_more(state)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StorageError(f"the scheduler's state does not fit: {error}") from error
        self.stops, self.protected = stops, protected

    def recall(self) -> bool:
        """Load the state that was last written to the path; return whether there was any.

        Raises:
            StorageError: as `load_state` and `load_memory` do.
        """
        state = load_memory(self._path) if self._path else None
        if state is not None:
            self.load_state(state)
        return state is not None

    def add_trial(self, trial_id: str, model: str) -> None:
        """Add a trial that was not in the plan when the sweep started."""
        self._models[trial_id] = model

    def restore_value(self, trial_id: str, epoch: int, value: float, best: float) -> None:
        """Fill in a value that a trial reported to an earlier process, unless the state has it; decides nothing.

        Args:
            trial_id: the trial that reported.
            epoch: the epoch of the report.
            value: the metric of that epoch.
            best: the highest value up to that epoch.
        """

    def debug_string(self) -> str:
        """Return the decisions so far in one line."""
        return f"{self.name}: {len(self.stops)} stopped"

    def _judge(self, controller: "TuneController", trial_id: str, epoch: int, value: float, ends: bool) -> str:
        return TrialScheduler.CONTINUE

    def _more(self) -> dict[str, Any]:
        return {}

    def _load_more(self, state: Mapping[str, Any]) -> None:
        pass

    def _decide(self, trial_id: str, stop: Stop | None, leads: bool, ends: bool) -> str:
        """Return Ray's constant; record the stop unless the trial is protected or ends itself, and save the state."""
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
        """Write the state; a failed write is repaired by the next decision, unless the driver dies before that."""
        if self._path is None:
            return
        try:
            save_memory(self._path, self.state())
        except OSError as error:
            log.warning("%s could not be written: %s; the sweep continues", self._path, error)


class RunAll(Scheduler):
    """Run every trial to its end."""


class Halving(Scheduler):
    """The common base of the schedulers that compare trials at rungs."""

    def __init__(self, setup: HalvingSetup) -> None:
        super().__init__(setup)
        self.rungs = Rungs(setup.reduction, {rung: {} for rung in sorted(setup.rungs)})

    def restore_value(self, trial_id: str, epoch: int, value: float, best: float) -> None:
        """Fill in the trial's best value where it is missing at a rung."""
        if epoch in self.rungs.values:
            self.rungs.values[epoch].setdefault(trial_id, best)

    def debug_string(self) -> str:
        """Return the number of trials at each rung in one line."""
        reached = ", ".join(f"epoch {rung}: {len(values)}" for rung, values in self.rungs.values.items())
        return f"{self.name}: {len(self.stops)} stopped; trials at rungs: {reached or 'none'}"

    def _more(self) -> dict[str, Any]:
        return {"rungs": self.rungs.to_dict()}

    def _load_more(self, state: Mapping[str, Any]) -> None:
        self.rungs.load(state["rungs"])


class Asha(Halving):
    """Stop a trial that reaches a rung below the best 1/reduction of the trials that reached it earlier."""

    name = "asha"

    def _judge(self, controller: "TuneController", trial_id: str, epoch: int, value: float, ends: bool) -> str:
        if trial_id in self.rungs.values.get(epoch, {trial_id: 0}):
            return TrialScheduler.CONTINUE
        stop = self.rungs.judge(epoch, trial_id, value, self.name)
        leads = stop is not None and self.rungs.leads(epoch, trial_id, self._family(trial_id))
        return self._decide(trial_id, stop, leads, ends)


def _is_finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)

"""Asynchronous successive halving on Ray: rungs as plain data, reasons recorded, reference and leaders protected."""

import logging
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from bddseg.result import OBJECTIVE

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stop:
    """Why a trial was stopped at a rung, recorded at the moment of the decision."""

    rung: int
    """Epoch at which the trials are compared."""
    value: float
    cutoff: float
    """What the value had to reach."""
    compared: int
    """Trials that had reached the rung before."""

    def sentence(self) -> str:
        """Return the reason in words."""
        return (
            f"{OBJECTIVE} {self.value:.4f} at epoch {self.rung} was below the cut-off {self.cutoff:.4f} "
            f"of {self.compared} earlier trial{'s' if self.compared != 1 else ''}"
        )


@dataclass
class Rungs:
    """The values that trials had at each rung: all that early stopping remembers."""

    reduction: int
    values: dict[int, dict[str, float]] = field(default_factory=dict)
    """Rung -> trial -> value."""

    def judge(self, rung: int, trial_id: str, value: float) -> Stop | None:
        """Record a value at a rung; return the stop if it lies below the best 1/reduction of those before it.

        The first at a rung passes, and so does a tie with the cut-off. A value reported again changes nothing.

        Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, algorithm 2, in the stopping
        form that Ray Tune and others use: a trial is never paused, so it is judged once, when it arrives.
        """
        recorded = self.values.setdefault(rung, {})
        if trial_id in recorded:
            return None
        earlier = list(recorded.values())
        recorded[trial_id] = value
        if not earlier:
            return None
        cutoff = float(np.percentile(earlier, 100 * (1 - 1 / self.reduction)))
        return Stop(rung, value, cutoff, len(earlier)) if value < cutoff else None

    def leads(self, rung: int, trial_id: str, family: Collection[str]) -> bool:
        """Return whether no other trial of the family had a higher value at the rung."""
        recorded = self.values[rung]
        return all(recorded[trial_id] >= value for other, value in recorded.items() if other in family)


class Asha(FIFOScheduler):
    """Stop trials that fall behind at a rung, except the reference and whoever leads its own model there.

    A trial is known by `trial.config["trial"]`. A result that carries a `stop_reason` ends its trial by itself.
    A value that is not finite is never compared: such a trial has diverged and says so.
    """

    def __init__(self, rungs: Collection[int], reduction: int, models: Mapping[str, str], reference: str) -> None:
        """Take the rungs (epochs), and each trial's model by trial id."""
        super().__init__()
        self.rungs = Rungs(reduction, {rung: {} for rung in rungs})
        self.stops: dict[str, Stop] = {}
        self.protected: dict[str, list[int]] = {}
        """Trial -> rungs at which it would have been stopped, but was protected."""
        self._models = dict(models)
        self._reference = reference

    def on_trial_result(self, tune_controller: "TuneController", trial: Trial, result: dict[str, Any]) -> str:
        """Return Ray's word for going on or stopping."""
        epoch, value, trial_id = result.get("epoch"), result.get(OBJECTIVE), trial.config["trial"]
        if trial_id not in self.stops and epoch in self.rungs.values and _is_finite(value):
            self._judge(trial_id, epoch, float(value), is_over=bool(result.get("stop_reason")))  # type: ignore[arg-type]
        return TrialScheduler.STOP if trial_id in self.stops else TrialScheduler.CONTINUE

    def recall(self, trial_id: str, epoch: int, value: float | None) -> None:
        """Take in what a trial of an earlier pass had at an epoch."""
        if trial_id not in self.stops and epoch in self.rungs.values and _is_finite(value):
            self._judge(trial_id, epoch, float(value), is_over=False)  # type: ignore[arg-type]

    def _judge(self, trial_id: str, epoch: int, value: float, *, is_over: bool) -> None:
        stop = self.rungs.judge(epoch, trial_id, value)
        if stop is None or is_over:
            return
        if self._is_protected(trial_id, epoch):
            self.protected.setdefault(trial_id, []).append(epoch)
        else:
            self.stops[trial_id] = stop

    def debug_string(self) -> str:
        """Return one line about the rungs."""
        reached = ", ".join(f"epoch {rung}: {len(values)}" for rung, values in self.rungs.values.items())
        return f"asynchronous halving: {len(self.stops)} stopped; trials at rungs: {reached or 'none'}"

    def _is_protected(self, trial_id: str, rung: int) -> bool:
        model = self._models[trial_id]
        family = {other for other, name in self._models.items() if name == model}
        return trial_id == self._reference or self.rungs.leads(rung, trial_id, family)


class RunAll(FIFOScheduler):
    """Stop nothing; has the same fields as `Asha`, so that its listeners need not ask which it is."""

    def __init__(self) -> None:
        super().__init__()
        self.rungs = Rungs(reduction=1)
        self.stops: dict[str, Stop] = {}
        self.protected: dict[str, list[int]] = {}

    def recall(self, trial_id: str, epoch: int, value: float | None) -> None:
        """Nothing is compared."""


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)

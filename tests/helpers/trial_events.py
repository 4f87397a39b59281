"""Events of two trials, and the table that shows them."""

from typing import Any

from plans import growing

from sweeps.execution.progress import TrialTable
from sweeps.planning.experiment import load_experiment
from sweeps.planning.plan import Plan, build_plan

PLAN: Plan = build_plan(load_experiment("grid_lr_loss", profile="quick", overrides=["train.epochs=10"]), limit=4)
A, B, C, D = (trial.trial_id for trial in PLAN.trials)


def start(trial: str) -> dict[str, Any]:
    return {"kind": "start", "trial": trial, "time_ms": 0, "name": "a name", "params": {}, "tags": {}}


def epoch(trial: str, step: int, miou: float | None = 0.5, seconds: float = 2.0) -> dict[str, Any]:
    metrics = {"val/miou": miou, "time/epoch_s": seconds}
    return {"kind": "epoch", "trial": trial, "time_ms": 0, "step": step, "metrics": metrics}


def end(trial: str, reason: str = "max_epochs", status: str = "FINISHED") -> dict[str, Any]:
    stop = {"reason": reason, "detail": f"because of {reason}"}
    tags = {**{f"sweep.stop_{key}": word for key, word in stop.items()}, "sweep.log_file": f"/logs/{trial}.log"}
    return {"kind": "end", "trial": trial, "time_ms": 0, "status": status, "tags": tags, "metrics": {}, "step": 1}


def make_board(*events: dict[str, Any], slots: int = 1) -> TrialTable:
    board = TrialTable(growing(PLAN), slots=slots)
    for event in events:
        board.apply(event)
    return board

"""Events of two trials, and the table that shows them."""

from plans import growing

from sweeps.execution.progress import TrialTable
from sweeps.planning.experiment import load_experiment
from sweeps.planning.plan import Plan
from sweeps.planning.planner import build_plan
from sweeps.storage.events import End, Epoch, Start, TrialEvent

PLAN: Plan = build_plan(load_experiment("grid_lr_loss", profile="quick", overrides=["train.epochs=10"]), limit=4)
A, B, C, D = (trial.trial_id for trial in PLAN.trials)


def start(trial: str) -> Start:
    return Start(trial, "a name", time_ms=0)


def epoch(trial: str, step: int, miou: float | None = 0.5, seconds: float = 2.0) -> Epoch:
    return Epoch(trial, step, {"val/miou": miou, "time/epoch_s": seconds}, time_ms=0)


def end(trial: str, reason: str = "max_epochs", status: str = "FINISHED") -> End:
    stop = {"reason": reason, "detail": f"because of {reason}"}
    tags = {**{f"sweep.stop_{key}": word for key, word in stop.items()}, "sweep.log_file": f"/logs/{trial}.log"}
    return End(trial, status, tags, step=1, time_ms=0)


def make_board(*events: TrialEvent, slots: int = 1) -> TrialTable:
    board = TrialTable(growing(PLAN), slots=slots)
    for event in events:
        board.apply(event)
    return board

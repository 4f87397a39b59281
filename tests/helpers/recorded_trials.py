"""Recorded trials that may be reused."""

from pathlib import Path

from tiny import make_config

from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.planning.reuse import EVIDENCE
from sweeps.storage.outbox import Event, Outbox
from sweeps.storage.sweep_json import save_manifest

DATA = "0123456789abcdef"


def planned(epochs: int = 3, lr: float = 1e-2) -> PlannedTrial:
    config = make_config(train_epochs=epochs, optim_lr=lr)
    return PlannedTrial(config.digest(), f"lr={lr:g}", config, {}, False)


def plan(*trials: PlannedTrial) -> Plan:
    return Plan(trials, (), max(trial.epochs for trial in trials), len(trials))


def record(
    storage: Path, sweep: str, trial: PlannedTrial, reason: str = "max_epochs", *, evidence: bool = True
) -> Path:
    """Write a sweep with one trial that ended, as a runner would have."""
    folder = storage / sweep
    folder.mkdir(parents=True)
    recorded = {"trial_id": trial.trial_id, "settings": dict(trial.settings)}
    save_manifest(folder, {"version": 1, "data": {"fingerprint": DATA}, "trials": [recorded]})
    outbox = Outbox(folder / "outbox")
    events: list[Event] = [{"kind": "start", "name": trial.name, "params": {}, "tags": {"sweep.id": sweep}}]
    events += [{"kind": "epoch", "step": step + 1, "metrics": {"val/miou": 0.5}} for step in range(trial.epochs)]
    events[-1]["ending"] = reason
    if evidence:
        path = folder / "outbox" / "spool" / trial.trial_id / EVIDENCE
        path.parent.mkdir(parents=True)
        path.write_bytes(b"evidence")
        events.append({"kind": "artifact", "path": str(path), "folder": "evidence"})
    tags = {"sweep.stop_reason": reason, "sweep.id": sweep}
    events.append(
        {"kind": "end", "status": "FINISHED", "tags": tags, "metrics": {}, "step": trial.epochs, "note": None}
    )
    for event in events:
        outbox.append({"trial": trial.trial_id, "time_ms": 1000, **event})
    return folder

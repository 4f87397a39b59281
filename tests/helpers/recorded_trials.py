"""Recorded trials that may be reused."""

from pathlib import Path

from tiny import make_config

from bddseg.files import write_json
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.planning.reuse import EVIDENCE
from sweeps.storage.events import Artifact, End, Epoch, Event, Start
from sweeps.storage.outbox import Outbox
from sweeps.storage.sweep_json import FILE

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
    write_json(folder / FILE, {"version": 1, "data": {"fingerprint": DATA}, "trials": [recorded]})
    epochs, trial_id = trial.epochs, trial.trial_id
    events: list[Event] = [Start(trial_id, trial.name, tags={"sweep.id": sweep}, time_ms=1000)]
    events += [Epoch(trial_id, step, {"val/miou": 0.5}, time_ms=1000) for step in range(1, epochs)]
    events += [Epoch(trial_id, epochs, {"val/miou": 0.5}, reason, time_ms=1000)]
    if evidence:
        path = folder / "outbox" / "spool" / trial.trial_id / EVIDENCE
        path.parent.mkdir(parents=True)
        path.write_bytes(b"evidence")
        events.append(Artifact(trial_id, path, "evidence", time_ms=1000))
    tags = {"sweep.stop_reason": reason, "sweep.id": sweep}
    events.append(End(trial_id, "FINISHED", tags, step=epochs, time_ms=1000))
    Outbox(folder / "outbox").extend(events)
    return folder

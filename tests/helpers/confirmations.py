"""A recorded screening, and its confirmation."""

from dataclasses import replace
from typing import Any

from bddseg.config import TrainConfig
from sweeps.planning.confirmation import Confirmation, plan_confirmation
from sweeps.storage.records import SweepRecord, TrialRow

DATA = {"root": "/data", "embedded": False, "fingerprint": "f00d"}
MANIFEST = {"space": "made", "question": "Which?", "profile": "quick", "seed": 7, "data": DATA}


def make_row(name: str, miou: float, epoch: int = 3, *, status: str = "FINISHED", **settings: Any) -> TrialRow:
    """Return a recorded trial; `settings` as `optim_lr=1e-3`."""
    changes = {key.replace("_", ".", 1): value for key, value in settings.items()}
    return TrialRow(
        trial_id=f"id-{name}",
        run_id=f"run-{name}",
        name=name,
        status=status,
        stop_reason="max_epochs" if status == "FINISHED" else "asha",
        stop_detail="",
        log_file="",
        settings=TrainConfig().with_overrides(changes).flat(),
        metrics={"best/miou": miou, "best/epoch": float(epoch)},
        digest=f"digest-{name}",
        is_reference=name == "reference",
        started_ms=0,
        ended_ms=1,
    )


def make_record(*rows: TrialRow, **changes: Any) -> SweepRecord:
    record = SweepRecord("made-1", "parent", "FINISHED", MANIFEST, {}, rows)
    return replace(record, **changes)


ROWS = (
    make_row("reference", 0.1, epoch=9, optim_lr=1e-1),
    make_row("first", 0.5, epoch=4, optim_lr=1e-2),
    make_row("second", 0.4, epoch=6, optim_lr=1e-3),
    make_row("third", 0.3, optim_lr=1e-4),
    make_row("attention", 0.2, model_name="attention_unet"),
)


def planned(*rows: TrialRow, top: int = 2, runs: int = 3) -> Confirmation:
    return plan_confirmation(make_record(*rows), top=top, runs=runs)

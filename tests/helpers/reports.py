"""A sweep's record made by hand, and its report: eight trials, one diverged, two stopped at a rung."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from counts import make_evidence

from bddseg.errors import DataError
from bddseg.evidence import Evidence
from bddseg.task import FIVE_CLASSES
from sweeps.errors import TrackingError
from sweeps.report.gather import Report, gather_report
from sweeps.storage.album import PredictionPanels
from sweeps.storage.records import Repeat, SweepRecord, TrialRow

RATES, LOSSES = (1e-5, 1e-4, 5e-4, 1e-3), ("cross_entropy", "focal")
BEST = {
    (1e-4, "cross_entropy"): 0.7412,
    (1e-3, "focal"): 0.6,
    (5e-4, "cross_entropy"): 0.8305,
    (1e-5, "focal"): 0.31,
    (1e-3, "cross_entropy"): 0.8434,
    (1e-5, "cross_entropy"): 0.42,
    (5e-4, "focal"): 0.812,
    (1e-4, "focal"): 0.7225,
}
EPOCHS = 20
ENDS = {
    (1e-3, "focal"): ("diverged", "train/loss is nan at epoch 9", "FAILED", 9),
    (1e-5, "focal"): ("asha", "val/miou 0.3100 at epoch 2 was below the cut-off 0.4000", "FINISHED", 2),
    (1e-5, "cross_entropy"): ("asha", "val/miou 0.4200 at epoch 6 was below the cut-off 0.5000", "KILLED", 6),
}
LEADER, RUNNER_UP, REFERENCE = "lr1e-3-cross_entropy", "lr5e-4-cross_entropy", "lr1e-4-cross_entropy"


def make_row(lr: float, loss: str) -> TrialRow:
    """One trial as the store gives it."""
    name = f"lr{lr:.0e}-{loss}".replace("e-0", "e-")
    reason, detail, status, epochs = ENDS.get((lr, loss), ("max_epochs", "", "FINISHED", EPOCHS))
    best = BEST[lr, loss]
    classes = {f"best/iou/{label}": best + 0.01 * (number - 2) for number, label in enumerate(FIVE_CLASSES.classes)}
    groups = {"best/group_miou/city": best + 0.004, "best/group_miou/non_city": best - 0.011}
    return TrialRow(
        trial_id=name,
        run_id=f"run-{name}",
        name=f"vanilla-f8 {loss} lr={lr:g}",
        status=status,
        stop_reason=reason,
        stop_detail=detail,
        log_file=f"/runs/logs/{name}.log" if status == "FAILED" else "",
        settings={"model.name": "vanilla_unet", "optim.lr": lr, "loss.name": loss},
        metrics={"best/miou": best, "best/epoch": float(epochs), **classes, **groups},
        digest=f"digest-{name}",
        is_reference=name == REFERENCE,
        started_ms=1_000_000,
        ended_ms=1_000_000 + epochs * 6_000,
    )


def make_record(**changes: Any) -> SweepRecord:
    """The sweep; a manifest among the changes is laid over the usual one."""
    rows = tuple(make_row(lr, loss) for lr, loss in BEST)
    split = {"train": 308, "val": 88, "test": 44, "by_drive": True, "warning": ""}
    data = {
        "root": "/cache/streets",
        "embedded": True,
        "fingerprint": "f" * 16,
        "summary": ["440 images"],
        "split": split,
    }
    manifest = {
        "space": "grid_lr_loss",
        "question": "Which learning rate and which loss?",
        "profile": "quick",
        "scheduler": {"name": "asha", "max_epochs": EPOCHS, "rungs": [2, 6, 18]},
        "axes": {"optim.lr": list(RATES), "loss.name": list(LOSSES)},
        "trials": [{"trial_id": row.trial_id} for row in rows],
        "data": {**data, "scenes": {"city street": 300, "highway": 140}},
        "device": "CPU, 2 cores",
        "precision": "fp32",
        "command": "python tune_main.py --space grid_lr_loss",
        "report_command": "python report.py grid-1",
        "versions": {"python": "3.11"},
        "code_version": "abc123",
        "started": "2026-11-23T03:45:01+00:00",
        **changes.pop("manifest", {}),
    }
    return replace(SweepRecord("grid-1", "parent", "FINISHED", manifest, {}, rows), **changes)


def measured(row: TrialRow, images: int = 12) -> Evidence:
    """Validation evidence with the trial's IoUs: of each class a million pixels, some taken for the next class."""
    best = row.metrics.get("best/miou", 0.5)
    logged = [row.metrics.get(f"best/iou/{label}", best) for label in FIVE_CLASSES.classes]
    wanted = [best if math.isnan(value) else value for value in logged]
    hits = [5e5] * len(FIVE_CLASSES.classes)
    for label in (
        list(range(len(FIVE_CLASSES.classes))) * 40
    ):  # IoU = hits / (2 million - hits of the class before), solved in turn
        hits[label] = wanted[label] * (2e6 - hits[label - 1])
    counts = np.zeros((images, len(FIVE_CLASSES.classes), len(FIVE_CLASSES.classes)), dtype=np.int64)
    for image in range(images):
        for label, hit in enumerate(hits):
            true_pixels = round(hit) + (image % 3 - 1) * 5000
            counts[image, label, label] = true_pixels
            counts[image, label, (label + 1) % len(FIVE_CLASSES.classes)] = 1_000_000 - true_pixels
    scenes = tuple("city street" if image % 2 else "highway" for image in range(images))
    names = tuple(f"image{image}" for image in range(images))
    ignored = np.zeros((images, len(FIVE_CLASSES.classes)), np.int64)
    return Evidence("val", int(row.metrics.get("best/epoch", 1)), names, {"scene": scenes}, counts, ignored, "f" * 16)


@dataclass
class FakeLedger:
    """Keeps what is recorded, or cannot be written."""

    tags: dict[str, str] = field(default_factory=dict)
    is_closed: bool = False

    def write_tag(self, run_id: str, key: str, value: str) -> None:
        if self.is_closed:
            raise TrackingError("attempt to write a readonly database")
        self.tags[key] = value


@dataclass
class FakeStore:
    """Answers as the store does, and remembers what was asked of it."""

    part_evidence: Evidence | DataError | None = field(default_factory=lambda: make_evidence("city street", "highway"))
    """Of the test part."""
    val_evidence: dict[str, Evidence | DataError | None] = field(default_factory=dict)
    """Instead of what belongs to the trial's figures."""
    verification: dict[str, Any] | None = None
    repeats: list[Repeat] = field(default_factory=list)
    """Completed runs of other sweeps."""
    curves: dict[str, dict[str, list[tuple[int, float]]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def histories(self, record: SweepRecord, keys: Sequence[str]) -> Mapping[str, Any]:
        self.asked.append("histories")
        return {row.trial_id: self.curves.get(row.trial_id, rising_curve(row)) for row in record.trials}

    def read_evidence(self, rows: Sequence[TrialRow], part: str) -> dict[str, Evidence | DataError | None]:
        self.asked += [f"{part} of {row.trial_id}" for row in rows]
        if part == "test":
            return {row.trial_id: self.part_evidence for row in rows}
        return {row.trial_id: self.val_evidence.get(row.trial_id, measured(row)) for row in rows}

    def find_repeats(self, setting: str, fingerprint: str) -> list[Repeat]:
        self.asked.append(f"repeats of {setting}")
        return [repeat for repeat in self.repeats if repeat.row.setting == setting]

    def json_artifact(self, run_id: str, name: str) -> dict[str, Any] | None:
        self.asked.append(f"{name} of {run_id}")
        return self.verification if name == "verification.json" else None

    def album(self, run_id: str) -> PredictionPanels | None:
        self.asked.append(f"album of {run_id}")
        return None


def rising_curve(row: TrialRow) -> dict[str, list[tuple[int, float]]]:
    """A curve that reaches the trial's best in its last epoch."""
    best = row.metrics.get("best/miou", 0.5)
    last = next(
        (end[3] for key, end in ENDS.items() if key == (row.settings["optim.lr"], row.settings["loss.name"])), EPOCHS
    )
    points = [(epoch, best * epoch / last) for epoch in range(1, last + 1)]
    return {"val/miou": points, "train/miou": points}


def make_report(store: FakeStore | None = None, **changes: Any) -> Report:
    return gather_report(make_record(**changes), store or FakeStore(), FakeLedger())

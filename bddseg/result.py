"""The result of one epoch of a trial, and the names and directions of its metrics. Needs no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bddseg.evidence import Evidence
from bddseg.labels import CLASSES, GROUPS, SCENES, slug

METRICS: dict[str, str] = {
    "train/loss": "min",
    "train/miou": "max",
    "val/loss": "min",
    "val/miou": "max",
    **{f"val/iou/{name}": "max" for name in CLASSES},
    **{f"val/group_miou/{group}": "max" for group in GROUPS},
    "val/group_gap": "none",
    **{f"val/scene_miou/{slug(scene)}": "max" for scene in SCENES},
    "val/classes": "none",
    "time/epoch_s": "min",
    "throughput/img_s": "max",
    "system/memory_mb": "min",
}
"""Name of every metric of an epoch -> the direction in which it is better ("none": neither)."""

OBJECTIVE = "val/miou"
"""The one metric that decides: rungs, best weights, early stopping, leaderboard."""


@dataclass(frozen=True)
class EpochResult:
    """One epoch of one trial, as `bddseg.train.fit` yields it.

    The two callables read the trial's state at this epoch: call them before asking for the next one.
    """

    epoch: int
    """From 1."""
    metrics: Mapping[str, float]
    """Values by the names in METRICS; NaN where nothing could be measured."""
    best_epoch: int
    """The epoch that is kept: the first with the highest val/miou, or the last under `train.keep` "last"."""
    best_miou: float
    stop_reason: str | None
    """Why the trial ends with this epoch: max_epochs, plateau or diverged; None if it continues."""
    state: Callable[[], Mapping[str, Any]]
    """Returns the state needed to resume after this epoch; see `bddseg.checkpoint`."""
    best_evidence: Callable[[str], Evidence]
    """Returns the evidence of the best weights on a part: "val" is stored, "test" is computed on demand."""

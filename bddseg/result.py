"""The result of one epoch of a trial, and the names and directions of its metrics. Needs no torch."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bddseg.evidence import Evidence
from bddseg.task import Contrast, Task, slug

OBJECTIVE = "val/miou"
"""The one metric that decides: rungs, best weights, early stopping, leaderboard."""

COMMON = {
    "train/loss": "min",
    "train/miou": "max",
    "val/loss": "min",
    OBJECTIVE: "max",
    "val/classes": "none",
    "time/epoch_s": "min",
    "throughput/img_s": "max",
    "system/memory_mb": "min",
    "system/cpu_utilization_percentage": "none",
    "system/system_memory_usage_megabytes": "none",
    "system/system_memory_usage_percentage": "none",
}
"""Metric of every task -> its direction."""

OF_GPU = "system/gpu_"
"""Start of the names of metrics that only a trial on a GPU has."""

CLASS_IOU, GROUP_MIOU, GROUP_GAP, SCENE_MIOU = "iou", "group_miou", "group_gap", "scene_miou"
"""Starts of the names of metrics that depend on the task; before them stands the part, or `best`."""

OF_TASK = tuple(f"val/{start}" for start in (CLASS_IOU, GROUP_MIOU, GROUP_GAP, SCENE_MIOU))


def metric_directions(task: Task, scenes: Iterable[str] = ()) -> dict[str, str]:
    """Return name of every metric of an epoch -> the direction in which it is better ("none": neither).

    Args:
        task: the classes and groups.
        scenes: the values of the attribute that decides the groups.
    """
    return {
        **COMMON,
        **{f"val/{class_metric(name)}": "max" for name in task.classes},
        **{f"val/{group_metric(name)}": "max" for name in task.group_names},
        **{f"val/{gap_metric(contrast)}": "none" for contrast in task.contrasts},
        **{f"val/{SCENE_MIOU}/{slug(scene)}": "max" for scene in scenes if slug(scene)},
    }


def is_metric(name: str) -> bool:
    """Return whether a name is that of a metric of an epoch, of any task."""
    starts = (OF_GPU, *(f"{start}/" for start in OF_TASK))
    return name in COMMON or name in OF_TASK or name.startswith(starts)


def class_metric(name: str) -> str:
    """Return the metric of a class without its part: `iou/traffic_light`."""
    return f"{CLASS_IOU}/{slug(name)}"


def group_metric(name: str) -> str:
    """Return the metric of a group without its part."""
    return f"{GROUP_MIOU}/{slug(name)}"


def gap_metric(contrast: Contrast) -> str:
    """Return the metric of a difference between groups without its part; of several, each has its group's name."""
    return f"{GROUP_GAP}/{slug(contrast.first)}" if contrast.is_against_rest else GROUP_GAP


@dataclass(frozen=True)
class EpochResult:
    """One epoch of one trial, as `bddseg.train.fit` yields it.

    The two callables read the trial's state at this epoch: call them before asking for the next one.
    """

    epoch: int
    """From 1."""
    metrics: Mapping[str, float]
    """Values by the names of `metric_directions`; NaN where nothing could be measured."""
    best_epoch: int
    """The epoch that is kept: the first with the highest val/miou, or the last under `train.keep` "last"."""
    best_miou: float
    stop_reason: str | None
    """Why the trial ends with this epoch: max_epochs, plateau or diverged; None if it continues."""
    state: Callable[[], Mapping[str, Any]]
    """Returns the state needed to resume after this epoch; see `bddseg.checkpoint`."""
    best_evidence: Callable[[str], Evidence]
    """Returns the evidence of the best weights on a part: "val" is stored, "test" is computed on demand."""

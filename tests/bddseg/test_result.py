"""What an epoch reports: the names of its metrics, and whether it diverged."""

import math

from bddseg.data.bdd100k_labels import SCENES
from bddseg.evidence import Evidence
from bddseg.result import OBJECTIVE, EpochResult, is_metric, metric_directions
from bddseg.task import FIVE_CLASSES, Group, Task

METRICS = metric_directions(FIVE_CLASSES, SCENES)
THREE = Task(
    ("traffic light", "car"),
    ((0, 0, 0),) * 2,
    "light",
    (Group("day", ("d",)), Group("night", ("n",)), Group("dusk", ())),
)


def make_result(train: float, val: float) -> EpochResult:
    def no_evidence(part: str) -> Evidence:
        raise AssertionError(part)

    losses = {"train/loss": train, "val/loss": val}
    return EpochResult(1, losses, 0, math.nan, None, state=dict, best_evidence=no_evidence)


def test_the_metric_that_decides_is_to_be_raised() -> None:
    assert METRICS[OBJECTIVE] == "max"


def test_every_direction_is_min_max_or_none() -> None:
    assert set(METRICS.values()) == {"min", "max", "none"}


def test_every_class_and_every_scene_has_its_metric() -> None:
    classes = [name for name in METRICS if name.startswith("val/iou/")]
    scenes = [name for name in METRICS if name.startswith("val/scene_miou/")]
    assert (len(classes), len(scenes)) == (len(FIVE_CLASSES.classes), len(SCENES))


def test_metric_names_hold_no_spaces() -> None:
    assert not any(" " in name for name in metric_directions(THREE, ["d n"]))


def test_each_of_three_groups_has_its_gap_with_the_others() -> None:
    gaps = [name for name in metric_directions(THREE) if "gap" in name]
    assert gaps == ["val/group_gap/day", "val/group_gap/night", "val/group_gap/dusk"]


def test_metrics_of_every_task_are_recognised() -> None:
    assert all(is_metric(name) for name in (*METRICS, *metric_directions(THREE)))
    assert not is_metric("training_iteration") and not is_metric("val/iou2")

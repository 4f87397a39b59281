"""What an epoch reports: the names of its metrics, and whether it diverged."""

import math

from bddseg.labels import CLASSES, SCENES

from bddseg.evidence import Evidence
from bddseg.result import METRICS, OBJECTIVE, EpochResult


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
    assert (len(classes), len(scenes)) == (len(CLASSES), len(SCENES))


def test_metric_names_hold_no_spaces() -> None:
    assert not any(" " in name for name in METRICS)

"""A trial's figures twice: as recorded, and from its saved weights by torchmetrics."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_config, make_frames, make_split

from bddseg.checkpoint import BEST, load_checkpoint, save_training
from bddseg.evidence import Evidence
from bddseg.task import FIVE_CLASSES
from bddseg.train import fit
from bddseg.verification import Verification, verify

FRAMES, SPLIT = make_frames(), make_split()
Recorded = tuple[dict[str, Any], Evidence, Evidence]


def record(folder: Path, **changes: Any) -> Recorded:
    """Return what a trial leaves behind: its best weights, and its evidence of both parts."""
    last = list(fit(make_config(**changes), FRAMES, SPLIT, torch.device("cpu")))[-1]
    save_training(folder, last.state())
    return load_checkpoint(folder / BEST), last.best_evidence("val"), last.best_evidence("test")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return record(tmp_path_factory.mktemp("trial"), train_epochs=4)


@pytest.mark.parametrize(
    "changes",
    [{"loss_name": "focal"}, {"model_name": "attention_unet", "model_dropout": 0.3}, {"model_name": "unet"}],
    ids=["focal", "attention", "unet"],
)
def test_recorded_figures_are_found_again_from_the_weights(tmp_path: Path, changes: dict[str, Any]) -> None:
    best, val, _ = record(tmp_path, **changes)
    assert verify(best, FRAMES, SPLIT.val, val).max_difference < 1e-6


def test_the_test_part_is_found_again_too(recorded: Recorded) -> None:
    best, _, test = recorded
    verification = verify(best, FRAMES, SPLIT.test, test)
    assert (verification.part, verification.images) == ("test", len(SPLIT.test)) and verification.max_difference < 1e-6


def test_other_weights_do_not_agree(recorded: Recorded) -> None:
    best, val, _ = recorded
    zeros = {name: torch.zeros_like(tensor) for name, tensor in best["weights"].items()}
    assert verify({**best, "weights": zeros}, FRAMES, SPLIT.val, val).max_difference > 0.1


def test_another_normalisation_does_not_agree(recorded: Recorded) -> None:
    best, val, _ = recorded
    scale = {"mean": torch.full((3,), 0.9), "deviation": torch.full((3,), 0.05)}
    assert verify({**best, "normalisation": scale}, FRAMES, SPLIT.val, val).max_difference > 1e-3


def test_counts_that_were_changed_do_not_agree(recorded: Recorded) -> None:
    best, val, _ = recorded
    changed = dataclasses.replace(val, counts=val.counts[:, ::-1])
    assert verify(best, FRAMES, SPLIT.val, changed).max_difference > 0.1


def test_evidence_that_lacks_a_class_does_not_agree(recorded: Recorded) -> None:
    best, val, _ = recorded
    counts = val.counts.copy()
    counts[:, 0, :] = counts[:, :, 0] = 0
    verification = verify(best, FRAMES, SPLIT.val, dataclasses.replace(val, counts=counts))
    assert math.isfinite(verification.recomputed["road"]) and not verification.max_difference < 0.1


def test_evidence_of_nothing_does_not_agree(recorded: Recorded) -> None:
    best, val, _ = recorded
    verification = verify(best, FRAMES, SPLIT.val, dataclasses.replace(val, counts=np.zeros_like(val.counts)))
    assert not verification.max_difference < 0.1


def test_a_class_that_is_absent_in_both_makes_no_difference() -> None:
    figures = {"miou": 0.5, "car": math.nan}
    assert Verification("val", 1, figures, figures).max_difference == 0.0


def test_the_largest_difference_is_the_one_that_counts() -> None:
    verification = Verification("val", 1, {"miou": 0.5, "car": 0.25}, {"miou": 0.5, "car": 0.5})
    assert verification.max_difference == 0.25


def test_a_verification_is_written_as_plain_values(recorded: Recorded) -> None:
    best, val, _ = recorded
    plain = json.loads(json.dumps(verify(best, FRAMES, SPLIT.val, val).to_dict()))
    assert plain.keys() == {"part", "images", "evidence", "torchmetrics", "max_difference"}
    assert plain["evidence"].keys() == {"miou", "iou"} and tuple(plain["torchmetrics"]["iou"]) == FIVE_CLASSES.classes

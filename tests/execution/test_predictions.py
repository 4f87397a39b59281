"""The album of a sweep, painted with weights that were really trained."""

import dataclasses
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import make_config, make_frames, make_split

from bddseg.checkpoint import BEST, save_training
from bddseg.confusion import miou
from bddseg.evidence import load_evidence, save_evidence
from bddseg.train import fit
from sweeps.execution.predictions import ShownTrial, ShownTrials, paint_panels
from sweeps.storage.album import PanelTrial, PredictionPanels

FRAMES, SPLIT, CPU = make_frames(images=48), make_split(48), torch.device("cpu")
EVIDENCE = "evidence-val.npz"


def train(folder: Path, model: str, seed: int) -> Path:
    folder.mkdir()
    last = list(fit(make_config(model_name=model, train_seed=seed), FRAMES, SPLIT, CPU))[-1]
    save_training(folder, last.state())
    save_evidence(folder / EVIDENCE, last.best_evidence("val"))
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("trials")
    return {"a": train(folder / "a", "attention_unet", 1), "b": train(folder / "b", "vanilla_unet", 2)}


@pytest.fixture
def folders(trained: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """Copies that a test may damage."""
    return {name: Path(shutil.copytree(path, tmp_path / name)) for name, path in trained.items()}


def paint(folders: dict[str, Path], seconds: float = 60) -> PredictionPanels | None:
    roles = ("leader", "runner-up")
    trials = tuple(ShownTrial(PanelTrial(name, role), folders[name]) for name, role in zip(folders, roles, strict=True))
    return paint_panels(ShownTrials(trials, "validation"), FRAMES, CPU, seconds=seconds)


def test_every_image_shown_is_of_the_validation_part(trained: dict[str, Path]) -> None:
    album = paint(trained)
    assert album is not None
    assert {panel.name for panel in album.panels} <= {FRAMES.names[index] for index in SPLIT.val}


def test_the_miou_of_a_panel_is_that_of_the_evidence(trained: dict[str, Path]) -> None:
    album, evidence = paint(trained), load_evidence(trained["a"] / EVIDENCE)
    recorded = dict(zip(evidence.names, miou(evidence.counts), strict=True))
    assert album is not None
    assert all(panel.mious[0] == pytest.approx(recorded[panel.name], abs=1e-6) for panel in album.panels)


def test_truth_is_drawn_as_it_is(trained: dict[str, Path]) -> None:
    album = paint(trained)
    assert album is not None
    panel = album.panels[0]
    truth = FRAMES.masks[FRAMES.names.index(panel.name)]
    drawn = album.sheets[panel.file].tile(1)
    assert np.array_equal(np.where(truth == 255, 5, truth), drawn)


def test_only_the_attention_net_has_maps_four_to_an_image(trained: dict[str, Path]) -> None:
    album = paint(trained)
    assert album is not None
    assert {shown.trial_id for shown in album.attention} == {"a"} and len(album.attention) == 6
    assert all(
        len(shown.ranges) == 4 and album.sheets[shown.file].values.shape == (16, 64) for shown in album.attention
    )


def test_painting_twice_gives_the_same(trained: dict[str, Path]) -> None:
    first, second = paint(trained), paint(trained)
    assert first is not None and second is not None and first.panels == second.panels
    assert all(np.array_equal(first.sheets[name].values, second.sheets[name].values) for name in first.sheets)


def test_torn_weights_are_left_out_and_named(folders: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    (folders["a"] / BEST).write_bytes(b"PK torn")
    with caplog.at_level(logging.WARNING):
        album = paint(folders)
    assert album is not None and [shown.role for shown in album.trials] == ["runner-up"]
    assert "the leader (a) is not in the pictures" in caplog.text


def test_a_trial_judged_on_other_images_is_left_out(folders: dict[str, Path]) -> None:
    evidence = load_evidence(folders["b"] / EVIDENCE)
    other = dataclasses.replace(evidence, names=tuple(f"x{name}" for name in evidence.names))
    save_evidence(folders["b"] / EVIDENCE, other)
    album = paint(folders)
    assert album is not None and [shown.trial_id for shown in album.trials] == ["a"]


def test_without_readable_weights_there_is_no_album(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        (folder / BEST).unlink()
    assert paint(folders) is None


def test_when_time_is_up_the_rest_of_the_images_is_left_out(trained: dict[str, Path]) -> None:
    album = paint(trained, seconds=0)
    assert album is not None and {panel.file for panel in album.panels} == {"panel-001.png"}


def test_images_that_are_not_among_the_frames_are_left_out(folders: dict[str, Path]) -> None:
    for name, folder in folders.items():
        evidence = load_evidence(folder / EVIDENCE)
        save_evidence(folder / EVIDENCE, dataclasses.replace(evidence, names=("gone", *evidence.names[1:])))
        assert name in folders
    album = paint(folders)
    assert album is not None and "gone" not in {panel.name for panel in album.panels}

"""Exported files do what the network does, say what they must be fed, and appear only when they agree."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import write_model
from tiny import make_frames

from bddseg.checkpoint import load_checkpoint
from bddseg.errors import ExportError
from bddseg.export import INPUT, KINDS, METADATA, Agreement, export_model, sample_pixels
from bddseg.labels import CLASSES
from bddseg.trained import Trained, load_trained
from sweeps.export import FORMATS, main


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def trained(model: Path) -> Trained:
    return load_trained(load_checkpoint(model))


@pytest.fixture(scope="module")
def exported(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of each kind, by the command."""
    out = tmp_path_factory.mktemp("exported")
    assert main([str(model), "--out", str(out)]) == 0
    return out


def test_the_kinds_are_those_that_can_be_written(exported: Path) -> None:
    assert tuple(KINDS) == FORMATS
    assert sorted(path.name for path in exported.iterdir()) == ["model.onnx", "model.pt2"]


def raw(images: np.ndarray) -> np.ndarray:
    """Return images as an exported file takes them."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 3])
def test_onnx_gives_the_classes_of_the_network(exported: Path, trained: Trained, batch: int) -> None:
    import onnxruntime

    images = make_frames(images=batch).images
    session = onnxruntime.InferenceSession(str(exported / "model.onnx"), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {INPUT: raw(images)})
    assert np.allclose(logits, trained.score(images).numpy(), atol=1e-4)
    assert np.array_equal(logits.argmax(1), trained.predict(images))


@pytest.mark.parametrize("batch", [1, 3])
def test_torch_export_gives_the_classes_of_the_network(exported: Path, trained: Trained, batch: int) -> None:
    images = make_frames(images=batch).images
    program = torch.export.load(exported / "model.pt2").module()
    with torch.no_grad():
        logits = program(torch.from_numpy(raw(images)))
    assert np.array_equal(logits.argmax(1).numpy(), trained.predict(images))


def test_an_onnx_file_says_what_it_must_be_fed(exported: Path) -> None:
    import onnx

    said = {item.key: item.value for item in onnx.load(exported / "model.onnx").metadata_props}
    assert said["size_px"] == "16" and said["preprocessing"].startswith("RGB, resized to size_px")
    assert json.loads(said["classes"]) == list(CLASSES)


def test_a_torch_file_says_what_it_must_be_fed(exported: Path) -> None:
    files = {METADATA: ""}
    torch.export.load(exported / "model.pt2", extra_files=files)
    assert json.loads(files[METADATA])["size_px"] == "16"


def test_a_file_that_disagrees_is_not_handed_over(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_: Path) -> Any:
        return lambda pixels: torch.zeros(len(pixels), len(CLASSES), 16, 16)

    monkeypatch.setitem(KINDS, "torch", ("pt2", lambda *_: _[2].touch(), load))
    with pytest.raises(ExportError, match="the torch file does not do what the network does: logits differ"):
        export_model(trained, tmp_path / "model.pt2", "torch")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("difference", "same", "expected"), [(1e-4, 1.0, True), (1e-2, 1.0, False), (0.0, 0.99, False)]
)
def test_both_logits_and_classes_must_agree(difference: float, same: float, expected: bool) -> None:
    assert Agreement(8, difference, 10.0, same).is_good is expected


def test_agreement_is_tried_on_the_same_images_every_time() -> None:
    first, again = sample_pixels(2, 16), sample_pixels(2, 16)
    assert torch.equal(first, again) and first.shape == (2, 3, 16, 16)
    assert first.min() >= 0 and first.max() <= 255


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gone.pt", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: there is no model 'gone.pt'")

"""Exported files compute what the network computes, describe their input, and are written only if they agree."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import write_model
from PIL import Image
from tiny import make_frames
from torch.nn.functional import interpolate

from bddseg.checkpoint import load_checkpoint
from bddseg.data.image_io import shrink
from bddseg.errors import ExportError
from bddseg.export import INPUT, KINDS, METADATA, Agreement, Raw, export_model, sample_pictures
from bddseg.predictor import Predictor, load_trained
from bddseg.task import FIVE_CLASSES
from sweeps.export import FORMATS, main


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def trained(model: Path) -> Predictor:
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
def test_onnx_gives_the_classes_of_the_network(exported: Path, trained: Predictor, batch: int) -> None:
    import onnxruntime

    images = make_frames(images=batch).images
    session = onnxruntime.InferenceSession(str(exported / "model.onnx"), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {INPUT: raw(images)})
    assert np.allclose(logits, trained.score(images).numpy(), atol=1e-4)
    assert np.array_equal(logits.argmax(1), trained.predict(images))


@pytest.mark.parametrize("batch", [1, 3])
def test_torch_export_gives_the_classes_of_the_network(exported: Path, trained: Predictor, batch: int) -> None:
    images = make_frames(images=batch).images
    program = torch.export.load(exported / "model.pt2").module()
    with torch.no_grad():
        logits = program(torch.from_numpy(raw(images)))
    assert np.array_equal(logits.argmax(1).numpy(), trained.predict(images))


@pytest.mark.parametrize("shape", [(1, 720, 1280), (3, 240, 90), (2, 1, 1)])
def test_files_give_the_classes_of_the_network_from_pictures_of_any_size(
    exported: Path, trained: Predictor, shape: tuple[int, int, int]
) -> None:
    import onnxruntime

    pictures = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    expected = trained.predict(np.stack([shrink(Image.fromarray(picture), 16) for picture in pictures]))
    session = onnxruntime.InferenceSession(str(exported / "model.onnx"), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {INPUT: raw(pictures)})
    program = torch.export.load(exported / "model.pt2").module()
    with torch.no_grad():
        scores = program(torch.from_numpy(raw(pictures)))
    assert np.array_equal(logits.argmax(1), expected) and np.array_equal(scores.argmax(1).numpy(), expected)


def test_an_onnx_file_says_what_it_must_be_fed(exported: Path) -> None:
    import onnx

    metadata = {item.key: item.value for item in onnx.load(exported / "model.onnx").metadata_props}
    assert metadata["size_px"] == "16" and metadata["preprocessing"].startswith("RGB with 8 bits, upright, of any size")
    assert "BILINEAR" in metadata["resize"] and "antialiased" in metadata["resize"]
    assert json.loads(metadata["classes"]) == list(FIVE_CLASSES.classes)


def test_a_torch_file_says_what_it_must_be_fed(exported: Path) -> None:
    files = {METADATA: ""}
    torch.export.load(exported / "model.pt2", extra_files=files)
    assert json.loads(files[METADATA])["size_px"] == "16"


def test_a_file_that_disagrees_is_not_handed_over(
    trained: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_: Path) -> Any:
        return lambda pixels: torch.zeros(len(pixels), len(FIVE_CLASSES.classes), 16, 16)

    monkeypatch.setitem(KINDS, "torch", ("pt2", lambda *_: _[2].touch(), load))
    with pytest.raises(ExportError, match="the torch file computes something else than the network: logits differ"):
        export_model(trained, tmp_path / "model.pt2", "torch")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("difference", "same", "expected"), [(1e-4, 1.0, True), (1e-2, 1.0, False), (0.0, 0.99, False)]
)
def test_both_logits_and_classes_must_agree(difference: float, same: float, expected: bool) -> None:
    assert Agreement(8, difference, 10.0, same).is_good is expected


def test_a_file_that_resizes_otherwise_is_not_handed_over(
    trained: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_antialiasing(_: Path) -> Any:
        return lambda pixels: Raw(trained).score(interpolate(pixels, (16, 16), mode="bilinear"))

    monkeypatch.setitem(KINDS, "torch", ("pt2", lambda *_: _[2].touch(), without_antialiasing))
    with pytest.raises(ExportError, match="the torch file computes something else than the network"):
        export_model(trained, tmp_path / "model.pt2", "torch")


def test_agreement_is_tried_on_the_same_pictures_every_time() -> None:
    first, again = sample_pictures(2, 40, 30), sample_pictures(2, 40, 30)
    assert np.array_equal(first, again) and (first.shape, first.dtype) == ((2, 30, 40, 3), np.uint8)


def test_a_format_that_cannot_be_written_does_not_keep_the_other_from_being_written(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.onnx").mkdir()
    assert main([str(model), "--out", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {tmp_path / 'model.onnx'} cannot be written: ")
    assert captured.out == f"{tmp_path / 'model.pt2'}\n" and (tmp_path / "model.pt2").is_file()


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gone.pt", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: there is no model 'gone.pt'")

"""Predicted classes become pictures at the image's own size, in the colours of every picture."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from models import write_model
from PIL import Image
from tiny import make_frames
from torch.nn.functional import interpolate

from bddseg import overlays
from bddseg.checkpoint import load_checkpoint
from bddseg.data.image_io import shrink
from bddseg.overlays import Painted, paint_images, paint_labels, paint_mask, paint_overlay
from bddseg.predictor import Predictor, load_trained
from bddseg.task import FIVE_CLASSES

SKY, ROAD = FIVE_CLASSES.classes.index("sky"), FIVE_CLASSES.classes.index("road")
HALVES = np.array([[SKY, SKY], [ROAD, ROAD]], dtype=np.uint8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return load_trained(load_checkpoint(write_model(tmp_path_factory.mktemp("model"))))


def write_jpeg(path: Path, width: int, height: int) -> Path:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_a_mask_holds_the_classes_and_their_colours() -> None:
    mask = paint_mask(Image.new("RGB", (2, 2)), HALVES, FIVE_CLASSES)
    assert mask.mode == "P" and np.array_equal(np.asarray(mask), HALVES)
    assert mask.convert("RGB").getpixel((0, 0)) == FIVE_CLASSES.palette[SKY]


def test_an_overlay_is_half_image_and_half_colour() -> None:
    overlay = paint_overlay(Image.new("RGB", (2, 2), (200, 100, 0)), HALVES, FIVE_CLASSES)
    expected = [(value + colour) / 2 for value, colour in zip((200, 100, 0), FIVE_CLASSES.palette[SKY], strict=True)]
    assert np.allclose(overlay.getpixel((0, 0)), expected, atol=1)


def test_labels_are_bdd100ks_own_numbers() -> None:
    labels = np.asarray(paint_labels(Image.new("RGB", (2, 2)), HALVES, FIVE_CLASSES))
    assert labels.tolist() == [[10, 10], [0, 0]]


def test_without_mask_values_labels_are_the_numbers_of_the_classes() -> None:
    task = replace(FIVE_CLASSES, values=())
    assert np.array_equal(np.asarray(paint_labels(Image.new("RGB", (2, 2)), HALVES, task)), HALVES)


def painted(trained: Predictor, images: list[Path], out: Path, *kinds: str) -> dict[str, Painted]:
    """Return what became of each image, by its name."""
    return {picture.image.name: picture for picture in paint_images(trained, images, out, kinds or ("mask",))}


@pytest.mark.parametrize("size", [(1280, 720), (33, 17), (1, 1), (3000, 1)])
def test_pictures_have_the_size_of_their_image(trained: Predictor, tmp_path: Path, size: tuple[int, int]) -> None:
    image = write_jpeg(tmp_path / "street.jpg", *size)
    pictures = painted(trained, [image], tmp_path, "overlay", "mask", "labels")["street.jpg"].pictures
    assert [path.name for path in pictures] == ["street.overlay.jpg", "street.mask.png", "street.labels.png"]
    assert {Image.open(path).size for path in pictures} == {size}


def test_a_mask_is_what_the_network_predicts(trained: Predictor, tmp_path: Path) -> None:
    pixels = make_frames(images=1).images[0]
    Image.fromarray(pixels).save(tmp_path / "frame.png")
    painted(trained, [tmp_path / "frame.png"], tmp_path)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "frame.mask.png")), trained.predict(pixels[None])[0])


def test_a_larger_mask_is_that_of_the_enlarged_scores(trained: Predictor, tmp_path: Path) -> None:
    image = Image.fromarray(make_frames(images=1).images[0]).resize((90, 50))
    image.save(tmp_path / "frame.png")
    painted(trained, [tmp_path / "frame.png"], tmp_path)
    scores = trained.score(np.asarray(shrink(image, 16))[None])
    expected = interpolate(scores, (50, 90), mode="bilinear", align_corners=False).argmax(1)[0].numpy()
    pictures = np.asarray(Image.open(tmp_path / "frame.mask.png"))
    assert np.mean(pictures == expected) > 0.999  # where two scores are equal, rounding decides
    assert len(np.unique(pictures, axis=1).T) > 16  # no blocks of the network's pixels


def test_more_images_than_a_batch_are_all_painted_alike(trained: Predictor, tmp_path: Path) -> None:
    images = [write_jpeg(tmp_path / f"{width}.jpg", width, 20) for width in range(20, 31)]
    assert list(painted(trained, images, tmp_path)) == [path.name for path in images]
    together = (tmp_path / "30.mask.png").read_bytes()
    painted(trained, images[-1:], tmp_path)
    assert (tmp_path / "30.mask.png").read_bytes() == together


def test_large_images_are_held_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlays, "PIXELS", 1000)
    images = [write_jpeg(tmp_path / f"{number}.jpg", 40, 30) for number in range(3)]
    assert [len(batch) for batch in overlays._batches(images)] == [1, 1, 1]


def test_an_image_that_cannot_be_read_does_not_keep_others_from_being_painted(
    trained: Predictor, tmp_path: Path
) -> None:
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(write_jpeg(tmp_path / "whole.jpg", 64, 48).read_bytes()[:300])
    pictures = painted(trained, [torn, tmp_path / "whole.jpg"], tmp_path)
    assert str(torn) in str(pictures["torn.jpg"].failures[0]) and pictures["torn.jpg"].pictures == ()
    assert pictures["whole.jpg"] == Painted(tmp_path / "whole.jpg", (tmp_path / "whole.mask.png",), ())


def test_a_picture_that_cannot_be_written_does_not_keep_others_from_being_painted(
    trained: Predictor, tmp_path: Path
) -> None:
    (tmp_path / "a.overlay.jpg").mkdir()
    images = [write_jpeg(tmp_path / f"{name}.jpg", 20, 10) for name in "ab"]
    pictures = painted(trained, images, tmp_path, "overlay", "mask")
    assert str(pictures["a.jpg"].failures[0]).startswith(
        f"{tmp_path / 'a.overlay.jpg'} cannot be written: Is a directory"
    )
    assert pictures["a.jpg"].pictures == (tmp_path / "a.mask.png",) and len(pictures["b.jpg"].pictures) == 2


def test_an_image_too_wide_for_a_jpeg_still_gets_its_mask(trained: Predictor, tmp_path: Path) -> None:
    image = tmp_path / "wide.png"
    Image.new("RGB", (66_000, 2)).save(image)
    pictures = painted(trained, [image], tmp_path, "overlay", "mask")["wide.png"]
    assert "wide.overlay.jpg cannot be written" in str(pictures.failures[0]) and "66000x2 pixels" in str(
        pictures.failures[0]
    )
    assert pictures.pictures == (tmp_path / "wide.mask.png",)


def test_a_photograph_taken_sideways_is_painted_upright(trained: Predictor, tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 20))
    exif = image.getexif()
    exif[0x0112] = 6  # a quarter turn
    image.save(tmp_path / "turned.jpg", exif=exif)
    painted(trained, [tmp_path / "turned.jpg"], tmp_path, "overlay")
    assert Image.open(tmp_path / "turned.overlay.jpg").size == (20, 40)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16"])
def test_images_of_every_mode_are_taken(trained: Predictor, tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("image.tif" if mode in ("CMYK", "I;16") else "image.png")
    Image.new(mode, (20, 10)).save(path)
    assert painted(trained, [path], tmp_path, "overlay")[path.name].pictures == (tmp_path / "image.overlay.jpg",)


def test_pictures_obey_the_umask(trained: Predictor, tmp_path: Path) -> None:
    image, before = write_jpeg(tmp_path / "street.jpg", 20, 10), os.umask(0o027)
    try:
        painted(trained, [image], tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "street.mask.png").stat().st_mode & 0o777 == 0o640

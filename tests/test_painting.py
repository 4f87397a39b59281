"""Predicted classes become pictures at the image's own size, in the colours of every picture."""

from pathlib import Path

import numpy as np
import pytest
from models import write_model
from PIL import Image
from tiny import make_frames

from bddseg.checkpoint import load_checkpoint
from bddseg.errors import DataError
from bddseg.labels import CLASSES, PALETTE
from bddseg.painting import paint_images, paint_labels, paint_mask, paint_overlay
from bddseg.trained import Trained, load_trained

SKY, ROAD = CLASSES.index("sky"), CLASSES.index("road")
CORNERS = np.array([[SKY, SKY], [ROAD, ROAD]])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return load_trained(load_checkpoint(write_model(tmp_path_factory.mktemp("model"))))


def write_jpeg(path: Path, width: int, height: int) -> Path:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_a_mask_holds_the_classes_and_their_colours() -> None:
    mask = paint_mask(Image.new("RGB", (6, 4)), CORNERS)
    assert (mask.mode, mask.size) == ("P", (6, 4))
    assert np.asarray(mask)[:, 0].tolist() == [SKY, SKY, ROAD, ROAD]
    assert mask.convert("RGB").getpixel((0, 0)) == PALETTE[SKY]


def test_an_overlay_is_half_image_and_half_colour() -> None:
    overlay = paint_overlay(Image.new("RGB", (2, 2), (200, 100, 0)), CORNERS)
    expected = [(value + colour) / 2 for value, colour in zip((200, 100, 0), PALETTE[SKY], strict=True)]
    assert np.allclose(overlay.getpixel((0, 0)), expected, atol=1)


def test_labels_are_bdd100ks_own_numbers() -> None:
    labels = np.asarray(paint_labels(Image.new("RGB", (2, 2)), CORNERS))
    assert labels.tolist() == [[10, 10], [0, 0]]


@pytest.mark.parametrize("size", [(1280, 720), (33, 17), (1, 1)])
def test_pictures_have_the_size_of_their_image(trained: Trained, tmp_path: Path, size: tuple[int, int]) -> None:
    image = write_jpeg(tmp_path / "street.jpg", *size)
    ((_, pictures),) = paint_images(trained, [image], tmp_path, ["overlay", "mask", "labels"])
    assert isinstance(pictures, list)
    assert [path.name for path in pictures] == ["street.overlay.jpg", "street.mask.png", "street.labels.png"]
    assert {Image.open(path).size for path in pictures} == {size}


def test_a_mask_is_what_the_network_predicts(trained: Trained, tmp_path: Path) -> None:
    pixels = make_frames(images=1).images[0]
    Image.fromarray(pixels).save(tmp_path / "frame.png")
    list(paint_images(trained, [tmp_path / "frame.png"], tmp_path, ["mask"]))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "frame.mask.png")), trained.predict(pixels[None])[0])


def test_more_images_than_a_batch_are_all_painted_alike(trained: Trained, tmp_path: Path) -> None:
    images = [write_jpeg(tmp_path / f"{width}.jpg", width, 20) for width in range(20, 31)]
    found = dict(paint_images(trained, images, tmp_path, ["mask"]))
    assert list(found) == images
    together = (tmp_path / "30.mask.png").read_bytes()
    list(paint_images(trained, images[-1:], tmp_path, ["mask"]))
    assert (tmp_path / "30.mask.png").read_bytes() == together


def test_an_image_that_cannot_be_read_does_not_keep_others_from_being_painted(trained: Trained, tmp_path: Path) -> None:
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(write_jpeg(tmp_path / "whole.jpg", 64, 48).read_bytes()[:300])
    found = dict(paint_images(trained, [torn, tmp_path / "whole.jpg"], tmp_path, ["mask"]))
    assert isinstance(found[torn], DataError) and str(torn) in str(found[torn])
    assert found[tmp_path / "whole.jpg"] == [tmp_path / "whole.mask.png"]


def test_a_photograph_taken_sideways_is_painted_upright(trained: Trained, tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 20))
    exif = image.getexif()
    exif[0x0112] = 6  # a quarter turn
    image.save(tmp_path / "turned.jpg", exif=exif)
    list(paint_images(trained, [tmp_path / "turned.jpg"], tmp_path, ["overlay"]))
    assert Image.open(tmp_path / "turned.overlay.jpg").size == (20, 40)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16"])
def test_images_of_every_mode_are_taken(trained: Trained, tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("image.tif" if mode in ("CMYK", "I;16") else "image.png")
    Image.new(mode, (20, 10)).save(path)
    ((_, found),) = paint_images(trained, [path], tmp_path, ["overlay"])
    assert found == [tmp_path / "image.overlay.jpg"]


def test_a_folder_that_cannot_be_written_is_said(trained: Trained, tmp_path: Path) -> None:
    image = write_jpeg(tmp_path / "street.jpg", 20, 10)
    with pytest.raises(DataError, match="choose another --out"):
        list(paint_images(trained, [image], tmp_path / "nowhere", ["mask"]))

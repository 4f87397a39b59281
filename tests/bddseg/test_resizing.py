"""The resize inside exported files gives the bytes of Pillow's, whatever the size and shape of a picture."""

import numpy as np
import pytest
import torch
from PIL import Image

from bddseg.data.image_io import shrink
from bddseg.resizing import Fit


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def fitted(picture: np.ndarray, size_px: int) -> np.ndarray:
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    return Fit(size_px)(pixels)[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("size_px", [16, 100, 128])
@pytest.mark.parametrize(
    "shape",
    [(1280, 720), (720, 1280), (480, 360), (96, 72), (37, 511), (1, 1), (1, 500), (13, 7), (128, 999), (1921, 1081)],
)
def test_bytes_are_those_of_pillow(shape: tuple[int, int], size_px: int) -> None:
    picture = noise(*shape)
    assert np.array_equal(fitted(picture, size_px), np.asarray(shrink(Image.fromarray(picture), size_px)))


def test_the_order_of_the_passes_is_that_of_pillow() -> None:
    for height in range(100, 300, 3):  # Pillow takes columns first from 185 on
        picture = noise(100, height)
        assert np.array_equal(fitted(picture, 16), np.asarray(shrink(Image.fromarray(picture), 16)))


def test_a_picture_of_the_networks_size_is_left_as_it_is() -> None:
    picture = noise(64, 64)
    assert np.array_equal(fitted(picture, 64), picture)

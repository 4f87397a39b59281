"""Scores become classes at the image's size: as torch interpolates them, tile by tile."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from bddseg import upsampling
from bddseg.upsampling import enlarge_classes


def scores(size: int = 8, classes: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(classes, size, size)).astype(np.float32)


def test_an_edge_between_two_classes_lies_between_the_pixels_that_have_them() -> None:
    row = np.array([[[4.0, 0.0]], [[0.0, 4.0]]], dtype=np.float32)
    assert enlarge_classes(row, 8, 1).tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]


def test_a_strong_class_reaches_further() -> None:
    row = np.array([[[9.0, 0.0]], [[0.0, 3.0]]], dtype=np.float32)
    assert enlarge_classes(row, 8, 1).tolist() == [[0, 0, 0, 0, 0, 1, 1, 1]]


def test_at_the_size_of_the_network_nothing_changes() -> None:
    assert np.array_equal(enlarge_classes(scores(), 8, 8), scores().argmax(0))


@pytest.mark.parametrize("size", [(40, 24), (5, 3), (9, 100), (1, 1)])
def test_classes_are_those_of_torch(size: tuple[int, int]) -> None:
    width, height = size
    enlarged = interpolate(torch.from_numpy(scores())[None], (height, width), mode="bilinear", align_corners=False)
    assert np.array_equal(enlarge_classes(scores(), width, height), enlarged.argmax(1)[0].numpy())


@pytest.mark.parametrize("tile", [1, 7, 64])
def test_tiles_do_not_show(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = enlarge_classes(scores(), 50, 30)
    monkeypatch.setattr(upsampling, "TILE_PX", tile)
    assert np.array_equal(enlarge_classes(scores(), 50, 30), whole)

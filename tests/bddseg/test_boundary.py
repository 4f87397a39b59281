"""Boundary IoU: bands counted by hand, against plain erosion, and ignored pixels."""

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion

from bddseg.boundary import band_px, count_boundaries
from bddseg.confusion import boundary_iou
from bddseg.task import IGNORE


def square(size: int, start: int, side: int) -> torch.Tensor:
    """Return a mask of class 1 in a field of class 0."""
    masks = torch.zeros(1, size, size, dtype=torch.long)
    masks[:, start : start + side, start : start + side] = 1
    return masks


@pytest.mark.parametrize(("height", "width", "pixels"), [(64, 64, 2), (128, 128, 4), (720, 1280, 29), (8, 8, 1)])
def test_the_band_is_2_percent_of_the_diagonal(height: int, width: int, pixels: int) -> None:
    assert band_px(height, width) == pixels


def test_the_band_of_a_square_is_its_rim() -> None:
    masks = square(16, 4, 6)  # a rim of one pixel: 36 - 16
    assert count_boundaries(masks, masks, 2)[0, 1].tolist() == [20, 20]


def test_the_edge_of_the_image_is_an_outline() -> None:
    masks = torch.zeros(1, 16, 16, dtype=torch.long)
    assert count_boundaries(masks, masks, 1)[0, 0].tolist() == [60, 60]


def test_a_square_moved_by_one_pixel_keeps_part_of_its_rim() -> None:
    intersection, union = count_boundaries(square(16, 4, 6), square(16, 5, 6), 2)[0, 1].tolist()
    assert (intersection, union) == (2, 38)  # the rims cross twice: 20 + 20 - 2


def test_what_is_ignored_is_not_counted_and_makes_no_outline() -> None:
    truth, prediction = square(16, 4, 6), square(16, 4, 6)
    truth[:, 4, :] = IGNORE  # the upper side of the rim
    assert count_boundaries(truth, prediction, 2)[0, 1].tolist() == [14, 14]  # of a rim of 20


@pytest.mark.parametrize("size", [16, 64])
def test_bands_are_what_plain_erosion_takes_away(size: int) -> None:
    masks = torch.randint(3, (2, size // 8, size // 8), generator=torch.Generator().manual_seed(0))
    masks = masks.repeat_interleave(8, 1).repeat_interleave(8, 2)
    counted = count_boundaries(masks, masks, 3)
    kernel = np.ones([2 * band_px(size, size) + 1] * 2)
    for image, mask in enumerate(masks.numpy()):
        bands = [(mask == name) & ~binary_erosion(mask == name, kernel, border_value=0) for name in range(3)]
        assert counted[image, :, 1].tolist() == [int(band.sum()) for band in bands]


def test_boundary_iou_divides_once() -> None:
    assert boundary_iou(np.array([[[1, 4], [0, 3]], [[3, 4], [0, 0]]]).sum(0)).tolist() == [0.5, 0.0]


def test_a_class_without_an_outline_is_not_a_number() -> None:
    assert np.isnan(boundary_iou(np.array([[2, 4], [0, 0]]))).tolist() == [False, True]


def test_nothing_is_read_back_to_the_host() -> None:
    masks = torch.empty(2, 8, 8, dtype=torch.long, device="meta")
    assert count_boundaries(masks, masks, 5).shape == (2, 5, 2)

"""Regions and openings, by hand and against scipy.ndimage."""

import numpy as np
from scipy import ndimage

from sweeps.exploration.regions import find_regions, survives_opening


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (37, 53), dtype=np.uint8)


def blobs(seed: int) -> np.ndarray:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((60, 80)), 3)
    return np.digitize(smooth, [-0.05, 0.05]).astype(np.uint8)


def test_pixels_that_touch_at_a_corner_are_two_regions() -> None:
    regions = find_regions(np.array([[1, 0], [0, 1]], dtype=np.uint8))
    assert sorted(regions.values) == [0, 0, 1, 1]
    assert regions.sizes_px.tolist() == [1, 1, 1, 1]


def test_a_ring_is_one_region_around_another() -> None:
    mask = np.ones((5, 5), dtype=np.uint8)
    mask[1:4, 1:4] = 2
    regions = find_regions(mask)
    assert dict(zip(regions.values.tolist(), regions.sizes_px.tolist(), strict=True)) == {1: 16, 2: 9}


def test_every_pixel_belongs_to_a_region_of_its_own_value() -> None:
    mask, regions = noise(1), find_regions(noise(1))
    assert np.array_equal(regions.values[regions.region_of_run[regions.runs]], mask)


def test_regions_are_those_of_scipy_for_every_class_of_noise_and_of_blobs() -> None:
    for mask in (noise(2), blobs(3)):
        regions = find_regions(mask)
        for value in range(4):
            labelled, number = ndimage.label(mask == value)
            sizes = np.bincount(labelled.ravel())[1:]
            assert sorted(regions.sizes_px[regions.values == value]) == sorted(sizes)
            assert number == (regions.values == value).sum()


def test_an_opening_leaves_a_square_of_three_and_removes_a_line_of_two() -> None:
    mask = np.zeros((7, 12), dtype=np.uint8)
    mask[2:5, 1:4] = 1
    mask[1:6, 7:9] = 1
    survives = survives_opening(mask)
    assert survives[2:5, 1:4].all()
    assert not survives[1:6, 7:9].any()


def test_an_opening_is_that_of_scipy_for_every_class() -> None:
    for mask in (noise(4), blobs(5)):
        expected = np.zeros(mask.shape, dtype=bool)
        for value in range(4):
            expected |= ndimage.binary_opening(mask == value, np.ones((3, 3), dtype=bool))
        assert np.array_equal(survives_opening(mask), expected)


def test_an_opening_removes_a_mask_of_two_rows() -> None:
    assert not survives_opening(np.ones((2, 9), dtype=np.uint8)).any()

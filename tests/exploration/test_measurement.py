"""One image and its mask -> numbers, by hand and against Pillow and training."""

from pathlib import Path

import numpy as np
import pytest
from explorations import CAR, IGNORED, ROAD, SIZE_PX, SKY, describe, scene, write_pairs
from PIL import Image

from bddseg.data.catalog import read_catalog
from sweeps.exploration.measurement import SIZES_PX, Damage, Measurement, _sampled, measure_all


def measured(root: Path, mask: np.ndarray, **changes: object) -> Measurement | Damage:
    description = describe(**changes)
    catalog = read_catalog(write_pairs(root, {"a": mask}), description)
    return measure_all(catalog.samples, description, SIZE_PX)[0]


def numbers(root: Path, mask: np.ndarray, **changes: object) -> Measurement:
    result = measured(root, mask, **changes)
    assert isinstance(result, Measurement)
    return result


def test_pixels_are_counted_by_class_with_the_ignored_ones_last(tmp_path: Path) -> None:
    mask = scene(car=True)
    mask[0, :5] = IGNORED
    assert numbers(tmp_path, mask).pixels.tolist() == [507, 464, 48, 5]


def test_each_class_has_its_regions(tmp_path: Path) -> None:
    mask = scene(car=True)
    mask[2, 2] = CAR
    row = numbers(tmp_path, mask)
    assert row.regions.tolist() == [1, 1, 2]
    assert row.region_sizes[CAR].nonzero()[0].tolist() == [0, 5]  # of 1 pixel, and of 48


def test_an_opening_removes_a_single_pixel(tmp_path: Path) -> None:
    mask = scene()
    mask[2, 2] = CAR
    assert numbers(tmp_path, mask).opened_px[CAR] == 1


def test_a_mask_of_64_pixels_is_itself_again_after_sizes_from_64_on(tmp_path: Path) -> None:
    row = numbers(tmp_path, scene(car=True, side=64))
    for number, size in enumerate(SIZES_PX):
        if size >= 64:
            assert row.shared_px[number].tolist() == row.pixels[:-1].tolist() == row.restored_px[number].tolist()
            assert not row.regions_lost[number].any()


def test_half_the_size_loses_a_region_between_the_pixels_that_are_taken(tmp_path: Path) -> None:
    mask = scene(side=64)
    mask[10, 10] = CAR  # NEAREST takes the odd rows and columns
    row = numbers(tmp_path, mask)
    assert row.regions_lost[SIZES_PX.index(32)].tolist() == [0, 0, 1]
    assert row.shared_px[SIZES_PX.index(32), CAR] == 0


@pytest.mark.parametrize("shape", [(33, 57), (360, 480), (19, 7)])
@pytest.mark.parametrize("size", SIZES_PX)
def test_the_pixels_of_a_size_are_those_that_pillow_takes(shape: tuple[int, int], size: int) -> None:
    mask = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    expected = np.asarray(Image.fromarray(mask).resize((size, size), Image.Resampling.NEAREST))
    assert np.array_equal(mask[_sampled(shape[1], shape[0], size)], expected)


def test_pixels_that_keep_their_class_are_those_of_pillow_there_and_back(tmp_path: Path) -> None:
    mask = np.random.default_rng(1).integers(0, 3, (45, 70), dtype=np.uint8)
    row, image = numbers(tmp_path, mask), Image.fromarray(mask)
    for number, size in enumerate(SIZES_PX):
        small = image.resize((size, size), Image.Resampling.NEAREST)
        again = np.asarray(small.resize((70, 45), Image.Resampling.NEAREST))
        for value in (SKY, ROAD, CAR):
            assert row.shared_px[number, value] == ((again == value) & (mask == value)).sum()
            assert row.restored_px[number, value] == (again == value).sum()


def test_a_mask_of_another_size_cannot_be_used(tmp_path: Path) -> None:
    write_pairs(tmp_path, {"a": scene()})
    Image.fromarray(scene(side=30)).save(tmp_path / "masks/a.png")
    (result,) = measure_all(read_catalog(tmp_path, describe()).samples, describe(), SIZE_PX)
    assert isinstance(result, Damage)
    assert (result.kind, "is 30x30 pixels, but must be 32x32" in result.reason) == ("sizes differ", True)


def test_a_value_that_no_class_has_is_named_with_its_pixels(tmp_path: Path) -> None:
    mask = scene()
    mask[0, :7] = 9
    result = measured(tmp_path, mask)
    assert isinstance(result, Damage)
    assert (result.kind, "9 (7 pixels)" in result.reason) == ("unknown values", True)


def test_an_image_that_is_truncated_by_one_byte_is_unreadable(tmp_path: Path) -> None:
    write_pairs(tmp_path, {"a": scene(), "b": scene()})
    path = tmp_path / "images/a.png"
    path.write_bytes(path.read_bytes()[:-1])
    broken, sound = measure_all(read_catalog(tmp_path, describe()).samples, describe(), SIZE_PX)
    assert isinstance(broken, Damage) and broken.kind == "unreadable" and "a.png" in broken.reason
    assert isinstance(sound, Measurement)


def test_a_damaged_file_in_a_folder_called_unknown_is_unreadable(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "has the unknown", {"a": scene()})
    (root / "images/a.png").write_bytes(b"text")
    (result,) = measure_all(read_catalog(root, describe()).samples, describe(), SIZE_PX)
    assert isinstance(result, Damage) and result.kind == "unreadable"


def test_a_grey_image_has_its_level_as_brightness_and_no_contrast(tmp_path: Path) -> None:
    description = describe()
    catalog = read_catalog(write_pairs(tmp_path, {"a": scene()}, level=255), description)
    (row,) = measure_all(catalog.samples, description, SIZE_PX)
    assert isinstance(row, Measurement)
    assert (row.brightness, row.contrast) == (1.0, 0.0)
    assert row.sums.tolist() == [255 * SIZE_PX**2] * 3

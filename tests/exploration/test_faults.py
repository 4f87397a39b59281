"""Each kind of fault in a folder that has exactly that one."""

from pathlib import Path

import numpy as np
from explorations import CAR, IGNORED, ROAD, SKY, scene, survey_folder, survey_masks, write_pairs
from PIL import Image

from sweeps.exploration.faults import find_faults
from sweeps.exploration.survey import Survey

DRIVE = "([a-z]+)_"


def kinds(survey: Survey) -> list[tuple[str, str]]:
    return [(fault.name, fault.kind) for fault in find_faults(survey)]


def test_alike_sound_masks_have_no_fault(tmp_path: Path) -> None:
    assert kinds(survey_masks(tmp_path, [scene(car=True)] * 10, drive=DRIVE)) == []


def test_a_mask_without_the_road_that_almost_all_have_is_suspect(tmp_path: Path) -> None:
    without = scene()
    without[without == ROAD] = IGNORED
    survey = survey_masks(tmp_path, [scene()] * 19 + [without])
    (fault,) = [fault for fault in find_faults(survey) if fault.kind == "class missing"]
    assert (fault.name, fault.reason) == ("a_19", "no road, which 95.0% of the images have")


def test_a_small_class_that_is_missing_is_no_fault(tmp_path: Path) -> None:
    assert kinds(survey_masks(tmp_path, [scene(car=True)] * 19 + [scene()])) == []


def test_a_mask_of_one_value_is_suspect(tmp_path: Path) -> None:
    survey = survey_masks(tmp_path, [scene(), np.full((32, 32), SKY, dtype=np.uint8)])
    (fault,) = find_faults(survey)
    assert (fault.name, fault.kind, fault.reason) == ("a_01", "one value", "every pixel of the mask is sky")


def test_sky_below_road_is_suspect(tmp_path: Path) -> None:
    survey = survey_masks(tmp_path, [scene()] * 19 + [scene()[::-1]])
    assert kinds(survey) == [("a_19", "upside down")]
    assert find_faults(survey)[0].reason == "sky lies below road"


def test_a_mask_that_differs_from_both_neighbours_in_its_drive_is_suspect(tmp_path: Path) -> None:
    masks = [scene(car=number % 3 == 0) for number in range(12)]
    masks[5] = masks[5].copy()
    masks[5][16:, :20] = CAR
    assert kinds(survey_masks(tmp_path, masks, drive=DRIVE)) == [("a_05", "disagrees")]


def test_masks_of_different_drives_are_no_neighbours(tmp_path: Path) -> None:
    masks = {f"{chr(97 + number)}_0": scene() for number in range(11)}
    masks["f_0"] = np.where(scene() == ROAD, CAR, scene()).astype(np.uint8)
    survey = survey_folder(write_pairs(tmp_path, masks), drive=DRIVE)
    assert "disagrees" not in {kind for _, kind in kinds(survey)}


def test_a_mask_of_noise_is_suspect(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 3, (32, 32), dtype=np.uint8)
    assert kinds(survey_masks(tmp_path, [scene(), noise])) == [("a_01", "noise")]


def test_an_image_of_an_unusual_size_is_named_with_both_sizes(tmp_path: Path) -> None:
    survey = survey_masks(tmp_path, [scene()] * 19 + [scene(side=48)])
    (fault,) = find_faults(survey)
    assert (fault.kind, fault.reason) == ("unusual size", "48x48 pixels; 19 images have 32x32")


def test_files_that_cannot_be_used_come_first(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, {"a": scene(), "b": scene(), "c": np.full((32, 32), SKY, dtype=np.uint8)})
    (root / "images/b.png").write_bytes(b"no image")
    Image.fromarray(scene(side=30)).save(root / "masks/a.png")
    assert kinds(survey_folder(root)) == [("b", "unreadable"), ("a", "sizes differ"), ("c", "one value")]

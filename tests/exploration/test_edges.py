"""Folders that are hardly there: a page all the same, or one clear line."""

import json
from pathlib import Path

import numpy as np
import pytest
from explorations import IGNORED, describe, scene, survey_folder, survey_masks, write_pairs
from PIL import Image

from bddseg.data.skip_list import read_skip_list
from bddseg.errors import DataError
from sweeps.exploration.faults import find_faults
from sweeps.exploration.page import write_page
from sweeps.exploration.survey import Survey


def sections(survey: Survey, out: Path) -> dict[str, str]:
    write_page(survey, find_faults(survey), out)
    record = json.loads((out / "explore.json").read_text())
    return {name: section["sentence"] for name, section in record["sections"].items()}


def test_one_image_has_a_page(tmp_path: Path) -> None:
    said = sections(survey_masks(tmp_path / "data", [scene()]), tmp_path / "out")
    assert said["contents"] == "1 usable image has a mask, all of 32x32 pixels."
    assert said["split"].startswith("These images cannot be split")
    assert "attributes" not in said


def test_masks_without_any_label_have_a_page(tmp_path: Path) -> None:
    ignored = np.full((32, 32), IGNORED, dtype=np.uint8)
    said = sections(survey_masks(tmp_path / "data", [ignored] * 3), tmp_path / "out")
    assert said["faults"] == "3 images of 3 are faulty or suspect: 3 masks of one value."
    assert "resolution" not in said


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_images_of_one_pixel_or_row_have_a_page(tmp_path: Path, shape: tuple[int, int]) -> None:
    said = sections(survey_masks(tmp_path / "data", [np.zeros(shape, dtype=np.uint8)] * 2), tmp_path / "out")
    assert "2 images of 2 are faulty or suspect" in said["faults"]


def test_a_folder_in_which_nothing_can_be_used_is_refused_with_the_first_reason(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, {"a": scene()})
    (root / "images/a.png").write_bytes(b"text")
    with pytest.raises(DataError, match=r"none of the 1 images under .* the first: .*a\.png"):
        survey_folder(root)


def test_masks_of_colours_are_counted_as_those_of_values_are(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, {"a": scene(car=True)})
    by_value = survey_folder(root)
    palette = np.array([label.colour for label in describe().classes], dtype=np.uint8)
    Image.fromarray(palette[scene(car=True)]).save(root / "masks/a.png")
    classes = {label.name: {"mask_colours": list(label.colour)} for label in describe().classes}
    by_colour = survey_folder(root, classes=classes)
    for key in ("pixels", "regions", "shared_px", "grid"):
        assert np.array_equal(by_value.arrays[key], by_colour.arrays[key])


def test_the_faults_are_a_list_that_training_skips(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "data", {"a": scene(), "-b": np.zeros((32, 32), dtype=np.uint8)})
    survey = survey_folder(root)
    write_page(survey, find_faults(survey), tmp_path / "out")
    assert read_skip_list(tmp_path / "out/faults.csv") == {"-b": "every pixel of the mask is sky"}

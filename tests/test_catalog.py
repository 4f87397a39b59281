"""The catalog: what is usable in a folder, what is left out, and what is refused."""

import json
from collections import Counter
from pathlib import Path

import pytest
from folders import REAL_DATA, needs_real_data, write_det, write_folder, write_image, write_mask

from bddseg.catalog import is_dataset, read_catalog
from bddseg.errors import DataError

CITY, HIGHWAY = "city street", "highway"


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_catalog(root)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_sample_has_image_mask_and_attributes(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": HIGHWAY})
    (sample,) = read_catalog(root).samples
    assert (sample.name, sample.scene, sample.weather, sample.timeofday) == ("a", HIGHWAY, "clear", "daytime")
    assert sample.image == root / "images/10k/train/a.jpg"
    assert sample.mask == root / "labels/sem_seg/masks/train/a.png"


def test_samples_of_both_parts_are_sorted_by_name(tmp_path: Path) -> None:
    write_folder(tmp_path, {"c": CITY, "a": CITY}, part="train")
    write_folder(tmp_path, {"b": CITY}, part="val")
    assert [sample.name for sample in read_catalog(tmp_path).samples] == ["a", "b", "c"]


def test_a_scene_is_found_in_the_other_parts_det_file(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": CITY}, part="train")
    write_det(tmp_path, {}, part="train")
    write_det(tmp_path, {"a": HIGHWAY}, part="val")
    assert read_catalog(tmp_path).samples[0].scene == HIGHWAY


def test_the_first_of_two_entries_of_a_name_counts(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": CITY}, part="train")
    write_det(tmp_path, {"a": HIGHWAY}, part="val")
    assert read_catalog(tmp_path).samples[0].scene == CITY


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": CITY, "b": CITY})
    write_image(tmp_path, "no_mask")
    write_image(tmp_path, "nothing")
    write_image(tmp_path, "no_scene")
    write_mask(tmp_path, "no_scene")
    write_det(tmp_path, {"a": CITY, "b": CITY, "no_mask": CITY, "x": CITY, "y": CITY, "z": CITY})
    catalog = read_catalog(tmp_path)
    assert (len(catalog.samples), catalog.without_scene, catalog.without_mask, catalog.without_image) == (2, 2, 1, 3)


def test_the_summary_says_what_is_there_and_what_is_left_out(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": CITY, "b": CITY, "c": HIGHWAY})
    write_image(tmp_path, "no_mask")
    write_image(tmp_path, "no_scene")
    write_det(tmp_path, {"a": CITY, "b": CITY, "c": HIGHWAY, "no_mask": CITY, "x": CITY})
    assert read_catalog(tmp_path).summary() == (
        f"3 images with mask and scene in {tmp_path}: city street 2, highway 1",
        "1 image left out: no scene in labels/det_20",
        "1 image left out: no mask in labels/sem_seg/masks",
        "entries of labels/det_20 without an image: 1",
    )


def test_a_complete_folder_has_a_summary_of_one_line(tmp_path: Path) -> None:
    assert len(read_catalog(write_folder(tmp_path, {"a": CITY})).summary()) == 1


def test_an_unknown_scene_is_kept_and_noted(tmp_path: Path) -> None:
    catalog = read_catalog(write_folder(tmp_path, {"a": CITY, "b": "moon"}))
    assert catalog.samples[1].scene == "moon"
    assert catalog.summary()[-1] == "1 image with the scene 'moon', unknown to BDD100K"


def test_weather_and_time_of_day_default_to_undefined(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    entries = [{"name": "a.jpg", "attributes": {"scene": CITY, "weather": None}}]
    (root / "labels/det_20/det_train.json").write_text(json.dumps(entries))
    (sample,) = read_catalog(root).samples
    assert (sample.weather, sample.timeofday) == ("undefined", "undefined")


def test_boxes_in_a_det_file_do_not_matter(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    box = {"id": "1", "attributes": {"occluded": False}, "category": "car", "box2d": {"x1": 1.5}}
    entry = {"name": "a.jpg", "attributes": {"scene": HIGHWAY}, "labels": [box], "timestamp": 10000}
    (root / "labels/det_20/det_train.json").write_text(json.dumps([entry]))
    assert read_catalog(root).samples[0].scene == HIGHWAY


def test_hidden_files_are_no_images(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": CITY})
    (tmp_path / "images/10k/train/._a.jpg").write_bytes(b"left by an archive")
    assert read_catalog(tmp_path).without_scene == 0


def test_a_dataset_is_recognised_by_its_images(tmp_path: Path) -> None:
    assert not is_dataset(tmp_path / "none")
    assert not is_dataset(tmp_path)
    assert is_dataset(write_folder(tmp_path, {"a": CITY}))


def test_a_path_that_does_not_exist_is_refused_with_the_cure(tmp_path: Path) -> None:
    message = refusal(tmp_path / "none")
    assert (
        f"{tmp_path / 'none'} does not exist: looked for images/10k, labels/sem_seg/masks and labels/det_20" in message
    )
    assert "from the BDD100K project's download page" in message


def test_a_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'} is not a folder" in refusal(tmp_path / "file")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path} has no images: looked for *.jpg in images/10k/train and images/10k/val")


def test_a_folder_without_masks_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path, "a")
    write_det(tmp_path, {"a": CITY})
    assert f"{tmp_path} has no masks: looked for *.png in labels/sem_seg/masks/train" in refusal(tmp_path)


def test_a_folder_without_det_files_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path, "a")
    write_mask(tmp_path, "a")
    assert f"{tmp_path} has no det file: looked for det_train.json and det_val.json" in refusal(tmp_path)


def test_a_det_file_that_is_not_json_is_named_with_the_position(tmp_path: Path) -> None:
    path = write_folder(tmp_path, {"a": CITY}) / "labels/det_20/det_train.json"
    path.write_text('[\n{"name": "a.jpg", oops')
    assert refusal(tmp_path).startswith(f"{path} is not JSON: Expecting property name enclosed in double quotes")
    assert "at line 2 column 19" in refusal(tmp_path)


def test_a_det_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = write_folder(tmp_path, {"a": CITY}) / "labels/det_20/det_train.json"
    path.write_bytes(b'["\xff\xfe"]')
    assert f"{path} is not JSON: no text at byte 2" in refusal(tmp_path)


@pytest.mark.parametrize("text", ["{}", '{"name": "a.jpg"}', "3", "null"])
def test_a_det_file_that_is_no_list_is_refused(tmp_path: Path, text: str) -> None:
    path = write_folder(tmp_path, {"a": CITY}) / "labels/det_20/det_train.json"
    path.write_text(text)
    assert refusal(tmp_path) == f"{path} must be a list of objects with name and attributes.scene, but is no list"


@pytest.mark.parametrize(
    "entry",
    [3, {}, {"name": "a.jpg"}, {"name": 5, "attributes": {"scene": CITY}}, {"name": "a.jpg", "attributes": {}},
     {"name": "a.jpg", "attributes": {"scene": None}}, {"name": "a.jpg", "attributes": [CITY]}],
)  # fmt: skip
def test_a_det_entry_of_the_wrong_shape_is_named(tmp_path: Path, entry: object) -> None:
    path = write_folder(tmp_path, {"a": CITY}) / "labels/det_20/det_train.json"
    path.write_text(json.dumps([{"name": "a.jpg", "attributes": {"scene": CITY}}, entry]))
    assert refusal(tmp_path) == f"{path}: entry 2 must be an object with the texts name and attributes.scene"


def test_images_that_fit_neither_masks_nor_scenes_are_refused(tmp_path: Path) -> None:
    write_image(tmp_path, "a")
    write_mask(tmp_path, "b")
    write_det(tmp_path, {"c": CITY})
    assert f"no image in {tmp_path} has both a scene and a mask: 1 images, 1 masks and 1 det" in refusal(tmp_path)


def test_one_name_in_two_parts_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": CITY}, part="train")
    path = write_image(tmp_path, "a", part="val")
    assert f"{path} have the same name" in refusal(tmp_path)


@needs_real_data
def test_the_real_frames_are_counted_as_documented() -> None:
    catalog = read_catalog(REAL_DATA)
    scenes = Counter(sample.scene for sample in catalog.samples)
    assert scenes == {"city street": 345, "parking lot": 59, "highway": 27, "gas stations": 9}
    assert (len(catalog.samples), catalog.without_scene, catalog.without_mask, catalog.without_image) == (
        440,
        28,
        0,
        40,
    )

"""The catalog: what is usable in a folder, what is left out, and what is refused."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from folders import REAL_DATA, needs_real_data, write_det, write_folder, write_image, write_mask

from bddseg.data.bdd100k import is_dataset
from bddseg.data.catalog import read_catalog
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
    assert (sample.name, sample.part) == ("a", "train")
    assert sample.attributes == {"scene": HIGHWAY, "weather": "clear", "timeofday": "daytime"}
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
    assert read_catalog(tmp_path).samples[0].attributes["scene"] == HIGHWAY


def test_two_entries_of_a_name_that_agree_are_one(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": CITY}, part="train")
    write_det(tmp_path, {"a": CITY}, part="val")
    assert read_catalog(tmp_path).samples[0].attributes["scene"] == CITY


@pytest.mark.parametrize("part", ["train", "val"])
def test_two_entries_of_a_name_that_contradict_each_other_are_refused(tmp_path: Path, part: str) -> None:
    write_folder(tmp_path, {"a": CITY}, part="train")
    paths = [tmp_path / f"labels/det_20/det_{part}.json" for part in ("train", part)]
    entries = [{"name": "a.jpg", "attributes": {"scene": scene}} for scene in (CITY, HIGHWAY)]
    if part == "train":
        paths[0].write_text(json.dumps(entries))
    else:
        write_det(tmp_path, {"a": HIGHWAY}, part="val")
    number = 2 if part == "train" else 1
    assert refusal(tmp_path) == (
        f"a.jpg has two entries that contradict each other: the scene is 'city street' in entry 1 of {paths[0]}, but "
        f"'highway' in entry {number} of {paths[1]}; remove one"
    )


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": CITY, "b": CITY})
    write_image(tmp_path, "no_mask")
    write_image(tmp_path, "nothing")
    write_image(tmp_path, "no_scene")
    write_mask(tmp_path, "no_scene")
    write_det(tmp_path, {"a": CITY, "b": CITY, "no_mask": CITY, "x": CITY, "y": CITY, "z": CITY})
    catalog = read_catalog(tmp_path)
    assert len(catalog.samples) == 2
    assert catalog.names("without_attributes") == ("no_scene", "nothing")
    assert (catalog.names("without_mask"), catalog.names("without_image")) == (("no_mask",), ("x", "y", "z"))


def test_the_summary_says_what_is_there_and_what_is_left_out(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": CITY, "b": CITY, "c": HIGHWAY})
    write_image(tmp_path, "no_mask")
    write_image(tmp_path, "no_scene")
    write_det(tmp_path, {"a": CITY, "b": CITY, "c": HIGHWAY, "no_mask": CITY, "x": CITY})
    assert read_catalog(tmp_path).summary() == (
        f"3 images with mask and scene in {tmp_path}: city street 2, highway 1",
        "attributes from labels/det_20/det_train.json (3 images)",
        "1 image left out: no scene in labels/det_20: no_scene",
        "1 image left out: no mask in labels/sem_seg/masks: no_mask",
        "1 entry of labels/det_20 without an image: x",
    )


def test_a_complete_folder_has_a_summary_of_two_lines(tmp_path: Path) -> None:
    assert len(read_catalog(write_folder(tmp_path, {"a": CITY})).summary()) == 2


def test_an_unknown_scene_is_kept_and_noted(tmp_path: Path) -> None:
    catalog = read_catalog(write_folder(tmp_path, {"a": CITY, "b": "moon"}))
    assert catalog.samples[1].attributes["scene"] == "moon"
    assert catalog.summary()[-1] == "1 image with the scene 'moon', unknown to BDD100K: counted as not city street"


def test_weather_and_time_of_day_default_to_undefined(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    entries = [{"name": "a.jpg", "attributes": {"scene": CITY, "weather": None}}]
    (root / "labels/det_20/det_train.json").write_text(json.dumps(entries))
    (sample,) = read_catalog(root).samples
    assert (sample.attributes["weather"], sample.attributes["timeofday"]) == ("undefined", "undefined")


def test_boxes_in_a_det_file_do_not_matter(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    box = {"id": "1", "attributes": {"occluded": False}, "category": "car", "box2d": {"x1": 1.5}}
    entry = {"name": "a.jpg", "attributes": {"scene": HIGHWAY}, "labels": [box], "timestamp": 10000}
    (root / "labels/det_20/det_train.json").write_text(json.dumps([entry]))
    assert read_catalog(root).samples[0].attributes["scene"] == HIGHWAY


def test_hidden_files_are_no_images(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": CITY})
    (tmp_path / "images/10k/train/._a.jpg").write_bytes(b"left by an archive")
    assert read_catalog(tmp_path).names("without_attributes") == ()


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


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("{}", "an object"), ('{"name": "a.jpg"}', "an object"), ("3", "a number"), ("null", "null"),
        ('{"frames": {}}', "an object"), ('"a.jpg"', "text"), ("NaN", "a number"),
    ],
)  # fmt: skip
def test_a_det_file_that_is_no_list_is_refused(tmp_path: Path, text: str, kind: str) -> None:
    path = write_folder(tmp_path, {"a": CITY}) / "labels/det_20/det_train.json"
    path.write_text(text)
    assert refusal(tmp_path) == f"{path} must be a list of objects with name and attributes.scene, but is {kind}"


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("3", "is a number, but must be an object"),
        ("null", "is null, but must be an object"),
        ("[]", "is a list, but must be an object"),
        ("{}", "has no name, but must have"),
        ('{"name": 123, "attributes": {"scene": "highway"}}', "has the name 123, but must have the file name"),
        ('{"name": ["a.jpg"]}', "has the name a list, but must have"),
        ('{"name": "a.jpg", "name": "b.jpg"}', "has the name there twice, but must have"),
        ('{"name": "b.jpg", "attributes": {"scene": "highway", "scene": "tunnel"}}',
         "(b.jpg) has scene twice: 'highway' and 'tunnel'; remove one"),
        ('{"name": "b.jpg", "attributes": {"scene": "high\\u001b[2Jway"}}',
         "(b.jpg) has the scene 'high\\x1b[2Jway', which holds control characters"),
    ],
)  # fmt: skip
def test_a_damaged_det_entry_is_named(tmp_path: Path, entry: str, fault: str) -> None:
    path = write_folder(tmp_path, {"a": CITY}) / "labels/det_20/det_train.json"
    path.write_text(f'[{{"name": "a.jpg", "attributes": {{"scene": "city street"}}}}, {entry}]')
    assert refusal(tmp_path).startswith(f"{path}: entry 2 {fault}")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"name": "b.jpg"}, "no attributes"),
        ({"name": "b.jpg", "attributes": None}, "no attributes"),
        ({"name": "b.jpg", "attributes": [CITY]}, "the attributes are a list"),
        ({"name": "b.jpg", "attributes": {"weather": "clear"}}, "no scene"),
        ({"name": "b.jpg", "attributes": {"scene": None}}, "no scene"),
        ({"name": "b.jpg", "attributes": {"scene": " "}}, "the scene is ' '"),
        ({"name": "b.jpg", "attributes": {"scene": 5}}, "the scene is 5"),
    ],
)
def test_an_entry_without_a_scene_leaves_out_its_image_alone(tmp_path: Path, entry: object, why: str) -> None:
    path = write_folder(tmp_path, {"a": CITY, "b": CITY}) / "labels/det_20/det_train.json"
    path.write_text(json.dumps([{"name": "a.jpg", "attributes": {"scene": CITY}}, entry]))
    assert [sample.name for sample in read_catalog(tmp_path).samples] == ["a"]
    assert read_catalog(tmp_path).summary()[2:] == (
        "1 image left out: no scene in labels/det_20: b",
        f"1 entry of labels/det_20 without a scene: b.jpg (entry 2 of {path}: {why})",
    )


def test_of_two_entries_the_one_with_a_scene_counts(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    write_det(root, {"a": CITY}, part="val")
    entries = [{"name": "a.jpg"}, {"name": "b.jpg", "attributes": {"scene": CITY}}]
    (root / "labels/det_20/det_train.json").write_text(json.dumps(entries))
    catalog = read_catalog(root)
    assert len(catalog.samples) == 1 and catalog.names("unusable") == ()


def test_a_det_file_without_any_scene_is_refused(tmp_path: Path) -> None:
    path = write_folder(tmp_path, {"a": CITY}) / "labels/det_20/det_val.json"
    path.write_text('[{"name": "b.jpg"}, {"name": "c.jpg"}]')
    assert refusal(tmp_path) == f"{path} gives no image a scene: b.jpg and all others: no attributes"


def test_a_whole_scalabel_data_set_is_read(tmp_path: Path) -> None:
    path = write_folder(tmp_path, {"a": HIGHWAY}) / "labels/det_20/det_train.json"
    path.write_text(json.dumps({"frames": json.loads(path.read_text()), "groups": [], "config": {"categories": []}}))
    assert read_catalog(tmp_path).samples[0].attributes["scene"] == HIGHWAY


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_det_file_may_begin_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    path = write_folder(tmp_path, {"a": HIGHWAY}) / "labels/det_20/det_train.json"
    path.write_text(path.read_text(), encoding=encoding)
    assert read_catalog(tmp_path).samples[0].attributes["scene"] == HIGHWAY


def test_numbers_that_do_not_matter_may_be_of_any_size(tmp_path: Path) -> None:
    path = write_folder(tmp_path, {"a": HIGHWAY}) / "labels/det_20/det_train.json"
    path.write_text(path.read_text().replace('{"name"', '{"id": ' + "9" * 5000 + ', "score": NaN, "name"'))
    assert read_catalog(tmp_path).samples[0].attributes["scene"] == HIGHWAY


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is not JSON: it is empty"),
        (b" \n", "is not JSON: it is empty"),
        (b"[" * 100_000, "is not JSON as it should be: it is nested too deeply"),
        (
            b'[{"name": "b.jpg", "attributes": {"sce',
            "Unterminated string starting at line 1 column 35, after the name 'b.jpg'",
        ),
        (b'[{"name": "\xdf.jpg"}]', "is not JSON: no text at byte 11"),
    ],
)
def test_what_the_parser_does_not_take_is_one_line(tmp_path: Path, content: bytes, fault: str) -> None:
    path = write_folder(tmp_path, {"a": CITY}) / "labels/det_20/det_train.json"
    path.write_bytes(content)
    message = refusal(tmp_path)
    assert message.startswith(str(path)) and fault in message and message.endswith("; unpack or download it again")


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_a_det_file_that_is_no_file_is_refused_though_the_other_is_one(tmp_path: Path, kind: str) -> None:
    path = write_folder(tmp_path, {"a": CITY}) / "labels/det_20/det_val.json"
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "link": lambda: path.symlink_to("gone")}[kind]()
    message = {"folder": "it is a folder", "pipe": "it is a pipe", "link": "No such file"}[kind]
    assert refusal(tmp_path).startswith(f"{path} cannot be read: {message}")


# --- scenes


@pytest.mark.parametrize("scene", ["City Street", "city street ", "city_street", "city\u00a0street", "city streets"])
def test_a_scene_that_is_spelt_otherwise_is_refused_with_the_number_of_images(tmp_path: Path, scene: str) -> None:
    write_folder(tmp_path, {"a": CITY, "b": scene, "c": scene, "d": HIGHWAY})
    assert f"{scene!r} (2 images): did you mean 'city street'? Write them as BDD100K does" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("scene", "meant"),
    [
        ("CITY", "'city street'"),
        ("urban street", "'city street'"),
        ("City Street (downtown)", "'city street'"),
        ("CityCenter", "'city street'"),
        ("highway,city street", "'city street' or 'highway'"),
        ("gas station", "'gas stations'"),
        ("High Way", "'highway'"),
        ("residential area", "'residential'"),
    ],
)
def test_a_scene_that_may_mean_a_known_one_is_asked_about(tmp_path: Path, scene: str, meant: str) -> None:
    write_folder(tmp_path, {"a": CITY, "b": scene})
    message = refusal(tmp_path)
    assert f"{scene!r} (1 image): did you mean {meant}? Write" in message
    assert "as they are, each is a scene of its own and counts as not city street" in message


def test_what_lies_beside_the_parts_is_named(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    write_image(tmp_path, "b", part="test")
    write_image(tmp_path, "c", part="Val")
    write_image(tmp_path, "stray", part=".")
    (line,) = read_catalog(root).summary()[2:]
    assert line.startswith("ignored, only train and val are read: 3: ")
    assert line.endswith("images/10k/Val (no file), images/10k/stray.jpg, images/10k/test (no file)")


def test_masks_that_no_image_claims_are_counted(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    write_mask(tmp_path, "orphan")
    write_mask(tmp_path, "a", part="val")
    assert read_catalog(root).summary()[2:] == (
        "2 masks in labels/sem_seg/masks without an image of their part: train/orphan.png, val/a.png",
    )


@pytest.mark.parametrize("is_first", [True, False])
def test_an_entry_that_leaves_the_weather_out_contradicts_none(tmp_path: Path, is_first: bool) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    entries = [{"name": "a.jpg", "attributes": {"scene": CITY, "weather": "rainy"}}]
    entries.insert(0 if is_first else 1, {"name": "a.jpg", "attributes": {"scene": CITY, "timeofday": "night"}})
    (root / "labels/det_20/det_train.json").write_text(json.dumps(entries))
    (sample,) = read_catalog(root).samples
    assert (sample.attributes["weather"], sample.attributes["timeofday"]) == ("rainy", "night")


def test_a_weather_that_is_no_text_is_named(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    path = root / "labels/det_20/det_train.json"
    path.write_text(json.dumps([{"name": "a.jpg", "attributes": {"scene": CITY, "weather": ["rainy"]}}]))
    assert read_catalog(root).summary()[-1] == (
        f"counted as undefined, not text: 1: the weather, a list, of a.jpg (entry 1 of {path})"
    )


def test_a_misspelt_scene_of_an_image_that_is_not_there_does_not_matter(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": CITY})
    write_det(tmp_path, {"a": CITY, "gone": "City Street"})
    assert len(read_catalog(tmp_path).samples) == 1


def test_a_misspelt_weather_is_noted(tmp_path: Path) -> None:
    path = write_folder(tmp_path, {"a": CITY}) / "labels/det_20/det_train.json"
    path.write_text(path.read_text().replace("clear", "Clear"))
    assert (
        "1 image with the weather 'Clear', unknown to BDD100K: did you mean 'clear'?"
        in read_catalog(tmp_path).summary()
    )


# --- names


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".png", ".PNG", ".Tif"])
def test_images_are_taken_by_every_suffix(tmp_path: Path, suffix: str) -> None:
    root = write_folder(tmp_path, {"a": CITY, "b": CITY})
    path = root / "images/10k/train/a.jpg"
    path.rename(path.with_suffix(suffix))
    mask = root / "labels/sem_seg/masks/train/b.png"
    mask.rename(mask.with_suffix(".PNG"))
    assert [sample.name for sample in read_catalog(root).samples] == ["a", "b"]


def test_what_is_neither_image_nor_mask_is_counted_and_named(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    for name in ("Thumbs.db", "._a.jpg", "notes.txt"):
        (root / "images/10k/train" / name).touch()
    (root / "images/10k/val/b.jpg").mkdir(parents=True)
    (root / "labels/sem_seg/masks/train/a_color.jpg").touch()
    assert read_catalog(root).summary()[2:] == (
        "ignored, not an image or mask: 5: ._a.jpg, Thumbs.db, notes.txt and 2 more",
    )


@pytest.mark.parametrize("folder", ["images/10k", "labels/sem_seg/masks"])
def test_two_files_of_one_name_are_refused_by_both(tmp_path: Path, folder: str) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    suffixes = (".jpg", ".png") if folder == "images/10k" else (".PNG", ".png")
    paths = [root / folder / "train" / f"a{suffix}" for suffix in suffixes]
    for path in paths:
        path.touch()
    assert (
        refusal(root) == f"{paths[0]} and {paths[1]} have the same name, but a name must be there once only; remove one"
    )


@pytest.mark.parametrize("name", ["-a", "a b", "straße", "a.b", "[x]*?", "a\nb"])
def test_names_may_be_anything_that_is_text(tmp_path: Path, name: str) -> None:
    catalog = read_catalog(write_folder(tmp_path, {name: CITY}))
    assert [sample.name for sample in catalog.samples] == [name] and catalog.summary()[0].isprintable()


def test_a_name_in_two_pieces_meets_its_label_in_one(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"stra\u0308sse": CITY})
    write_det(root, {"str\u00e4sse": HIGHWAY})
    assert read_catalog(root).samples[0].attributes["scene"] == HIGHWAY


def test_a_name_that_is_no_text_is_refused_where_labels_name_it(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {os.fsdecode(b"stra\xdfe"): CITY})
    assert "stra\\udcdfe.jpg has a name that is not UTF-8, so nothing can be recorded of it: rename it" in refusal(root)


def test_a_folder_that_cannot_be_listed_is_refused_in_the_systems_words(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    folder = root / "images/10k/val"
    folder.symlink_to("val")
    assert refusal(root) == f"{folder} cannot be listed: Too many levels of symbolic links"


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
    scenes = Counter(sample.attributes["scene"] for sample in catalog.samples)
    assert scenes == {"city street": 345, "parking lot": 59, "highway": 27, "gas stations": 9}
    kinds = ("without_attributes", "without_mask", "without_image")
    assert (len(catalog.samples), *(len(catalog.names(kind)) for kind in kinds)) == (440, 28, 0, 40)

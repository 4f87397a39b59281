"""Drafts of descriptions: they load as they are and read the folder."""

import os
import tempfile
from pathlib import Path

import pytest
import yaml
from descriptions import shipped
from folders import (
    REAL_DATA,
    needs_real_data,
    save_image,
    save_mask,
    write_folder,
    write_image,
    write_mask,
    write_pairs,
)
from users import NOBODY

from bddseg.data.catalog import read_catalog
from bddseg.data.description import Description
from bddseg.data.description_parser import parse_description
from bddseg.data.draft import draft_description, guess_drive
from bddseg.data.frames import build_frames
from bddseg.errors import AccessError, DataError

NAMES = ["run1_a", "run1_b", "run2_a", "run2_b"]


def drafted(root: Path, *known: Description) -> Description:
    """Return the description that a draft loads as."""
    ((name, entry),) = yaml.safe_load(draft_description(root, known)).items()
    return parse_description(name, entry, "draft")


def test_a_draft_of_two_folders_reads_them(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "my data", NAMES, [0, 3, 255])
    description = drafted(root)
    assert (description.name, description.root) == ("my-data", str(root))
    assert (description.images, description.masks) == (("images/{name}.*",), ("masks/{name}.*",))
    assert [label.values for label in description.classes] == [(0,), (3,)]
    assert len(build_frames(read_catalog(root, description).samples, 8, tmp_path, description=description)) == 4


def test_a_draft_says_what_was_counted(tmp_path: Path) -> None:
    text = draft_description(write_pairs(tmp_path, NAMES, [0, 1, 1, 255]))
    for line in (
        "# share of the pixels of 4 of 4 masks:", "#   value 0: 25.00%", "#   value 1: 50.00%",
        "# value 255 is taken as ignored", "# the rule for drives finds 2 drives",
    ):  # fmt: skip
        assert line in text.splitlines()


@pytest.mark.parametrize(
    ("image", "mask", "patterns"),
    [
        ("photos/{}.png", "truth/{}.png", ("photos/{name}.*", "truth/{name}.*")),
        ("{}.jpg", "{}_mask.png", ("{name}.*", "{name}_mask.*")),
        ("train/{}.png", "train_labels/{}_L.png", ("{part}/{name}.*", "{part}_labels/{name}_L.*")),
        ("train/img/{}.png", "train/gt/{}.png", ("{part}/img/{name}.*", "{part}/gt/{name}.*")),
        ("training/{}.png", "trainingannot/{}.png", ("{part}/{name}.*", "{part}annot/{name}.*")),
    ],
)
def test_other_folders_are_guessed_by_names_that_match(
    tmp_path: Path, image: str, mask: str, patterns: tuple[str, str]
) -> None:
    for name in NAMES:
        save_image(tmp_path / image.format(name))
        save_mask(tmp_path / mask.format(name))
    description = drafted(tmp_path)
    assert (*description.images, *description.masks) == patterns
    assert len(read_catalog(tmp_path, description).samples) == 4


def test_folders_of_sequences_are_read_by_a_star(tmp_path: Path) -> None:
    for name in NAMES:
        save_image(tmp_path / f"images/{name[:4]}/{name}.png")
        save_mask(tmp_path / f"masks/{name[:4]}/{name}.png")
    assert drafted(tmp_path).images == ("images/*/{name}.*",)


def test_colours_are_named_as_in_a_known_dataset_that_has_them_all(tmp_path: Path) -> None:
    description = drafted(write_pairs(tmp_path, NAMES, [[128, 64, 128], [70, 130, 180], [0, 0, 0]]))
    assert (description.classes[0].name, description.classes[0].mask_colours) == ("road", ((128, 64, 128),))
    assert description.ignore_colours == ((0, 0, 0),)


def test_other_colours_are_classes_by_number(tmp_path: Path) -> None:
    description = drafted(write_pairs(tmp_path, NAMES, [[1, 2, 3], [4, 5, 6]]))
    assert [(label.name, label.colour) for label in description.classes] == [
        ("class 0", (1, 2, 3)), ("class 1", (4, 5, 6)),
    ]  # fmt: skip


def test_a_shipped_layout_brings_its_classes(tmp_path: Path) -> None:
    name = "aachen_000001_000019"
    save_image(tmp_path / f"leftImg8bit/train/aachen/{name}_leftImg8bit.png")
    save_mask(tmp_path / f"gtFine/train/aachen/{name}_gtFine_labelIds.png", [0, 7, 23])
    cityscapes = shipped("cityscapes")
    description = drafted(tmp_path, cityscapes)
    assert (description.classes, description.drive) == (cityscapes.classes, cityscapes.drive)
    assert (description.images, description.ignores_rest) == (cityscapes.images, True)


def test_a_shipped_rule_that_finds_no_drive_is_replaced(tmp_path: Path) -> None:
    for name in ("north 1", "north 2", "south 1", "south 2"):
        save_image(tmp_path / f"train/{name}.png")
        save_mask(tmp_path / f"trainannot/{name}.png", [3, 0])
    description = drafted(tmp_path, shipped("camvid"))
    assert (description.classes[3].name, description.drive) == ("road", r"(.*\D)\d+$")


def test_a_shipped_layout_with_other_values_has_the_classes_of_the_masks(tmp_path: Path) -> None:
    save_image(tmp_path / "train/0001TP_1.png")
    save_mask(tmp_path / "trainannot/0001TP_1.png", [3, 40])
    description = drafted(tmp_path, shipped("camvid"))
    assert [label.values for label in description.classes] == [(3,), (40,)]


def test_bdd100k_is_recognised_and_compared(tmp_path: Path) -> None:
    description = drafted(write_folder(tmp_path, {"a": "city street", "b": "highway"}))
    assert (description.layout, description.attribute) == ("bdd100k", "scene")
    assert [merged.name for merged in description.select] == ["road", "building", "vegetation", "sky", "car"]


def test_bdd100k_without_label_files_compares_nothing(tmp_path: Path) -> None:
    write_image(tmp_path, "a")
    write_mask(tmp_path, "a")
    description = drafted(tmp_path)
    assert (description.layout, description.groups, len(description.classes)) == ("bdd100k", (), 19)


def test_a_folder_without_pairs_is_refused(tmp_path: Path) -> None:
    save_image(tmp_path / "a.jpg")
    with pytest.raises(
        DataError, match="has no images with masks of the same names in two folders; write the patterns"
    ):
        draft_description(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        draft_description(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_listed_is_named() -> None:
    """Root may read every folder, so that the effective user is another one."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "images").mkdir(mode=0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        try:
            with pytest.raises(AccessError, match=f"{name}/images cannot be listed: Permission denied"):
                draft_description(Path(name))
        finally:
            os.seteuid(user)
            (Path(name) / "images").chmod(0o755)


def test_a_folder_with_packed_files_is_refused_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "data.tar.gz").touch()
    with pytest.raises(DataError, match=r"in two folders; unpack data.tar.gz in it first"):
        draft_description(tmp_path)


def test_the_folder_below_is_named_where_it_is_a_known_dataset(tmp_path: Path) -> None:
    write_folder(tmp_path / "above" / "bdd100k", {"a": "city street"})
    with pytest.raises(DataError, match=r"in two folders; .*above.bdd100k looks like the folder to give"):
        draft_description(tmp_path / "above")


def test_masks_of_a_folder_are_no_images_of_themselves(tmp_path: Path) -> None:
    for name in NAMES:
        save_image(tmp_path / f"photos/{name[:4]}/{name}_photo.png")
        save_mask(tmp_path / f"truth/{name[:4]}/{name}_ids.png")
    with pytest.raises(DataError, match="has no images with masks of the same names in two folders"):
        draft_description(tmp_path)


def test_links_to_folders_are_not_searched(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "data", NAMES)
    (root / "images/again").symlink_to(root)
    assert drafted(root).images == ("images/{name}.*",)


@pytest.mark.parametrize(
    ("names", "pattern", "drives"),
    [
        (["run1_a", "run1_b", "run2_a", "run2_b"], "([^_-]+)[_-]", 2),
        (["v_a_1", "v_a_2", "v_b_1", "v_b_2"], "(.+)[_-][^_-]*$", 2),
        (["north1", "north2", "south1", "south2"], r"(.*\D)\d+$", 2),
        (["a", "b", "c", "d"], "", 0),
        (["a_1", "b_1", "c_1", "d_1"], "", 0),
    ],
)
def test_drives_are_guessed_where_most_names_share_theirs(names: list[str], pattern: str, drives: int) -> None:
    assert guess_drive(names) == (pattern, drives)


@needs_real_data
def test_a_draft_of_real_frames_finds_the_drives_of_camvid() -> None:
    names = [sample.name for sample in read_catalog(REAL_DATA).samples]
    assert guess_drive(names)[0] == "([^_-]+)[_-]"


def test_masks_of_another_video_are_no_images(tmp_path: Path) -> None:
    for video in ("a", "b"):
        save_image(tmp_path / f"photos/{video}/00001.png", video)
        save_mask(tmp_path / f"annotations/{video}/00001.png")
    draft = draft_description(tmp_path)
    entry = yaml.safe_load(draft)[tmp_path.name]
    assert entry["images"].startswith("photos/") and entry["masks"].startswith("annotations/")
    assert "# image files that are no part of these pairs: 2: annotations/b/00001.png, photos/b/00001.png" in draft

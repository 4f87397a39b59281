"""A folder read by two patterns: what is usable, what is left out, and what is refused."""

import zipfile
from pathlib import Path

import pytest
from descriptions import describe_pairs, shipped
from folders import save_image, save_mask, write_pairs

from bddseg.data.catalog import read_catalog
from bddseg.data.description import Description
from bddseg.errors import DataError

PARTS = {"images": "images/{part}/{name}.*", "masks": "masks/{part}/{name}.*"}


def refusal(root: Path, description: Description) -> str:
    with pytest.raises(DataError) as caught:
        read_catalog(root, description)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_image_and_a_mask_of_one_name_are_a_sample(tmp_path: Path) -> None:
    (sample,) = read_catalog(write_pairs(tmp_path, ["a"]), describe_pairs()).samples
    assert (sample.name, sample.part, sample.attributes) == ("a", "", {})
    assert (sample.image, sample.mask) == (tmp_path / "images/a.jpg", tmp_path / "masks/a.png")


def test_what_does_not_match_is_counted_and_named(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, ["a"])
    save_image(root / "images/bare.jpg")
    save_mask(root / "masks/orphan.png")
    (root / "images/notes.txt").touch()
    (root / "masks/.DS_Store").touch()
    assert read_catalog(root, describe_pairs()).summary() == (
        f"1 image with mask in {root}",
        "1 image left out: no mask in masks/{name}.*: bare",
        "1 mask in masks/{name}.* without an image: orphan.png",
        "ignored, not an image or mask: 1: images/notes.txt",
        "ignored, hidden or of the system: 1: masks/.DS_Store",
    )


def test_parts_are_known_and_counted(tmp_path: Path) -> None:
    for part, name in (("train", "a"), ("train", "b"), ("val", "c")):
        save_image(tmp_path / f"images/{part}/{name}.png")
        save_mask(tmp_path / f"masks/{part}/{name}.png")
    catalog = read_catalog(tmp_path, describe_pairs(**PARTS))
    assert [sample.part for sample in catalog.samples] == ["train", "train", "val"]
    assert catalog.summary()[0] == f"3 images with mask in {tmp_path}: train 2, val 1"


def test_other_parts_than_those_of_the_description_are_left_out(tmp_path: Path) -> None:
    for part, name in (("train", "a"), ("test", "b")):
        save_image(tmp_path / f"images/{part}/{name}.png")
        save_mask(tmp_path / f"masks/{part}/{name}.png")
    catalog = read_catalog(tmp_path, describe_pairs(**PARTS, parts=["train", "val"]))
    assert [sample.name for sample in catalog.samples] == ["a"]
    assert catalog.summary()[1] == "1 image left out: not in train or val: b"


def test_a_part_that_there_is_not_is_refused() -> None:
    with pytest.raises(DataError, match=r"tiny.yaml: tiny.parts has 'dev', but a part must be one of train, val, test"):
        describe_pairs(**PARTS, parts=["dev"])


def test_a_mask_of_another_part_is_not_the_mask_of_an_image(tmp_path: Path) -> None:
    save_image(tmp_path / "images/train/a.png")
    save_mask(tmp_path / "masks/val/a.png")
    message = refusal(tmp_path, describe_pairs(**PARTS))
    assert f"no image in {tmp_path} has a mask: 1 images (first: a) match images/{{part}}/{{name}}.*" in message


def test_masks_beside_their_images_are_no_images(tmp_path: Path) -> None:
    save_image(tmp_path / "all/a.png")
    save_mask(tmp_path / "all/a_mask.png")
    description = describe_pairs(images="all/{name}.*", masks="all/{name}_mask.*")
    catalog = read_catalog(tmp_path, description)
    assert ([sample.name for sample in catalog.samples], len(catalog.summary())) == (["a"], 1)


def test_patterns_of_the_same_files_are_refused(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, ["a"])
    assert "match the same files" in refusal(root, describe_pairs(masks="images/{name}.*"))


def test_one_name_in_two_folders_is_refused_by_both(tmp_path: Path) -> None:
    paths = [save_image(tmp_path / f"images/{folder}/a.png") for folder in ("one", "two")]
    save_mask(tmp_path / "masks/a.png")
    message = refusal(tmp_path, describe_pairs(images="images/*/{name}.*"))
    assert message == (f"{paths[0]} and {paths[1]} have the same name, but a name must be there once only; remove one")


def test_one_name_with_two_suffixes_is_refused(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, ["a"])
    save_image(root / "images/a.png")
    assert "have the same name, but a name must be there once only" in refusal(root, describe_pairs())


def test_one_name_in_two_parts_is_refused(tmp_path: Path) -> None:
    for part in ("train", "val"):
        save_image(tmp_path / f"images/{part}/a.png")
        save_mask(tmp_path / f"masks/{part}/a.png")
    assert "have the same name" in refusal(tmp_path, describe_pairs(**PARTS))


def test_a_decomposed_name_meets_its_mask_and_its_row(tmp_path: Path) -> None:
    save_image(tmp_path / "images/stra\u0308sse.png")
    save_mask(tmp_path / "masks/str\u00e4sse.png")
    (tmp_path / "a.csv").write_text("name,light\nstr\u00e4sse,day\n")
    (sample,) = read_catalog(tmp_path, describe_pairs(attributes={"file": "a.csv"})).samples
    assert sample.attributes == {"light": "day"}


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_folder_without_images_or_masks_is_refused_with_its_pattern(tmp_path: Path, kind: str) -> None:
    root = write_pairs(tmp_path, ["a"])
    (root / kind).rename(root / "elsewhere")
    assert refusal(root, describe_pairs()).startswith(f"{root} has no {kind}: looked for {kind}/{{name}}.*; give the")


def test_a_folder_one_level_too_high_is_named(tmp_path: Path) -> None:
    write_pairs(tmp_path / "camera", ["a"])
    assert refusal(tmp_path, describe_pairs()).endswith(f"{tmp_path}/camera looks like the folder to give instead")


def test_packed_files_are_named_with_the_cure(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("images/a.jpg", b"")
    assert refusal(tmp_path, describe_pairs()).endswith("; unpack images.zip in it first")


def test_a_root_that_does_not_exist_is_refused_with_the_patterns(tmp_path: Path) -> None:
    message = refusal(tmp_path / "none", describe_pairs())
    assert message.endswith("none does not exist: looked for images/{name}.* and masks/{name}.* in it")


# --- attributes and groups


def test_an_image_without_the_compared_attribute_is_left_out(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, ["a", "b"])
    (root / "a.csv").write_text("name,light\na,day\nc,night\n")
    groups = {"light": {"day": ["day"], "other": "rest"}}
    catalog = read_catalog(root, describe_pairs(attributes={"file": "a.csv"}, groups=groups))
    assert catalog.summary() == (
        f"1 image with mask and light in {root}: day 1",
        "attributes from a.csv (1 image)",
        "1 image left out: no light in a.csv: b",
        "1 entry of a.csv without an image: c",
    )


def test_without_groups_an_image_without_attributes_is_kept(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, ["a", "b"])
    (root / "a.csv").write_text("name,light\na,day\n")
    catalog = read_catalog(root, describe_pairs(attributes={"file": "a.csv"}))
    assert [sample.attributes["light"] for sample in catalog.samples] == ["day", "undefined"]
    assert "1 image without attributes in a.csv: b" in catalog.summary()


def test_a_row_may_name_the_file_of_an_image(tmp_path: Path) -> None:
    save_image(tmp_path / "images/a_left.png")
    save_mask(tmp_path / "masks/a.png")
    (tmp_path / "a.csv").write_text("name,light\ntrain/a_left.png,day\n")
    description = describe_pairs(images="images/{name}_left.png", attributes={"file": "a.csv"})
    assert read_catalog(tmp_path, description).samples[0].attributes == {"light": "day"}


def test_a_value_of_a_group_that_no_image_has_is_named(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, ["a", "b"])
    (root / "a.csv").write_text("name,light\na,day\nb,night\n")
    groups = {"light": {"bright": ["day", "nigth"], "other": "rest"}}
    catalog = read_catalog(root, describe_pairs(attributes={"file": "a.csv"}, groups=groups))
    line = "no image has the light 'nigth', which groups name; did you mean night? known: day, night"
    assert line in catalog.summary()


def test_groups_without_an_attributes_file_are_refused(tmp_path: Path) -> None:
    message = refusal(write_pairs(tmp_path, ["a"]), describe_pairs(groups={"light": {"a": ["day"], "b": "rest"}}))
    assert message.startswith("tiny.groups names the attribute 'light', but there is no attributes file; known: none")


def test_attributes_of_other_images_are_named_where_nothing_matches(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, ["a"])
    (root / "a.csv").write_text("name,light\nq,day\n")
    groups = {"light": {"a": ["day"], "b": "rest"}}
    message = refusal(root, describe_pairs(attributes={"file": "a.csv"}, groups=groups))
    assert message.endswith("a.csv has 1 name (first: q), and they do not share names")


@pytest.mark.parametrize("key", ["groups", "balance"])
def test_an_attribute_that_no_file_has_is_refused_with_the_known_ones(tmp_path: Path, key: str) -> None:
    root = write_pairs(tmp_path, ["a"])
    (root / "a.csv").write_text("name,light\na,day\n")
    value = {"lihgt": {"day": ["day"], "other": "rest"}} if key == "groups" else ["lihgt"]
    message = refusal(root, describe_pairs(attributes={"file": "a.csv"}, **{key: value}))
    assert message.startswith(
        f"tiny.{key} names the attribute 'lihgt', which a.csv gives no image; did you mean light?"
    )


# --- shipped layouts


def test_cityscapes_is_read_as_downloaded(tmp_path: Path) -> None:
    name = "aachen_000001_000019"
    save_image(tmp_path / f"leftImg8bit/train/aachen/{name}_leftImg8bit.png")
    save_mask(tmp_path / f"gtFine/train/aachen/{name}_gtFine_labelIds.png", [7, 23])
    save_mask(tmp_path / f"gtFine/train/aachen/{name}_gtFine_color.png", [[128, 64, 128]])
    (sample,) = read_catalog(tmp_path, shipped("cityscapes")).samples
    assert (sample.name, sample.part, sample.mask.name) == (name, "train", f"{name}_gtFine_labelIds.png")


def test_the_test_part_of_cityscapes_is_left_out(tmp_path: Path) -> None:
    for part, name in (("val", "bonn_000001_000019"), ("test", "berlin_000001_000019")):
        save_image(tmp_path / f"leftImg8bit/{part}/city/{name}_leftImg8bit.png")
        save_mask(tmp_path / f"gtFine/{part}/city/{name}_gtFine_labelIds.png", [7, 0])
    catalog = read_catalog(tmp_path, shipped("cityscapes"))
    assert ([sample.part for sample in catalog.samples], catalog.names("other_parts")) == (
        ["val"], ("berlin_000001_000019",),
    )  # fmt: skip


def test_the_masks_of_camvid_are_no_images_of_another_part(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        save_image(tmp_path / f"{part}/0001TP_{part}.png")
        save_mask(tmp_path / f"{part}annot/0001TP_{part}.png")
    catalog = read_catalog(tmp_path, shipped("camvid"))
    assert (len(catalog.samples), len(catalog.summary())) == (3, 1)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("701_StillsRaw_full/0001TP_1.png", "LabeledApproved_full/0001TP_1_L.png"),
        ("train/0001TP_1.png", "train_labels/0001TP_1_L.png"),
    ],
)
def test_the_colour_masks_of_camvid_are_read_in_both_forms(tmp_path: Path, image: str, mask: str) -> None:
    save_image(tmp_path / image)
    save_mask(tmp_path / mask, [[128, 64, 128]])
    assert [sample.name for sample in read_catalog(tmp_path, shipped("camvid-32")).samples] == ["0001TP_1"]

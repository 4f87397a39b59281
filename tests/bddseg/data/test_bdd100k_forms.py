"""BDD100K in the forms in which it was and is distributed."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from descriptions import shipped
from folders import save_image, save_mask, write_det, write_folder, write_image, write_mask

from bddseg.data.bdd100k import is_dataset
from bddseg.data.bdd100k_labels import BDD100K
from bddseg.data.catalog import read_catalog
from bddseg.errors import DataError

CITY = "city street"
ALL_CLASSES = replace(BDD100K, attribute="", groups=())
"""Nothing is compared, so that no label file is needed."""


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_catalog(root)
    return str(caught.value)


def move_labels(root: Path, form: str) -> None:
    """Give the det file of the training part the place and name of another form."""
    target = root / form.format(part="train")
    target.parent.mkdir(parents=True, exist_ok=True)
    (root / "labels/det_20/det_train.json").rename(target)


def test_the_description_of_the_core_is_the_shipped_one() -> None:
    assert shipped("bdd100k") == BDD100K


@pytest.mark.parametrize(
    "form",
    [
        "labels/bdd100k_labels_images_{part}.json",
        "bdd100k_labels_images_{part}.json",
        "labels/det_v2_{part}_release.json",
    ],
)
def test_label_files_of_earlier_downloads_are_read(tmp_path: Path, form: str) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    move_labels(root, form)
    catalog = read_catalog(root)
    assert catalog.samples[0].attributes["scene"] == CITY
    assert catalog.sources == {form.format(part="train"): 1}


def test_label_files_of_earlier_downloads_are_named_where_an_image_has_no_entry(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    write_image(root, "b")
    move_labels(root, "labels/bdd100k_labels_images_{part}.json")
    assert "1 image left out: no scene in labels/bdd100k_labels_images_*.json: b" in read_catalog(root).summary()


def test_an_earlier_label_file_beside_the_current_one_is_not_read_and_named(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    entry = {"name": "a.jpg", "attributes": {"scene": "highway"}}
    (root / "labels/bdd100k_labels_images_train.json").write_text(json.dumps([entry]))
    catalog = read_catalog(root)
    assert catalog.samples[0].attributes["scene"] == CITY
    assert catalog.names("other_labels") == ("labels/bdd100k_labels_images_train.json",)


def test_the_label_file_of_each_image_is_counted(tmp_path: Path) -> None:
    write_folder(tmp_path, {"a": CITY, "b": CITY}, part="train")
    write_folder(tmp_path, {"c": CITY}, part="val")
    assert read_catalog(tmp_path).summary()[1] == (
        "attributes from labels/det_20/det_train.json (2 images), labels/det_20/det_val.json (1 image)"
    )


def test_masks_may_be_called_train_id(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    mask = root / "labels/sem_seg/masks/train/a.png"
    mask.rename(mask.with_name("a_train_id.png"))
    assert read_catalog(root).samples[0].mask.name == "a_train_id.png"


def test_a_mask_in_both_namings_is_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    write_mask(root, "a_train_id")
    assert "have the same name, but a name must be there once only" in refusal(root)


def test_a_colour_map_beside_its_mask_is_named_and_not_read(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    save_mask(root / "labels/sem_seg/masks/train/a_train_color.png", [[128, 64, 128]])
    catalog = read_catalog(root)
    assert catalog.samples[0].mask.name == "a.png"
    assert catalog.summary()[2] == "1 colour map not read: masks of values are beside them: train/a_train_color.png"


@pytest.mark.parametrize("folder", ["images/100k", "seg/images"])
def test_images_are_read_from_another_folder_where_10k_is_missing(tmp_path: Path, folder: str) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    shutil.copytree(root / "images/10k", root / folder)
    shutil.rmtree(root / "images/10k")
    catalog = read_catalog(root)
    assert is_dataset(root) and catalog.samples[0].image == root / folder / "train/a.jpg"
    assert f"images are read from {folder}: there are none in images/10k" in catalog.summary()


def test_the_images_of_10k_are_preferred_to_those_of_100k(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    save_image(root / "images/100k/train/b.jpg")
    assert [sample.name for sample in read_catalog(root).samples] == ["a"]


@pytest.mark.parametrize(
    ("folder", "end"),
    [("seg/labels", "_train_id"), ("labels/sem_seg/colormaps", ""), ("seg/color_labels", "_train_color")],
)
def test_masks_are_read_from_the_folders_of_other_downloads(tmp_path: Path, folder: str, end: str) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    shutil.rmtree(root / "labels/sem_seg")
    mask = save_mask(root / folder / f"train/a{end}.png")
    catalog = read_catalog(root)
    assert catalog.samples[0].mask == mask
    assert f"masks are read from {folder}: there are none in labels/sem_seg/masks" in catalog.summary()


def test_without_groups_no_label_file_is_needed(tmp_path: Path) -> None:
    write_image(tmp_path, "a")
    write_mask(tmp_path, "a")
    catalog = read_catalog(tmp_path, ALL_CLASSES)
    assert [sample.attributes for sample in catalog.samples] == [{}]
    assert catalog.summary() == (f"1 image with mask in {tmp_path}: train 1",)


def test_without_groups_an_image_without_an_entry_is_kept(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    write_image(root, "b")
    write_mask(root, "b")
    scenes = [sample.attributes["scene"] for sample in read_catalog(root, ALL_CLASSES).samples]
    assert scenes == [CITY, "undefined"]


def test_groups_of_an_attribute_that_det_files_do_not_have_are_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": CITY})
    with pytest.raises(DataError, match=r"bdd100k.groups names the attribute 'wether', which labels/det_20 gives no"):
        read_catalog(root, replace(BDD100K, attribute="wether"))


def test_the_folder_one_level_down_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path / "bdd100k", {"a": CITY})
    assert refusal(tmp_path).endswith(f"; {tmp_path}/bdd100k looks like the folder to give instead")


def test_packed_files_are_named(tmp_path: Path) -> None:
    for name in ("bdd100k_images_10k.zip", "bdd100k_sem_seg_labels_trainval.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("a", b"")
    assert refusal(tmp_path).endswith(
        "; unpack bdd100k_images_10k.zip, bdd100k_sem_seg_labels_trainval.zip in it first"
    )


def test_masks_that_are_still_packed_are_named(tmp_path: Path) -> None:
    write_image(tmp_path, "a")
    write_det(tmp_path, {"a": CITY})
    (tmp_path / "labels/masks.zip").touch()
    assert refusal(tmp_path).startswith(f"{tmp_path} has no masks: looked for *.png in labels/sem_seg/masks/train")
    assert refusal(tmp_path).endswith("; unpack labels/masks.zip in it first")

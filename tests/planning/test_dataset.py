"""Where frames come from: what was given beats what is set; and what of them cannot be trained on is refused."""

from pathlib import Path
from typing import Any

import pytest
from folders import write_folder, write_mask
from PIL import Image
from tiny import make_config

from bddseg.data.image_io import ORIENTATION
from bddseg.data.split import split_samples
from bddseg.errors import DataError, UserError
from sweeps.planning import dataset
from sweeps.planning.dataset import (
    DEFAULT_ROOT,
    ROOT_VARIABLE,
    Dataset,
    Source,
    check_trials,
    choose_source,
    load_dataset,
    recorded_source,
)
from sweeps.planning.experiments_file import read_book

PROFILES = read_book().profile_sections()


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty working folder on a machine without BDD100K."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    monkeypatch.setattr(dataset, "DEFAULT_ROOT", tmp_path / "data" / "bdd100k")
    return tmp_path


def place(source: Source) -> tuple[str, Path | None]:
    return source.profile, source.root


def make_dataset(root: Path) -> Path:
    """Make what a BDD100K folder is recognised by."""
    (root / "images" / "10k" / "train").mkdir(parents=True)
    return root


def test_without_anything_quick_streets_are_used() -> None:
    assert place(choose_source(PROFILES, None, None)) == ("quick", None)


def test_a_dataset_in_the_default_place_is_used_in_full(bare: Path) -> None:
    root = make_dataset(bare / "data" / "bdd100k")
    assert place(choose_source(PROFILES, None, None)) == ("full", root)


def test_the_default_place_is_in_the_project_whatever_the_working_directory() -> None:
    assert Path(__file__).resolve().parent.parent.parent / "data" / "bdd100k" == DEFAULT_ROOT


def test_a_recorded_sweep_is_trained_where_its_data_lie_now(bare: Path) -> None:
    data = {"root": "/gone", "embedded": False}
    assert recorded_source("full", {**data, "root": str(bare)}, None) == Source("full", bare)
    assert recorded_source("full", data, bare) == Source("full", bare)
    with pytest.raises(
        DataError, match="the data folder /gone does not exist any more: give the new folder of the data with --data"
    ):
        recorded_source("full", data, None)
    with pytest.raises(DataError, match="moved does not exist"):
        recorded_source("full", data, bare / "moved")


def test_a_default_place_without_images_is_no_dataset(bare: Path) -> None:
    (bare / "data" / "bdd100k").mkdir(parents=True)
    assert place(choose_source(PROFILES, None, None)) == ("quick", None)


def test_the_variable_beats_the_default_place(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_dataset(bare / "data" / "bdd100k")
    monkeypatch.setenv(ROOT_VARIABLE, str(make_dataset(bare / "elsewhere")))
    assert place(choose_source(PROFILES, None, None)) == ("full", bare / "elsewhere")


def test_the_flag_beats_the_variable(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(make_dataset(bare / "elsewhere")))
    assert place(choose_source(PROFILES, None, bare / "given")) == ("full", bare / "given")


def test_a_relative_flag_becomes_an_absolute_path(bare: Path) -> None:
    assert choose_source(PROFILES, None, Path("given")).root == bare / "given"


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, "")
    assert place(choose_source(PROFILES, None, None)) == ("quick", None)


@pytest.mark.parametrize("profile", ["full", "quick"])
def test_a_profile_may_be_combined_with_any_data(bare: Path, profile: str) -> None:
    assert place(choose_source(PROFILES, profile, bare / "given")) == (profile, bare / "given")


def test_quick_stays_on_the_streets_even_where_there_is_a_dataset(bare: Path) -> None:
    make_dataset(bare / "data" / "bdd100k")
    assert place(choose_source(PROFILES, "quick", None)) == ("quick", None)


def test_full_finds_the_dataset_by_itself(bare: Path) -> None:
    root = make_dataset(bare / "data" / "bdd100k")
    assert place(choose_source(PROFILES, "full", None)) == ("full", root)


def test_full_without_a_dataset_names_all_places_and_the_cure() -> None:
    with pytest.raises(DataError) as caught:
        choose_source(PROFILES, "full", None)
    text = str(caught.value)
    assert all(place in text for place in ("--data (not given)", "BDD100K_ROOT (not set)", "data/bdd100k (not there)"))
    assert "download" in text and "--profile quick" in text and "\n" not in text


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"profile 'quik' .*known: full, quick"):
        choose_source(PROFILES, "quik", None)


def test_the_sentence_says_that_streets_are_generated() -> None:
    assert "embedded streets" in Source("quick", None).sentence() and "generated" in Source("quick", None).sentence()


def test_the_sentence_names_the_folder(bare: Path) -> None:
    assert Source("full", bare).sentence() == f"profile full on {bare}"


def test_a_variable_that_names_a_circle_of_links_is_left_to_the_catalog(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare / "circle").symlink_to("circle")
    monkeypatch.setenv(ROOT_VARIABLE, str(bare / "circle"))
    with pytest.raises(DataError, match="circle cannot be read: Too many levels of symbolic links"):
        load_dataset(choose_source(PROFILES, "full", None), make_config(), bare, on_bad_sample="fail", progress=False)


# --- what cannot be trained on


def load(root: Path, **changes: Any) -> Dataset:
    """Return the frames of a folder for settings of a trial that takes a second."""
    return load_dataset(
        Source("quick", root), make_config(**changes), root / "cache", on_bad_sample="fail", progress=False
    )


def labelled(root: Path, label: int, images: int = 20) -> Path:
    """Write a folder whose masks hold one label."""
    write_folder(root, {f"{place:02}": "city street" for place in range(images)})
    for place in range(images):
        write_mask(root, f"{place:02}", label=label)
    return root


def test_validation_masks_without_a_class_are_refused(bare: Path) -> None:
    with pytest.raises(DataError, match=r"no training mask under .* has a pixel of the task's classes: road"):
        load(labelled(bare, 255))


def test_a_fold_without_a_class_is_refused(bare: Path) -> None:
    root = labelled(bare, 255)
    split = split_samples([f"{place:02}" for place in range(20)], [("city",)] * 20)
    for place in (split.train[0], split.val[0]):
        write_mask(root, f"{place:02}", label=0)
    material = load(root)
    with pytest.raises(DataError, match=r"no validation mask of fold \d under .* has a pixel of the task's classes"):
        check_trials(material, [make_config(data_folds=3, data_fold=fold) for fold in range(3)])


def test_more_folds_than_images_are_refused_before_any_is_decoded(bare: Path) -> None:
    root = labelled(bare, 0)
    with pytest.raises(DataError, match="train and val have 18 images, too few for 19 folds"):
        load(root, data_folds=19)
    assert not (root / "cache").exists()


def test_one_training_image_of_one_pixel_is_refused(bare: Path) -> None:
    root = labelled(bare, 0, 3)
    with pytest.raises(DataError, match=r"the training part under .* is one image, which is one pixel at the deepest"):
        load(root, data_val_fraction=0.34, data_test_fraction=0.33)


def test_classes_that_no_training_mask_has_are_named(bare: Path) -> None:
    summary = load(labelled(bare, 0)).summary
    assert summary[-1] == (
        "warning: no training mask has a pixel of building, vegetation, sky, car: no trial can learn it"
    )


def test_images_that_exif_turned_are_counted(bare: Path) -> None:
    root = write_folder(bare, {f"{place:02}": "city street" for place in range(20)})
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    with Image.open(root / "images/10k/train/04.jpg") as image:
        image.save(root / "images/10k/train/04.jpg", exif=exif)
    assert "1 image turned upright by EXIF; a mask without the same entry is taken as upright" in load(root).summary


def test_a_file_of_datasets_names_folder_and_classes(bare: Path) -> None:
    path = bare / "my.yaml"
    path.write_text("yard: {root: here, layout: bdd100k, classes: {a: {values: 1, colour: [1, 1, 1]}}}")
    source = choose_source(PROFILES, None, path)
    assert (place(source), source.description.name) == (("full", bare / "here"), "yard")
    assert source.sentence() == f"profile full on {bare / 'here'}, dataset yard"


def test_a_dataset_of_bdd100ks_layout_goes_with_the_embedded_streets(bare: Path) -> None:
    source = choose_source(PROFILES, "quick", None, "bdd100k-19")
    assert place(source) == ("quick", None) and len(source.description.task().classes) == 19


def test_the_embedded_streets_are_a_dataset(bare: Path) -> None:
    assert place(choose_source(PROFILES, None, None, "streets")) == ("quick", None)


def test_a_dataset_without_its_folder_is_refused(bare: Path) -> None:
    with pytest.raises(DataError, match="dataset camvid needs its folder: give it with --data DIR"):
        choose_source(PROFILES, None, None, "camvid")


def test_a_recorded_description_stays_when_the_data_have_moved(bare: Path) -> None:
    entry = {"layout": "bdd100k", "classes": {"a": {"values": 1, "colour": [1, 1, 1]}}}
    data = {"root": "/gone", "embedded": False, "dataset": "yard", "description": entry}
    assert recorded_source("full", data, bare).description.classes[0].name == "a"

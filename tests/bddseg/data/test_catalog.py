"""The catalog: samples that the user leaves out are counted with their reasons."""

from pathlib import Path

import pytest
from descriptions import describe_pairs
from folders import save_image, write_folder, write_pairs

from bddseg.data.catalog import Catalog, read_catalog
from bddseg.data.frames import build_frames
from bddseg.errors import DataError


def skipping(root: Path, **skip: str) -> Catalog:
    return read_catalog(root, describe_pairs(), skip)


def test_skipped_samples_are_left_out_and_counted_with_their_reasons(tmp_path: Path) -> None:
    catalog = skipping(write_pairs(tmp_path, "abc"), a="no road", c="")
    assert [sample.name for sample in catalog.samples] == ["b"]
    assert catalog.summary()[:2] == (
        f"1 image with mask in {tmp_path}",
        "2 images left out by data.skip: a (no road), c",
    )


def test_a_name_may_have_the_suffix_of_its_image(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, "ab")
    assert read_catalog(root, describe_pairs(), {"a.jpg": "dark"}).skipped == {"a": "dark"}


def test_bdd100k_is_skipped_alike(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": "highway", "b": "highway"})
    assert [sample.name for sample in read_catalog(root, skip={"a": ""}).samples] == ["b"]


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, ["frame1", "other"])
    with pytest.raises(DataError, match=r"names 'frame', but no sample in .* has this name; did you mean frame1\?"):
        skipping(root, frame="")


def test_a_name_that_is_left_out_anyway_is_no_error(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, "ab")
    save_image(root / "images/bare.jpg")
    assert skipping(root, bare="", a="").skipped == {"a": ""}


def test_skipping_everything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.skip leaves no sample of 2 in"):
        skipping(write_pairs(tmp_path, "ab"), a="", b="")


def test_the_fingerprint_is_that_of_a_folder_without_them(tmp_path: Path) -> None:
    write_pairs(tmp_path / "three", "abc")
    write_pairs(tmp_path / "two", "ac")
    catalogs = skipping(tmp_path / "three", b=""), read_catalog(tmp_path / "two", describe_pairs())
    frames = [build_frames(catalog.samples, 8, tmp_path, description=describe_pairs()) for catalog in catalogs]
    assert frames[0].fingerprint == frames[1].fingerprint


# --- groups


def with_light(root: Path, lights: str, groups: dict[str, object]) -> Catalog:
    write_pairs(root, [f"a{index}" for index in range(len(lights.split()))])
    rows = "".join(f"a{index},{light}\n" for index, light in enumerate(lights.split()))
    (root / "light.csv").write_text(f"name,light\n{rows}")
    return read_catalog(root, describe_pairs(attributes={"file": "light.csv"}, groups={"light": groups}))


def test_a_value_of_a_group_that_no_image_has_is_noted_with_the_nearest(tmp_path: Path) -> None:
    catalog = with_light(tmp_path, "night day", {"dark": ["nihgt"], "bright": "rest"})
    assert "no image has the light 'nihgt' of the group dark: did you mean night?" in catalog.summary()


def test_images_of_no_group_are_counted(tmp_path: Path) -> None:
    catalog = with_light(tmp_path, "night day dawn dawn", {"dark": "night", "bright": "day"})
    assert "2 images in no group, compared with none: light dawn" in catalog.summary()


def test_groups_with_images_are_not_noted(tmp_path: Path) -> None:
    assert with_light(tmp_path, "night day", {"dark": "night", "bright": "rest"}).remarks == ()


def test_of_many_values_the_most_frequent_are_counted(tmp_path: Path) -> None:
    lights = " ".join(["v0", *(f"v{index}" for index in range(500))])
    headline = with_light(tmp_path, lights, {"dark": "v0", "bright": "rest"}).summary()[0]
    assert ": v0 2, " in headline and headline.endswith(" and 492 other values")

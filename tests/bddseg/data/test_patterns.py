"""File patterns: which files match, and the names and parts that they have."""

import os
import tempfile
from pathlib import Path

import pytest
from users import NOBODY

from bddseg.data.patterns import PatternListing, list_first, list_pattern
from bddseg.errors import AccessError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def names(listing: PatternListing) -> list[str]:
    return [file.name for file in listing.files]


def test_a_name_is_what_stands_between_the_literals(tmp_path: Path) -> None:
    touch(tmp_path, "left/a_left.png", "left/b_left.png", "left/c.png")
    listing = list_pattern(tmp_path, "left/{name}_left.png")
    assert (names(listing), listing.other_names) == (["a", "b"], ["left/c.png"])


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG", ".png", ".PNG", ".tif"])
def test_any_suffix_of_images_matches_in_either_case(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, f"images/a{suffix}", "images/notes.txt")
    assert names(list_pattern(tmp_path, "images/{name}.*")) == ["a"]


def test_a_written_suffix_matches_in_upper_case_but_no_other_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.PNG", "images/b.jpg")
    assert names(list_pattern(tmp_path, "images/{name}.png")) == ["a"]


def test_parts_go_by_many_names(tmp_path: Path) -> None:
    touch(tmp_path, "training/a.png", "Val/b.png", "validation/c.png", "testing/d.png", "extra/e.png")
    listing = list_pattern(tmp_path, "{part}/{name}.png")
    assert {file.name: file.part for file in listing.files} == {"a": "train", "b": "val", "c": "val", "d": "test"}
    assert listing.other_names == ["extra"]


def test_a_star_matches_any_folder(tmp_path: Path) -> None:
    touch(tmp_path, "train/aachen/a.png", "train/bonn/b.png", "train/c.png")
    assert names(list_pattern(tmp_path, "{part}/*/{name}.png")) == ["a", "b"]


def test_a_part_that_is_named_twice_must_be_the_same(tmp_path: Path) -> None:
    touch(tmp_path, "train/train_a.png", "train/val_b.png")
    assert names(list_pattern(tmp_path, "{part}/{part}_{name}.png")) == ["a"]


def test_a_part_that_is_named_twice_in_one_name_must_be_the_same(tmp_path: Path) -> None:
    touch(tmp_path, "train_train/a.png", "train_val/b.png")
    assert names(list_pattern(tmp_path, "{part}_{part}/{name}.png")) == ["a"]


def test_hidden_files_and_those_of_systems_are_apart(tmp_path: Path) -> None:
    touch(tmp_path, "images/._a.jpg", "images/.DS_Store", "images/Thumbs.db", "images/a.jpg")
    listing = list_pattern(tmp_path, "images/{name}.*")
    assert names(listing) == ["a"] and listing.other_names == []
    assert listing.system_names == ["images/.DS_Store", "images/._a.jpg", "images/Thumbs.db"]


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path: Path) -> None:
    (tmp_path / "images/a.jpg").mkdir(parents=True)
    touch(tmp_path, "train")
    assert names(list_pattern(tmp_path, "images/{name}.*")) == []
    assert names(list_pattern(tmp_path, "{part}/{name}.*")) == []


def test_the_first_pattern_that_matches_is_used(tmp_path: Path) -> None:
    touch(tmp_path, "coarse/a.png", "fine/b.png")
    listing = list_first(tmp_path, ("none/{name}.png", "fine/{name}.png", "coarse/{name}.png"))
    assert (listing.pattern, names(listing)) == ("fine/{name}.png", ["b"])


@pytest.mark.parametrize("name", ["a b", "straße", "-a", "=a", "a.b", "[x]*?", "a\nb"])
def test_names_may_be_anything_that_is_text(tmp_path: Path, name: str) -> None:
    touch(tmp_path, f"images/{name}.png")
    assert names(list_pattern(tmp_path, "images/{name}.*")) == [name]


def test_a_folder_that_leads_back_to_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train/loop").symlink_to("loop")
    with pytest.raises(AccessError, match=f"{tmp_path}/train/loop cannot be read: Too many levels of symbolic links"):
        list_pattern(tmp_path, "{part}/*/{name}.png")


def test_a_literal_folder_that_leads_back_to_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to("images")
    with pytest.raises(AccessError, match=f"{tmp_path}/images cannot be listed: Too many levels of symbolic links"):
        list_pattern(tmp_path, "images/{name}.png")


def test_a_link_to_the_root_is_not_followed_without_end(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/x.png")
    (tmp_path / "train/up").symlink_to(tmp_path)
    assert names(list_pattern(tmp_path, "{part}/*/{name}.png")) == ["x"]


def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    """Root may read every folder, so that the effective user is another one."""
    with tempfile.TemporaryDirectory() as name:
        root = touch(Path(name), "images/a.png")
        Path(name).chmod(0o755)
        (root / "images").chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        try:
            with pytest.raises(AccessError, match=f"{root}/images cannot be listed: Permission denied"):
                list_pattern(root, "images/{name}.png")
        finally:
            os.seteuid(user)
            (root / "images").chmod(0o755)

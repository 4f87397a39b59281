"""What is explored: a folder, a file of datasets, or what a sweep would take."""

import re
from pathlib import Path

import pytest
import yaml
from explorations import ENTRY, scene, write_pairs

from bddseg.errors import DataError
from sweeps.exploration.source import open_folder, title_of


def test_a_file_of_datasets_gives_its_own_folder(tmp_path: Path) -> None:
    write_pairs(tmp_path / "frames", {"a": scene()})
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"mine": {**ENTRY, "root": "frames"}}))
    folder = open_folder(tmp_path / "mine.yaml", None, tmp_path / "cache")
    assert (folder.description.name, folder.root) == ("mine", (tmp_path / "frames").resolve())
    assert [sample.name for sample in folder.samples] == ["a"]


def test_classes_are_found_in_masks_that_no_one_has_described(tmp_path: Path) -> None:
    folder = open_folder(write_pairs(tmp_path / "data", {"a": scene(car=True)}), "pairs", tmp_path / "cache")
    assert [label.name for label in folder.description.classes] == ["class 0", "class 1", "class 2"]


def test_an_unknown_dataset_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'camvit' is not in datasets\.yaml; did you mean camvid\?"):
        open_folder(tmp_path, "camvit", tmp_path / "cache")


@pytest.mark.parametrize(
    ("drive", "why"),
    [
        ("(x)", "finds a drive at the beginning of no name: a1, a2"),
        ("(a)", "finds the same drive, 'a', in all 2 names"),
    ],
)
def test_a_rule_for_drives_that_tells_none_apart_is_refused(tmp_path: Path, drive: str, why: str) -> None:
    write_pairs(tmp_path / "frames", {"a1": scene(), "a2": scene()})
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"mine": {**ENTRY, "root": "frames", "drive": drive}}))
    with pytest.raises(DataError, match=re.escape(f"mine.drive {drive!r} {why}")):
        open_folder(tmp_path / "mine.yaml", None, tmp_path / "cache")


def test_the_time_of_day_has_its_name_in_words() -> None:
    assert (title_of("timeofday"), title_of("weather")) == ("time of day", "weather")

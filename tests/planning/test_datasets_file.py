"""datasets.yaml and a user's own file: every dataset can be used, and errors name file and line."""

import re
from pathlib import Path

import pytest

from bddseg.data.bdd100k_labels import BDD100K
from bddseg.errors import DataError
from sweeps.errors import ExperimentError
from sweeps.planning.datasets_file import is_datasets_file, read_datasets, read_own, recorded_description

YARD = """\
yard:
  root: photos
  layout: bdd100k
  classes:
    road: {values: 0, colour: [128, 64, 128]}
    car: {values: 13, colour: [220, 60, 30]}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "my.yaml"
    path.write_text(text)
    return path


def refusal(path: Path, name: str | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read_own(path, name)
    return str(caught.value)


@pytest.mark.parametrize("name", list(read_datasets().entries))
def test_every_shipped_dataset_can_be_used(name: str) -> None:
    assert read_datasets().describe(name).name == name


def test_the_shipped_bdd100k_is_that_of_records_without_a_description() -> None:
    assert read_datasets().describe("bdd100k") == BDD100K
    assert recorded_description({"root": "/data"}) is BDD100K


def test_a_recorded_description_comes_back() -> None:
    description = read_datasets().describe("camvid")
    assert recorded_description({"dataset": "camvid", "description": dict(description.entry)}) == description


def test_the_folder_of_an_own_dataset_is_relative_to_its_file(tmp_path: Path) -> None:
    description, root = read_own(write(tmp_path, YARD), None)
    assert (description.name, root) == ("yard", tmp_path / "photos")


def test_one_of_several_own_datasets_is_chosen_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, YARD + YARD.replace("yard", "street").replace("photos", "more"))
    assert read_own(path, "street")[1] == tmp_path / "more"
    assert "describes 2 datasets: choose one with --dataset: yard, street" in refusal(path)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("values: 13", "values: 300", "my.yaml:6: yard.classes.car.values has 300"),
        ("layout: bdd100k", "layout: cards", "my.yaml:3: yard.layout is 'cards'"),
        ("  root: photos\n", "", "yard has no root: the folder of its files"),
        ("layout", "colour", "my.yaml:1: yard has the unknown key 'colour'"),
        ("    car:", "    road:", "my.yaml:5: yard.classes.road is given more than once"),
    ],
)
def test_an_error_names_file_and_line(tmp_path: Path, old: str, new: str, why: str) -> None:
    assert why in refusal(write(tmp_path, YARD.replace(old, new)))


def test_an_unknown_dataset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DataError, match=re.escape("dataset 'camvit' is not in datasets.yaml; did you mean camvid")):
        read_datasets().describe("camvit")


def test_a_yaml_file_is_told_from_a_folder_by_its_name() -> None:
    assert is_datasets_file(Path("my.YML")) and not is_datasets_file(Path("my.yaml.d"))


def test_aliases_that_stand_for_billions_of_values_are_refused_at_once(tmp_path: Path) -> None:
    lists = "".join(f"x{level}: &x{level} [{', '.join([f'*x{level - 1}'] * 9)}]\n" for level in range(1, 11))
    path = write(tmp_path, f"x0: &x0 [a, a]\n{lists}{YARD}  about: *x10\n")
    with pytest.raises(ExperimentError, match=r"has [\d,]{13,} values with every alias .* may have 100,000"):
        read_own(path, "yard")

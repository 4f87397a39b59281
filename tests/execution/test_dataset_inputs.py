"""The parts of the data that a run uses, as its first event names them."""

from dataclasses import replace
from pathlib import Path

from tiny import make_config, make_frames, make_split

from bddseg.config import DataSettings
from bddseg.data.bdd100k_labels import BDD100K
from sweeps.execution.dataset_inputs import describe_inputs
from sweeps.planning.dataset import Dataset

STREETS = replace(BDD100K, name="streets")
MATERIAL = Dataset(
    Path("/data/streets"), is_embedded=True, frames=make_frames(), split=make_split(), summary=(), description=STREETS
)
USUAL = make_config().data
FOLD = replace(USUAL, folds=4, fold=1)


def parts(settings: DataSettings) -> dict[str, tuple[str, int]]:
    return {entry["context"]: (entry["name"], entry["images"]) for entry in describe_inputs(MATERIAL, settings)}


def test_a_run_of_a_screening_uses_three_parts() -> None:
    expected = {"train": ("streets train", 16), "validation": ("streets validation", 4), "test": ("streets test", 4)}
    assert parts(USUAL) == expected


def test_a_run_on_a_fold_trains_on_the_other_folds() -> None:
    assert parts(FOLD)["train"] == ("streets without fold 2 of 4", 15)
    assert parts(FOLD)["validation"] == ("streets fold 2 of 4", 5)


def test_another_cut_into_folds_is_another_dataset() -> None:
    assert parts(replace(FOLD, cut=1))["validation"][0] == "streets fold 2 of 4 of cut 2"


def test_a_run_without_validation_has_no_such_part() -> None:
    assert parts(replace(USUAL, folds=1)).keys() == {"train", "test"}


def test_every_part_has_the_fingerprint_of_the_frames() -> None:
    assert {entry["digest"] for entry in describe_inputs(MATERIAL)} == {MATERIAL.frames.fingerprint}


def test_parts_are_named_after_the_description() -> None:
    entries = describe_inputs(replace(MATERIAL, description=BDD100K))
    assert [entry["name"] for entry in entries] == ["bdd100k train", "bdd100k validation", "bdd100k test"]

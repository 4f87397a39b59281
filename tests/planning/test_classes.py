"""The classes of a sweep, resolved against its dataset before trials are hashed."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bddseg.data.bdd100k_labels import BDD100K
from bddseg.data.description import ALL
from bddseg.errors import DataError
from sweeps.errors import ExperimentError
from sweeps.planning.classes import follow_description
from sweeps.planning.datasets_file import read_datasets
from sweeps.planning.experiment import Experiment, load_experiment
from sweeps.planning.planner import build_plan

NINETEEN = BDD100K.chosen(ALL)


def nothing_counted() -> np.ndarray:
    raise AssertionError("pixels were counted")


def load(*overrides: str, path: Path | None = None) -> Experiment:
    return load_experiment("smoke", profile="quick", overrides=overrides, path=path)


def resolved(*overrides: str) -> Experiment:
    return follow_description(load(*overrides), BDD100K, nothing_counted)


def test_the_usual_classes_leave_every_digest_as_it_was() -> None:
    plain, named = load(), resolved("data.classes=[road, building, vegetation, sky, car]")
    assert [trial.trial_id for trial in build_plan(named).trials] == [
        trial.trial_id for trial in build_plan(plain).trials
    ]


def test_other_classes_are_other_trials_with_other_networks() -> None:
    plan = build_plan(resolved("data.classes=all"))
    assert plan.classes == 19 and not {trial.trial_id for trial in plan.trials} & {
        trial.trial_id for trial in build_plan(resolved()).trials
    }


def test_merged_classes_are_given_as_a_mapping() -> None:
    experiment = resolved("data.classes={ground: [road, sidewalk], vehicle: [car, truck]}")
    assert experiment.base.data.classes == "ground=road+sidewalk,vehicle=car+truck"
    assert experiment.task.classes == ("ground", "vehicle")


def test_the_most_frequent_classes_are_recorded_by_name() -> None:
    pixels = np.zeros(19)
    pixels[[10, 0, 13]] = 5, 9, 7  # sky, road, car
    experiment = follow_description(load("data.classes=top:2"), BDD100K, lambda: pixels)
    assert experiment.base.data.classes == "road,car"


@pytest.mark.parametrize(
    ("selection", "why"),
    [
        ("top:20", "data.classes 'top:20': dataset bdd100k has 19 classes only"),
        ("road", "data.classes 'road' gives 1 classes of dataset bdd100k, road, but must give 2 or more"),
        ("[road, cat]", "data.classes 'road,cat': bdd100k has no class 'cat'"),
    ],
)
def test_classes_that_cannot_be_trained_are_refused(selection: str, why: str) -> None:
    with pytest.raises(DataError, match=re.escape(why)):
        follow_description(load(f"data.classes={selection}"), BDD100K, lambda: np.zeros(19))


@pytest.mark.parametrize("key", ["grid", "vary"])
def test_classes_are_no_axis(tmp_path: Path, key: str) -> None:
    path = tmp_path / "experiments.yaml"
    path.write_text(
        "profiles: {quick: {data: streets}}\n"
        f"spaces: {{smoke: {{{key}: {{data.classes: [all, road], optim.lr: [0.1]}}}}}}\n"
    )
    with pytest.raises(ExperimentError, match=rf"spaces.smoke.{key}.data.classes cannot be an axis: figures of other"):
        load(path=path)


def test_classes_of_a_space_are_a_list_or_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "experiments.yaml"
    path.write_text(
        "profiles: {quick: {data: streets}}\n"
        "spaces: {smoke: {grid: {optim.lr: [0.1]}, settings: {data.classes: [sky, {vehicle: [car, truck]}]}}}\n"
    )
    assert load(path=path).base.data.classes == "sky,vehicle=car+truck"


def test_the_rule_of_the_dataset_finds_drives_unless_another_is_given() -> None:
    cityscapes = read_datasets().describe("cityscapes")
    assert follow_description(load(), cityscapes, nothing_counted).base.data.drive_pattern == cityscapes.drive
    given = follow_description(load("data.drive_pattern=(x)"), cityscapes, nothing_counted)
    assert given.base.data.drive_pattern == "(x)"


def test_bdd100ks_own_rule_is_not_written_into_the_settings() -> None:
    assert resolved().base.data.drive_pattern == ""
    assert replace(BDD100K, drive="").drive == resolved().base.data.drive_pattern

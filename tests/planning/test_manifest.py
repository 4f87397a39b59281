"""sweep.json: what was planned comes back from the file."""

import json
from pathlib import Path

import pytest
from earlier import VERSIONS, unpack

from bddseg.files import write_json
from sweeps.planning.experiment import load_experiment
from sweeps.planning.manifest import build_manifest, versions
from sweeps.planning.planner import build_plan
from sweeps.storage.sweep_json import FILE, read_manifest, save_manifest

EXPERIMENT = load_experiment("grid_lr_loss", profile="quick")
PLAN = build_plan(EXPERIMENT, precision="fp32")
DATA = {"root": "/data", "split": {"train": 7, "val": 2, "test": 1, "by_drive": True, "warning": ""}}
FACTS = {"device": "CPU", "command": "python tune_main.py --space grid_lr_loss", "started": "2026-11-23T03:45:01+00:00"}
MANIFEST = build_manifest("grid-1", EXPERIMENT, PLAN, DATA, FACTS)


def test_a_manifest_comes_back_from_its_file(tmp_path: Path) -> None:
    path = save_manifest(tmp_path, MANIFEST)
    assert path == tmp_path / FILE
    assert read_manifest(tmp_path).to_json() == MANIFEST.to_json()


def test_a_manifest_is_json_that_every_reader_takes() -> None:
    json.dumps(MANIFEST.to_json(), allow_nan=False)


def test_the_keys_of_the_file_are_in_the_order_of_every_version() -> None:
    head = ["version", "sweep_id", "space", "question", "profile", "seed", "metric", "scheduler", "axes", "search"]
    assert list(MANIFEST.to_json())[: len(head)] == head
    assert list(MANIFEST.to_json()["trials"][0]) == ["trial_id", "name", "digest", "settings", "point", "reference"]


def test_keys_of_a_newer_version_are_written_again(tmp_path: Path) -> None:
    write_json(tmp_path / FILE, {"version": 1, "trials": [], "energy": {"joule": 3}, "cooled": None})
    save_manifest(tmp_path, read_manifest(tmp_path).changed(seed=3))
    content = {"version": 1, "trials": [], "energy": {"joule": 3}, "cooled": None, "seed": 3}
    assert json.loads((tmp_path / FILE).read_text()) == content


@pytest.mark.parametrize(("version", "state"), [(version, "killed") for version in VERSIONS])
def test_the_manifest_of_an_earlier_version_is_written_back_byte_for_byte(
    version: str, state: str, tmp_path: Path
) -> None:
    path = unpack(version, state, tmp_path).folder / FILE
    before = path.read_bytes()
    save_manifest(path.parent, read_manifest(path.parent))
    assert path.read_bytes() == before


def test_a_manifest_says_what_was_asked() -> None:
    keys = ("version", "sweep_id", "space", "question", "profile", "seed", "metric")
    assert {key: getattr(MANIFEST, key) for key in keys} == {
        "version": 1,
        "sweep_id": "grid-1",
        "space": "grid_lr_loss",
        "question": "Which learning rate and which loss?",
        "profile": "quick",
        "seed": 1337,
        "metric": "val/miou",
    }


def test_settings_keep_their_types(tmp_path: Path) -> None:
    trial = json.loads(save_manifest(tmp_path, MANIFEST).read_text())["trials"][0]
    assert trial["settings"] == PLAN.trials[0].settings
    kinds = {key: type(trial["settings"][key]) for key in ("optim.lr", "train.epochs", "loss.name", "model.dropout")}
    assert kinds == {"optim.lr": float, "train.epochs": int, "loss.name": str, "model.dropout": float}


def test_trials_stand_in_the_order_of_the_plan() -> None:
    assert [trial.trial_id for trial in MANIFEST.trials] == [trial.trial_id for trial in PLAN.trials]


def test_the_reference_is_named_once() -> None:
    assert [trial.trial_id for trial in MANIFEST.trials if trial.reference] == [MANIFEST.reference]


def test_axes_are_lists_of_values() -> None:
    assert MANIFEST.axes == {"optim.lr": [3e-4, 1e-3, 3e-3, 1e-2], "loss.name": ["cross_entropy", "focal"]}


def test_the_schedule_is_said_in_epochs() -> None:
    assert MANIFEST.scheduler == {"name": "asha", "grace": 2, "reduction": 3, "max_epochs": 20, "rungs": [2, 6, 18]}


def test_without_early_stopping_the_grace_is_the_budget() -> None:
    experiment = load_experiment("grid_lr_loss", profile="quick", scheduler="none")
    scheduler = build_manifest("x", experiment, build_plan(experiment), {}, {}).scheduler
    assert (scheduler["name"], scheduler["grace"], scheduler["rungs"]) == ("none", 20, [])


def test_facts_and_data_are_there() -> None:
    assert MANIFEST.data == DATA and {key: getattr(MANIFEST, key) for key in FACTS} == FACTS


def test_a_manifest_is_replaced_whole(tmp_path: Path) -> None:
    save_manifest(tmp_path, MANIFEST)
    save_manifest(tmp_path, MANIFEST.changed(device="GPU"))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert json.loads((tmp_path / FILE).read_text())["device"] == "GPU"


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    save_manifest(tmp_path, MANIFEST)
    with pytest.raises(TypeError):
        save_manifest(tmp_path, MANIFEST.changed(command=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert json.loads((tmp_path / FILE).read_text()) == MANIFEST.to_json()


def test_versions_name_what_figures_depend_on() -> None:
    assert {"python", "torch", "ray", "mlflow", "numpy"} <= versions().keys()

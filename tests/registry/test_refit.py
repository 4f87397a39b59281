"""A confirmed setting is trained once more on all but the test part, goes on after a stop, leaves nothing."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import write_folder
from notes_heard import heard_notes, listening
from tiny import make_config, make_frames, make_split

from bddseg.checkpoint import load_checkpoint
from bddseg.errors import DataError
from bddseg.predictor import load_trained
from sweeps.errors import ExperimentError, ModelError, NothingToRegisterError
from sweeps.planning.dataset import Dataset, cache_folder
from sweeps.registry.refit import load_recorded, refit, refit_config
from sweeps.storage.records import SweepRecord, TrialRow

FRAMES, SPLIT = make_frames(), make_split()
MATERIAL = Dataset(Path("/data"), False, FRAMES, SPLIT, ())
FOLD = {"data.folds": 5, "train.keep": "last", "train.seed": 8, "train.epochs": 3}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BDDSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make_run(number: int, **changes: Any) -> TrialRow:
    config = make_config(model_name="unet").with_overrides({**FOLD, "data.fold": number})
    row = TrialRow(
        f"r{number}",
        "",
        f"unet run {number + 1}",
        "FINISHED",
        "max_epochs",
        "",
        "",
        config.flat(),
        {},
        config.digest(),
        False,
        0,
        1,
    )
    return replace(row, finalist="a", **changes)


def make_confirmation(*runs: TrialRow, **data: Any) -> SweepRecord:
    facts = {"root": "/data", "embedded": False, "fingerprint": FRAMES.fingerprint, **data}
    return SweepRecord("confirm-1", "run", "FINISHED", {"profile": "full", "data": facts}, {}, runs)


CONFIG = refit_config(make_confirmation(make_run(0), make_run(1)), "a")


def test_the_settings_are_those_of_the_first_run_with_nothing_kept_back() -> None:
    changed = {key: value for key, value in CONFIG.flat().items() if value != make_run(0).settings[key]}
    assert changed == {"data.folds": 1}


def test_a_finalist_that_was_not_confirmed_is_refused() -> None:
    with pytest.raises(ExperimentError, match="confirm-1 has no run of finalist b"):
        refit_config(make_confirmation(make_run(0)), "b")


def test_settings_that_were_tampered_with_are_refused() -> None:
    with pytest.raises(ExperimentError, match=r"unet run 1: model.name is 'x', but must be one of"):
        refit_config(make_confirmation(make_run(0, settings={"model.name": "x"})), "a")


def test_settings_that_train_otherwise_today_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(0)
    monkeypatch.setattr("bddseg.config.RECIPE", -1)
    with pytest.raises(ExperimentError, match=f"unet run 1: its recorded digest is {run.digest}, but its settings"):
        refit_config(make_confirmation(run), "a")


def test_a_refit_trains_on_train_and_validation_and_counts_the_test_part_once() -> None:
    with heard_notes() as messages, refit(CONFIG, MATERIAL) as result:
        assert result.images == len(SPLIT.train) + len(SPLIT.val)
        assert result.test.names == tuple(FRAMES.names[index] for index in SPLIT.test)
        assert load_trained(load_checkpoint(result.weights)).config == CONFIG
    assert messages[0] == "training 3 epochs on all 20 images of train and validation"
    assert [line[:12] for line in messages[1:]] == ["epoch 1 of 3", "epoch 2 of 3", "epoch 3 of 3"]


def test_a_refit_that_is_done_leaves_nothing(cache: Path) -> None:
    with refit(CONFIG, MATERIAL):
        assert cache_folder() == cache
    assert not [path for path in (cache / f"refits-{os.getuid()}").iterdir() if path.is_dir()]


def interrupted(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Begin a refit and stop it after an epoch, everything saved."""

    def interrupt(note: str) -> None:
        if note.startswith(f"epoch {after + 1} "):
            raise KeyboardInterrupt

    monkeypatch.setattr("sweeps.registry.refit.SAVE_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt), listening(interrupt), refit(CONFIG, MATERIAL):
        pass


def test_an_interrupted_refit_goes_on_and_ends_in_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    with refit(CONFIG, MATERIAL) as result:
        whole, test = load_checkpoint(result.weights)["weights"], result.test
    interrupted(monkeypatch, after=2)
    with heard_notes() as messages, refit(CONFIG, MATERIAL) as result:
        again = load_checkpoint(result.weights)["weights"]
    assert messages[0].endswith("continuing after epoch 2") and len(messages) == 2
    assert all(np.array_equal(again[name], tensor) for name, tensor in whole.items())
    assert np.array_equal(result.test.counts, test.counts)


def test_a_refit_that_was_not_handed_on_is_not_trained_again() -> None:
    with pytest.raises(RuntimeError), refit(CONFIG, MATERIAL):
        raise RuntimeError
    with heard_notes() as messages, refit(CONFIG, MATERIAL) as result:
        assert len(result.test.names) == len(SPLIT.test)
    assert messages == ["training 3 epochs on all 20 images of train and validation, continuing after epoch 3"]


def test_a_torn_state_is_begun_anew(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    interrupted(monkeypatch, after=1)
    (path,) = (cache / f"refits-{os.getuid()}").glob("*/last.pt")
    path.write_bytes(b"torn")
    with heard_notes() as messages, refit(CONFIG, MATERIAL):
        assert len(messages) == 4


def test_a_refit_that_diverges_leaves_nothing_to_register() -> None:
    wild = CONFIG.with_overrides({"optim.lr": 1e30})
    with pytest.raises(NothingToRegisterError, match="the refit diverged in epoch"), refit(wild, MATERIAL):
        pass


def test_two_processes_do_not_train_the_same_model() -> None:
    second = refit(CONFIG, MATERIAL)
    with refit(CONFIG, MATERIAL), pytest.raises(ModelError, match="another process trains this model"), second:
        pass


def test_frames_that_are_not_what_they_were_are_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "data", {f"frame{index}": "highway" for index in range(12)})
    record = make_confirmation(make_run(0), root=str(root))
    with pytest.raises(ExperimentError, match=r"used frames 0123456789abcdef .* but they are [0-9a-f]{16} now"):
        load_recorded(record, CONFIG)


def test_a_confirmation_that_does_not_say_its_data_is_refused() -> None:
    with pytest.raises(ExperimentError, match=r"has no sweep.json in the store"):
        load_recorded(replace(make_confirmation(), manifest={}), CONFIG)


def test_frames_that_are_as_they_were_are_taken(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "data", {f"frame{index}": "highway" for index in range(12)})
    record = make_confirmation(make_run(0), root=str(root))
    with pytest.raises(ExperimentError) as caught:
        load_recorded(record, CONFIG)
    present = str(caught.value).split("they are ")[1][:16]
    assert len(load_recorded(make_confirmation(root=str(root), fingerprint=present), CONFIG).frames) == 12
    moved = root.rename(tmp_path / "moved")
    assert len(load_recorded(make_confirmation(root=str(root), fingerprint=present), CONFIG, moved).frames) == 12
    with pytest.raises(
        DataError, match=r"the data folder .*data does not exist any more: give the new folder of the data with --data"
    ):
        load_recorded(make_confirmation(root=str(root), fingerprint=present), CONFIG)

"""A recorded sweep from Python, on the records of an earlier version; a refusal is raised as the command's sentence."""

import os
from pathlib import Path

import numpy as np
import pytest
from earlier import VERSIONS, Recorded, unpack
from PIL import Image

import sweeps
from bddseg.errors import DataError, UserError
from sweeps.errors import NoSweepError, StorageError
from sweeps.tracking.reader import Store


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return unpack(VERSIONS[-1], "finished", tmp_path_factory.mktemp("recorded"))


@pytest.fixture(scope="module")
def sweep(recorded: Recorded) -> sweeps.Sweep:
    return sweeps.open(storage=recorded.storage)


def test_without_a_name_the_latest_sweep_is_opened(sweep: sweeps.Sweep, recorded: Recorded) -> None:
    assert (sweep.name, sweep.folder, sweep.status) == (recorded.sweep_id, recorded.folder, "finished")
    assert sweep == sweeps.open(recorded.sweep_id, storage=recorded.storage)


def test_a_sweep_that_is_not_recorded_is_refused_with_the_known_ones(recorded: Recorded) -> None:
    with pytest.raises(NoSweepError, match=f"no sweep 'none' in .*; known: {recorded.sweep_id}"):
        sweeps.open("none", storage=recorded.storage)


def test_the_trials_are_all_of_the_plan_best_first(sweep: sweeps.Sweep, recorded: Recorded) -> None:
    scores = [trial.best_miou for trial in sweep.trials if trial.best_miou is not None]
    assert {trial.trial_id for trial in sweep.trials} == set(recorded.trial_ids)
    assert scores == sorted(scores, reverse=True) and scores[0] > 0


def test_the_frame_has_a_row_for_each_trial_with_its_settings(sweep: sweeps.Sweep) -> None:
    frame = sweep.trials.frame()
    assert list(frame["trial_id"]) == [trial.trial_id for trial in sweep.trials]
    assert list(frame["optim.lr"]) == [trial.settings["optim.lr"] for trial in sweep.trials]


def test_a_sweep_without_its_folder_is_read_from_mlflow(sweep: sweeps.Sweep, tmp_path: Path) -> None:
    elsewhere = sweeps.Sweep(sweep.name, tmp_path, sweep.tracking_uri)
    assert elsewhere.status == "finished"
    assert [trial.name for trial in elsewhere.trials] == [trial.name for trial in sweep.trials]


def test_the_verdict_leaves_the_test_set_closed(sweep: sweeps.Sweep, recorded: Recorded) -> None:
    before = Store(recorded.uri).read_sweep(sweep.name).tags
    assert sweep.verdict().leader == sweep.trials[0].trial_id
    assert Store(recorded.uri).read_sweep(sweep.name).tags == before


def test_the_report_is_a_page_that_a_notebook_shows(sweep: sweeps.Sweep, tmp_path: Path) -> None:
    page = sweep.report(out=tmp_path, no_upload=True)
    assert Path(os.fspath(page)) == tmp_path / sweep.name / "index.html" and page.path.is_file()
    assert page.verdict is not None and page._repr_html_().startswith("<iframe src=")


def test_what_a_command_refuses_is_raised(sweep: sweeps.Sweep) -> None:
    with pytest.raises(UserError, match=r"argument --margin: .* must be a number of points between 0 and 100"):
        sweep.report(margin=500)
    with pytest.raises(UserError, match=r"unrecognized arguments: --profil quick; did you mean --profile"):
        sweeps.run("smoke", profil="quick")
    with pytest.raises(UserError, match=r"sweeps\.run trains, so it does not take --list"):
        sweeps.run(list=True)


def test_a_sweep_that_cannot_be_written_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        sweeps.run("smoke", profile="quick", storage=tmp_path / "file", offline=True)


def test_the_password_of_an_address_is_not_shown(tmp_path: Path) -> None:
    assert "hunter2" not in repr(sweeps.Sweep("a", tmp_path, "http://me:hunter2@host"))


def test_markup_in_a_name_is_escaped(sweep: sweeps.Sweep) -> None:
    html = sweeps.Trials([sweeps.Trial("<b>", "a", "x", 1, 1, None, 0, 0.0, "", "", "", False, {})])._repr_html_()
    assert "&lt;b&gt;" in html and "<b>" not in html
    assert sweep.name in sweep._repr_html_()


def test_a_model_predicts_one_image_or_several(sweep: sweeps.Sweep, tmp_path: Path) -> None:
    model = sweeps.load(str(next(sweep.storage.rglob("best.pt"))))
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    one = model.predict(tmp_path / "a.png")
    several = model.predict([np.zeros((30, 40, 3), np.uint8), Image.new("RGB", (40, 30))])
    assert isinstance(one, sweeps.Prediction) and isinstance(several, list)
    assert all((prediction.classes == one.classes).all() for prediction in several)
    assert one.classes.shape == (30, 40) and sum(one.shares().values()) == pytest.approx(1)
    assert one.overlay().size == (40, 30) and one._repr_html_().startswith("<img src=")


def test_an_array_that_is_no_image_is_refused(sweep: sweeps.Sweep) -> None:
    model = sweeps.load(str(next(sweep.storage.rglob("best.pt"))))
    with pytest.raises(DataError, match=r"an array of float64, \(3, 3, 3\)"):
        model.predict(np.zeros((3, 3, 3)))

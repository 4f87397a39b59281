"""Whole sweeps, command to report, on the embedded streets; every test reads what a sweep really left behind."""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import report
import tune_main
from bddseg.labels import CLASSES
from bddseg.result import OBJECTIVE
from sweeps.cluster import ray_cluster
from sweeps.delivery import default_tracking_uri
from sweeps.experiment import space_names
from sweeps.store import Store, SweepRecord

TINY = ["--set", "data.size=32", "--set", "train.epochs=2", "--set", "train.precision=fp32"]


@dataclass(frozen=True)
class Ran:
    """A sweep that a command line has run."""

    code: int
    record: SweepRecord
    store: Store


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One Ray, one cache and one store for all sweeps of this file."""
    folder = tmp_path_factory.mktemp("runs")
    before = os.environ.get("BDDSEG_CACHE")
    os.environ["BDDSEG_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    with ray_cluster(tmp_path_factory.mktemp("r")):
        yield folder
    os.environ.pop("BDDSEG_CACHE")
    if before:
        os.environ["BDDSEG_CACHE"] = before


def run(storage: Path, *words: str) -> Ran:
    code = tune_main.main([*words, "--storage", str(storage), "--quiet"])
    store = Store(default_tracking_uri(storage))
    return Ran(code, store.read_sweep(store.latest_sweep_id()), store)


@pytest.fixture(scope="module")
def smoke(storage: Path) -> Ran:
    return run(storage, "--space", "smoke", "--profile", "quick", "--scheduler", "none")


def test_a_smoke_sweep_succeeds(smoke: Ran) -> None:
    assert smoke.code == 0


def test_a_sweep_is_one_parent_run_with_one_child_per_trial(smoke: Ran) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(smoke.store.tracking_uri)
    experiment = client.get_experiment_by_name("bdd100k-unet")
    runs = client.search_runs([experiment.experiment_id], f"tags.`sweep.id` = '{smoke.record.sweep_id}'")
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == smoke.record.run_id]
    assert (len(runs), len(children)) == (5, 4)


def test_every_epoch_has_the_metrics_of_the_schema(smoke: Ran) -> None:
    keys = ["train/loss", OBJECTIVE, *(f"val/iou/{name}" for name in CLASSES), "val/group_miou/city", "time/epoch_s"]
    histories = smoke.store.histories(smoke.record, keys)
    assert {len(points) for trial in histories.values() for points in trial.values()} == {3}


def test_the_best_figures_are_those_of_the_best_epoch(smoke: Ran) -> None:
    trial = smoke.record.trials[0]
    points = dict(smoke.store.histories(smoke.record, [OBJECTIVE])[trial.trial_id][OBJECTIVE])
    assert trial.metrics["best/miou"] == max(points.values()) == points[int(trial.metrics["best/epoch"])]


def test_trials_that_used_their_budget_are_finished(smoke: Ran) -> None:
    assert {(trial.status, trial.stop_reason) for trial in smoke.record.trials} == {("FINISHED", "max_epochs")}


def test_evidence_of_both_parts_reaches_the_store(smoke: Ran) -> None:
    split = smoke.record.manifest["data"]["split"]
    found = [smoke.store.evidence(smoke.record.trials[0], part) for part in ("val", "test")]
    assert [len(evidence.names) for evidence in found if evidence] == [split["val"], split["test"]]


def test_the_leaders_weights_give_its_recorded_figures_again(smoke: Ran) -> None:
    leader = max(smoke.record.trials, key=lambda trial: trial.metrics["best/miou"])
    verification = smoke.store.json_artifact(leader.run_id, "verification.json")
    assert verification is not None
    assert verification["max_difference"] < 1e-4  # a pixel in a few thousand may fall on the other side of a tie


def test_every_trial_has_a_log_file(smoke: Ran) -> None:
    assert all("epoch 3" in Path(trial.log_file).read_text() for trial in smoke.record.trials)


def test_the_manifest_on_disk_is_the_one_in_the_store(smoke: Ran, storage: Path) -> None:
    text = (storage / smoke.record.sweep_id / "sweep.json").read_text()
    assert json.loads(text) == smoke.record.manifest


def test_the_report_of_a_sweep_is_a_page(smoke: Ran, storage: Path, tmp_path: Path) -> None:
    uri = default_tracking_uri(storage)
    code = report.main([smoke.record.sweep_id, "--tracking-uri", uri, "--out", str(tmp_path)])
    page = (tmp_path / smoke.record.sweep_id / "index.html").read_text()
    assert code == 0 and all(trial.name in page for trial in smoke.record.trials)


def test_a_ray_that_was_there_is_not_stopped(smoke: Ran) -> None:
    import ray

    assert ray.is_initialized()


def test_the_status_of_a_sweep_names_its_trials(smoke: Ran, storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune_main.main(["--status", smoke.record.sweep_id, "--storage", str(storage)]) == 0
    text = capsys.readouterr().out
    assert all(trial.name in text and trial.log_file in text for trial in smoke.record.trials)


@pytest.mark.parametrize("space", [name for name in space_names() if name != "smoke"])
def test_two_trials_of_each_space_run(space: str, storage: Path) -> None:
    small = [*TINY, "--set", "model.base_filters=4", "--set", "data.max_images=40"]
    ran = run(storage, "--space", space, "--profile", "quick", "--limit", "2", *small)
    assert ran.code == 0
    assert all(trial.metrics["best/miou"] > 0 for trial in ran.record.trials)


def test_the_same_digest_gives_the_same_figures_in_two_sweeps(storage: Path) -> None:
    words = ("--space", "attention", "--profile", "quick", "--limit", "1", *TINY, "--set", "model.dropout=0.2")
    first, second = (run(storage, *words, "--set", "model.base_filters=4") for _ in range(2))
    assert first.record.trials[0].digest == second.record.trials[0].digest
    keys = ["train/loss", OBJECTIVE, "val/loss", "val/iou/car"]
    assert _points(first, keys) == _points(second, keys)


def _points(ran: Ran, keys: list[str]) -> dict[str, list[tuple[int, float]]]:
    return ran.store.histories(ran.record, keys)[ran.record.trials[0].trial_id]


def test_a_diverging_trial_is_recorded_and_the_sweep_goes_on(storage: Path) -> None:
    words = ("--space", "smoke", "--profile", "quick", "--scheduler", "none", "--limit", "3")
    ran = run(storage, *words, "--set", "optim.lr=[1e-3,1e30]")
    ended = {trial.settings["optim.lr"]: (trial.status, trial.stop_reason) for trial in ran.record.trials}
    assert ran.code == 0
    assert ended == {1e-3: ("FINISHED", "max_epochs"), 1e30: ("FAILED", "diverged")}


def test_early_stopping_stops_weak_trials_and_never_the_best(storage: Path) -> None:
    words = ("--space", "grid_lr_loss", "--profile", "quick", *TINY, "--set", "train.epochs=9")
    small = ("--set", "model.base_filters=4", "--set", "data.max_images=120")
    full, stopped = (run(storage, *words, *small, "--scheduler", name) for name in ("none", "asha"))
    best = max(full.record.trials, key=lambda trial: trial.metrics["best/miou"])
    ended = {trial.trial_id: trial for trial in stopped.record.trials}
    cut = [trial for trial in ended.values() if trial.stop_reason == "asha"]
    assert len(full.record.trials) == 8 and len(cut) >= 2
    assert ended[best.trial_id].stop_reason == "max_epochs"
    assert all("cut-off" in trial.stop_detail and trial.status == "KILLED" for trial in cut)
    assert not math.isnan(min(trial.metrics["best/miou"] for trial in cut))


@pytest.fixture(scope="module")
def promoted(storage: Path) -> Ran:
    return run(storage, "--space", "smoke", "--profile", "quick", "--scheduler", "asha_promote")


def test_a_paused_trial_goes_on_as_if_it_had_never_paused(smoke: Ran, promoted: Ran) -> None:
    keys = ["train/loss", OBJECTIVE, "val/loss", "val/iou/car"]
    full, found = (ran.store.histories(ran.record, keys) for ran in (smoke, promoted))
    for trial, points in found.items():
        assert points == {key: full[trial][key][: len(points[key])] for key in keys}  # a prefix, and nothing twice


def test_promotion_ends_every_trial_once_and_says_why(promoted: Ran) -> None:
    ended = {trial.trial_id: trial for trial in promoted.record.trials}
    stopped = [trial for trial in ended.values() if trial.stop_reason == "asha"]
    assert (promoted.code, len(ended)) == (0, 4)
    assert {trial.stop_reason for trial in ended.values()} == {"asha", "max_epochs"}
    assert ended[promoted.record.manifest["reference"]].stop_reason == "max_epochs"
    assert all("where those of the" in trial.stop_detail and trial.status == "KILLED" for trial in stopped)


def test_the_best_at_the_rung_is_promoted_to_the_end(smoke: Ran, promoted: Ran) -> None:
    at_rung = {
        trial: dict(points[OBJECTIVE])[1] for trial, points in smoke.store.histories(smoke.record, [OBJECTIVE]).items()
    }
    ended = {trial.trial_id: trial.stop_reason for trial in promoted.record.trials}
    assert ended[max(at_rung, key=lambda trial: at_rung[trial])] == "max_epochs"


def test_the_schedulers_state_is_in_the_sweeps_folder(promoted: Ran, storage: Path) -> None:
    state = json.loads((storage / promoted.record.sweep_id / "scheduler.json").read_text())
    stopped = {trial.trial_id for trial in promoted.record.trials if trial.stop_reason == "asha"}
    assert (state["scheduler"], set(state["stops"]), state["paused"]) == ("asha_promote", stopped, {})


def test_a_sweep_learns_on_real_frames(storage: Path, real_data: Path) -> None:
    words = ("--space", "smoke", "--profile", "full", "--data", str(real_data), "--limit", "2")
    ran = run(storage, *words, "--set", "data.max_images=0", "--set", "optim.lr=3e-3", "--set", "data.size=64")
    assert ran.record.manifest["data"]["split"]["train"] == 308
    assert max(trial.metrics["best/miou"] for trial in ran.record.trials) > 0.2

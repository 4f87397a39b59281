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
from bddseg.result import OBJECTIVE
from bddseg.task import FIVE_CLASSES
from sweeps.execution.cluster import ray_cluster
from sweeps.planning.experiments_file import read_book
from sweeps.storage.records import SweepRecord
from sweeps.tracking.reader import Store
from sweeps.tracking.uri import default_tracking_uri

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


def run(storage: Path, *options: str, reuse: bool = False) -> Ran:
    fresh = [] if reuse or "--confirm" in options else ["--fresh"]
    code = tune_main.main([*options, "--storage", str(storage), "--quiet", *fresh])
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
    keys = [
        "train/loss",
        OBJECTIVE,
        *(f"val/iou/{name}" for name in FIVE_CLASSES.classes),
        "val/group_miou/city",
        "time/epoch_s",
    ]
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
    recorded = [smoke.store.evidence(smoke.record.trials[0], part) for part in ("val", "test")]
    assert [len(evidence.names) for evidence in recorded if evidence] == [split["val"], split["test"]]


def test_the_leaders_weights_give_its_recorded_figures_again(smoke: Ran) -> None:
    leader = max(smoke.record.trials, key=lambda trial: trial.metrics["best/miou"])
    verification = smoke.store.json_artifact(leader.run_id, "verification.json")
    assert verification is not None
    assert verification["max_difference"] < 1e-4  # a pixel in a few thousand may fall on the other side of a tie


def test_a_sweep_leaves_pictures_of_validation_images(smoke: Ran) -> None:
    album, evidence = smoke.store.album(smoke.record.run_id), smoke.store.evidence(smoke.record.trials[0], "val")
    assert album is not None and evidence is not None
    assert [trial.role for trial in album.trials][:2] == ["leader", "runner-up"] and album.part == "validation"
    assert {panel.kind for panel in album.panels} >= {"fixed", "worst"}
    assert {panel.name for panel in album.panels} <= set(evidence.names)


def test_every_trials_network_is_timed(smoke: Ran) -> None:
    recorded = smoke.store.json_artifact(smoke.record.run_id, "latency.json")
    assert recorded is not None and recorded["trials"].keys() == {row.trial_id for row in smoke.record.trials}


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


def test_an_offline_sweep_tells_mlflow_nothing_until_it_is_synced(
    smoke: Ran, storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--space", "smoke", "--profile", "quick", "--limit", "1", "--storage", str(storage), "--offline", *TINY]
    assert tune_main.main([*options, "--tracking-uri", "http://me:secret@127.0.0.1:9"]) == 0
    printed = capsys.readouterr().err
    folder = next(path for path in storage.glob("smoke-*") if path.name != smoke.record.sweep_id)
    command = f'python tune_main.py --storage {storage} --tracking-uri "$MLFLOW_TRACKING_URI" --sync {folder.name}'
    assert f"offline: nothing is sent to MLflow; deliver it later with: {command}\n" in printed
    assert f"did not reach MLflow, but {folder}/outbox has them\ndeliver them with: {command}\n" in printed
    assert smoke.store.sweep_ids() == [smoke.record.sweep_id]
    assert not [path for path in folder.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]
    assert "secret" not in printed
    assert json.loads((folder / "sweep.json").read_text())["tracking_uri"] == "http://***@127.0.0.1:9"
    where = ["--storage", str(storage), "--tracking-uri", default_tracking_uri(storage)]
    assert tune_main.main(["--sync", folder.name, *where]) == 0
    record = smoke.store.read_sweep(folder.name)
    assert [(trial.status, trial.metrics["best/epoch"] > 0) for trial in record.trials] == [("FINISHED", True)]
    assert not (folder / "heartbeat.json").exists()


@pytest.mark.parametrize("space", [name for name in read_book().spaces if name != "smoke"])
def test_two_trials_of_each_space_run(space: str, storage: Path) -> None:
    small = [*TINY, "--set", "model.base_filters=4", "--set", "data.max_images=40"]
    ran = run(storage, "--space", space, "--profile", "quick", "--limit", "2", *small)
    assert ran.code == 0
    assert all(trial.metrics["best/miou"] > 0 for trial in ran.record.trials)


def test_the_same_digest_gives_the_same_figures_in_two_sweeps(storage: Path) -> None:
    options = ("--space", "attention", "--profile", "quick", "--limit", "1", *TINY, "--set", "model.dropout=0.2")
    first, second = (run(storage, *options, "--set", "model.base_filters=4") for _ in range(2))
    assert first.record.trials[0].digest == second.record.trials[0].digest
    keys = ["train/loss", OBJECTIVE, "val/loss", "val/iou/car"]
    assert _points(first, keys) == _points(second, keys)


def _points(ran: Ran, keys: list[str]) -> dict[str, list[tuple[int, float]]]:
    return ran.store.histories(ran.record, keys)[ran.record.trials[0].trial_id]


WIDE = ("--space", "smoke", "--profile", "quick", "--scheduler", "none", *TINY, "--set", "model.base_filters=4")


def trained_here(ran: Ran, storage: Path) -> set[str]:
    """Return the trials that Ray had a folder for in this sweep."""
    return {path.name for path in (storage / ran.record.sweep_id / "pass-1").glob("*") if path.is_dir()}


@pytest.fixture(scope="module")
def narrow(storage: Path) -> Ran:
    return run(storage, *WIDE, "--set", "optim.lr=[1e-3]")


@pytest.fixture(scope="module")
def widened(narrow: Ran, storage: Path) -> Ran:
    return run(storage, *WIDE, "--set", "optim.lr=[1e-3, 3e-3]", reuse=True)


def test_widening_a_grid_trains_the_new_points_alone(narrow: Ran, widened: Ran, storage: Path) -> None:
    old = {trial.trial_id for trial in narrow.record.trials}
    new = {trial.trial_id for trial in widened.record.trials} - old
    assert old and new
    assert trained_here(widened, storage) == new


def test_a_reused_trial_has_the_figures_and_evidence_of_the_one_that_was_trained(narrow: Ran, widened: Ran) -> None:
    keys = ["train/loss", OBJECTIVE, "val/loss"]
    before, after = (ran.store.histories(ran.record, keys) for ran in (narrow, widened))
    source = {trial.trial_id: trial for trial in narrow.record.trials}
    for trial in widened.record.trials:
        if trial.trial_id in source:
            recorded, wanted = (
                widened.store.evidence(trial, "val"),
                narrow.store.evidence(source[trial.trial_id], "val"),
            )
            assert recorded and wanted and (recorded.counts == wanted.counts).all()
            assert after[trial.trial_id] == before[trial.trial_id]
            assert (trial.status, trial.stop_reason) == ("FINISHED", "max_epochs")


def test_a_larger_budget_goes_on_where_the_smaller_one_ended(storage: Path) -> None:
    options = (*WIDE, "--set", "optim.lr=[2e-3]", "--set", "loss.name=focal")
    run(storage, *options, "--set", "train.epochs=2")
    longer = run(storage, *options, "--set", "train.epochs=4", reuse=True)
    whole = run(storage, *options, "--set", "train.epochs=4")
    log = Path(longer.record.trials[0].log_file).read_text()
    assert "continues after epoch 2" in log and "epoch 1:" not in log
    assert _points(longer, ["train/loss", OBJECTIVE]) == _points(whole, ["train/loss", OBJECTIVE])


def test_suggested_trials_are_recorded_and_the_next_sweep_trains_none_of_them_again(storage: Path) -> None:
    options = ("--space", "optuna_wide", "--profile", "quick", *TINY, "--samples", "5", "--scheduler", "none")
    small = ("--set", "model.base_filters=4", "--set", "data.max_images=60")
    first, again = run(storage, *options, *small), run(storage, *options, *small, reuse=True)
    recorded, planned = ([trial.trial_id for trial in first.record.trials], first.record.manifest["trials"])
    assert recorded == [trial["trial_id"] for trial in planned] and len(recorded) == 5
    assert {trial.stop_reason for trial in first.record.trials} == {"max_epochs"}
    assert [trial.trial_id for trial in again.record.trials] == recorded
    assert trained_here(again, storage) == set()


def test_a_diverging_trial_is_recorded_and_the_sweep_goes_on(storage: Path) -> None:
    options = ("--space", "smoke", "--profile", "quick", "--scheduler", "none", "--limit", "3")
    ran = run(storage, *options, "--set", "optim.lr=[1e-3,1e30]")
    ended = {trial.settings["optim.lr"]: (trial.status, trial.stop_reason) for trial in ran.record.trials}
    assert ran.code == 0
    assert ended == {1e-3: ("FINISHED", "max_epochs"), 1e30: ("FAILED", "diverged")}


def test_early_stopping_stops_weak_trials_and_never_the_one_that_leads(storage: Path) -> None:
    options = ("--space", "grid_lr_loss", "--profile", "quick", *TINY, "--set", "train.epochs=9")
    small = ("--set", "model.base_filters=4", "--set", "data.max_images=120")
    trials = run(storage, *options, *small, "--scheduler", "asha", "--replicates", "0").record.trials
    cut = [trial for trial in trials if trial.stop_reason == "asha"]
    assert len(trials) == 8 and len(cut) >= 2
    assert max(trials, key=lambda trial: trial.metrics["best/miou"]).stop_reason == "max_epochs"
    assert all("cut-off" in trial.stop_detail and trial.status == "FINISHED" for trial in cut)
    assert not math.isnan(min(trial.metrics["best/miou"] for trial in cut))


@pytest.fixture(scope="module")
def promoted(storage: Path) -> Ran:
    return run(storage, "--space", "smoke", "--profile", "quick", "--scheduler", "asha_promote")


def test_a_paused_trial_goes_on_as_if_it_had_never_paused(smoke: Ran, promoted: Ran) -> None:
    keys = ["train/loss", OBJECTIVE, "val/loss", "val/iou/car"]
    full, recorded = (ran.store.histories(ran.record, keys) for ran in (smoke, promoted))
    for trial, points in recorded.items():
        assert points == {key: full[trial][key][: len(points[key])] for key in keys}  # a prefix, and nothing twice


def test_promotion_ends_every_trial_once_and_says_why(promoted: Ran) -> None:
    ended = {trial.trial_id: trial for trial in promoted.record.trials}
    stopped = [trial for trial in ended.values() if trial.stop_reason == "asha"]
    assert (promoted.code, len(ended)) == (0, 4)
    assert {trial.stop_reason for trial in ended.values()} == {"asha", "max_epochs"}
    assert ended[promoted.record.manifest["reference"]].stop_reason == "max_epochs"
    assert all("promoted there" in trial.stop_detail and trial.status == "FINISHED" for trial in stopped)


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
    options = ("--space", "smoke", "--profile", "full", "--data", str(real_data), "--limit", "2")
    ran = run(storage, *options, "--set", "data.max_images=0", "--set", "optim.lr=3e-3", "--set", "data.size=64")
    assert ran.record.manifest["data"]["split"]["train"] == 308
    assert max(trial.metrics["best/miou"] for trial in ran.record.trials) > 0.2


# Confirmation


def test_every_json_file_of_the_sweeps_so_far_is_strict(smoke: Ran, storage: Path) -> None:
    paths = [path for path in storage.rglob("*.json*") if not any(part.startswith("pass-") for part in path.parts)]
    for path in paths:  # those of the passes are Ray's own
        for text in path.read_text().splitlines() if path.suffix == ".jsonl" else filter(None, [path.read_text()]):
            json.loads(text, parse_constant=pytest.fail)
    names = {"sweep.json", "verification.json", "latency.json", "panels.json", "report.json", "outbox.jsonl"}
    assert names <= {path.name for path in paths}


@pytest.fixture(scope="module")
def confirmed(smoke: Ran, storage: Path) -> Ran:
    return run(storage, "--confirm", smoke.record.sweep_id, "--top", "1", "--runs", "3")


def test_a_confirmation_is_linked_to_its_screening(confirmed: Ran, smoke: Ran) -> None:
    assert confirmed.code == 0
    assert confirmed.record.tags["sweep.confirms"] == smoke.record.sweep_id
    assert confirmed.record.manifest["confirmation"]["screening"] == smoke.record.sweep_id
    assert {row.finalist for row in confirmed.record.trials} <= {row.trial_id for row in smoke.record.trials}


def test_mlflow_has_one_run_per_finalist_and_fold(confirmed: Ran) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(confirmed.store.tracking_uri)
    experiment = client.get_experiment_by_name("bdd100k-unet")
    runs = client.search_runs([experiment.experiment_id], f"tags.`sweep.id` = '{confirmed.record.sweep_id}'")
    finalists = confirmed.record.manifest["confirmation"]["finalists"]
    assert len(runs) == 1 + 3 * len(finalists)
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_the_folds_of_a_finalist_cover_train_and_validation_once(confirmed: Ran, smoke: Ran) -> None:
    split = smoke.record.manifest["data"]["split"]
    sealed = set(confirmed.store.evidence(smoke.record.trials[0], "test").names)  # type: ignore[union-attr]
    for finalist in {row.finalist for row in confirmed.record.trials}:
        rows = [row for row in confirmed.record.trials if row.finalist == finalist]
        recorded = [name for row in rows for name in confirmed.store.evidence(row, "val").names]  # type: ignore[union-attr]
        assert len(recorded) == len(set(recorded)) == split["train"] + split["val"]
        assert not sealed & set(recorded)


def test_evidence_is_of_the_last_epoch_and_of_validation_alone(confirmed: Ran) -> None:
    for row in confirmed.record.trials:
        evidence = confirmed.store.evidence(row, "val")
        assert evidence is not None and evidence.epoch == row.settings["train.epochs"] == row.metrics["best/epoch"]
        assert confirmed.store.evidence(row, "test") is None


def test_the_weights_of_the_leading_run_give_its_figures_on_its_fold_again(confirmed: Ran) -> None:
    leader = max(confirmed.record.trials, key=lambda row: row.metrics["best/miou"])
    recorded = confirmed.store.json_artifact(leader.run_id, "verification.json")
    assert recorded is not None and recorded["max_difference"] < 1e-4


def test_finalists_are_shown_on_one_fold(confirmed: Ran) -> None:
    album = confirmed.store.album(confirmed.record.run_id)
    assert album is not None and album.part == "the fold of run 1"
    shown = [
        row for row in confirmed.record.trials if row.trial_id in {shown_trial.trial_id for shown_trial in album.trials}
    ]
    assert len(shown) == len({row.finalist for row in confirmed.record.trials}) and len(shown) > 1
    assert {row.settings["data.fold"] for row in shown} == {0}


def test_the_report_of_a_confirmation_is_a_page(confirmed: Ran, tmp_path: Path) -> None:
    options = [confirmed.record.sweep_id, "--tracking-uri", confirmed.store.tracking_uri, "--out", str(tmp_path)]
    assert report.main(options) == 0
    page = (tmp_path / confirmed.record.sweep_id / "index.html").read_text()
    assert all(row.digest in page for row in confirmed.record.trials)


def test_a_dry_run_tells_what_a_confirmation_takes(
    capsys: pytest.CaptureFixture[str], smoke: Ran, storage: Path
) -> None:
    options = ["--confirm", smoke.record.sweep_id, "--runs", "2", "--dry-run", "--storage", str(storage)]
    assert tune_main.main(options) == 0
    text = capsys.readouterr().out
    rows = ("time of all cores", "memory of a trial", "disk while running", "smallest detectable lead")
    assert "run 2" in text and all(row in text for row in rows)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--data", "/nowhere/bdd"], "/nowhere/bdd"),
        (["--runs", "40"], "too few for 40 folds"),
    ],
)
def test_misuse_is_refused_in_one_line(
    more: list[str], expected: str, capsys: pytest.CaptureFixture[str], smoke: Ran, storage: Path
) -> None:
    assert tune_main.main(["--confirm", smoke.record.sweep_id, "--storage", str(storage), "--quiet", *more]) == 2
    line, *more_lines = capsys.readouterr().err.splitlines()
    assert expected in line and not more_lines


def test_an_unknown_sweep_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str], smoke: Ran, storage: Path
) -> None:
    assert tune_main.main(["--confirm", "nothing", "--storage", str(storage)]) == 2
    known_ids = capsys.readouterr().err.split("known: ")[1]
    assert smoke.store.latest_sweep_id() in known_ids  # the last few are named

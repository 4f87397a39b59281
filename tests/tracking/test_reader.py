"""MLflow -> typed rows, on real sqlite stores that a real delivery filled."""

import json
import math
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from albums import make_album
from servers import server

from bddseg.errors import DataError
from bddseg.evidence import Evidence, save_evidence
from sweeps.errors import NoSweepError, TrackingError
from sweeps.storage.album import save_album
from sweeps.storage.outbox import Outbox
from sweeps.tracking.artifact_store import local_root
from sweeps.tracking.client import EXPERIMENT, open_client
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.reader import Store
from sweeps.tracking.store import prepare_store
from sweeps.tracking.uri import default_tracking_uri

SWEEP = "smoke-20261123-034501-3f2a"
SETTINGS = {"optim.lr": 1e-4, "train.epochs": 3, "model.name": "unet", "data.flip": True}
MANIFEST = {
    "version": 1,
    "sweep_id": SWEEP,
    "trials": [{"trial_id": trial, "settings": {**SETTINGS, "train.seed": seed}} for seed, trial in enumerate("cab")],
}


def evidence(epoch: int = 2) -> Evidence:
    counts = np.arange(50).reshape(2, 5, 5)
    return Evidence(
        part="val",
        epoch=epoch,
        names=("x", "y"),
        attributes={
            "scene": ("highway", "city street"),
            "weather": ("clear", "rainy"),
            "timeofday": ("night", "daytime"),
        },
        counts=counts,
        ignored=counts[:, 0],
        fingerprint="f00d",
    )


def trial_events(trial: str, sweep: str, values: list[float | None]) -> list[dict[str, Any]]:
    """Return what a finished trial leaves in the outbox; it starts at 100 + the place of its letter."""
    began = 100 + ord(trial)
    tags = {"sweep.id": sweep, "sweep.trial_id": trial, "sweep.config_digest": trial * 2, "sweep.reference": "false"}
    if trial == "a":
        tags["sweep.reference"] = "true"
    told = {"sweep.stop_reason": "asha", "sweep.stop_detail": "below", "sweep.log_file": "/logs/a.log"}
    return [
        {"kind": "start", "time_ms": began, "name": f"trial {trial}", "params": SETTINGS, "tags": tags},
        *(
            {
                "kind": "epoch",
                "time_ms": 1000 + step,
                "step": step,
                "metrics": {"val/miou": value, "train/loss": 1 / step},
            }
            for step, value in enumerate(values, start=1)
        ),
        {"kind": "end", "time_ms": 5000, "status": "KILLED", "tags": told, "metrics": {"best/miou": 0.5}, "step": 3},
    ]


def fill(uri: str, folder: Path, sweep: str = SWEEP, began: int = 1, with_manifest: bool = True) -> None:
    """Record a sweep of three trials a, b, c, planned in the order c, a, b."""
    outbox = Outbox(folder / sweep)
    start = {
        "kind": "start",
        "trial": "",
        "time_ms": began,
        "name": sweep,
        "params": {},
        "tags": {"sweep.space": "smoke"},
    }
    outbox.append(start)
    if with_manifest:
        (folder / "sweep.json").write_text(json.dumps(MANIFEST))
        outbox.append(file_event("", folder / "sweep.json", ""))
    measured: dict[str, list[float | None]] = {"a": [0.25, None, 0.5], "b": [0.1], "c": [0.3, 0.2]}
    for trial, values in measured.items():
        for event in trial_events(trial, sweep, values):
            outbox.append({"trial": trial, **event})
    save_evidence(folder / "evidence-val.npz", evidence())
    outbox.append(file_event("a", folder / "evidence-val.npz", "evidence"))
    assert Delivery(outbox, uri, sweep).close(60) == 0
    assert not (outbox.folder / "outbox.rejected.jsonl").exists()


def file_event(trial: str, path: Path, folder: str) -> dict[str, Any]:
    return {"kind": "artifact", "trial": trial, "time_ms": 4000, "path": str(path), "folder": folder}


def copied(template: Path, folder: Path) -> str:
    shutil.copy(template / "mlflow.db", folder / "mlflow.db")
    return default_tracking_uri(folder)


def settle(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared database without sweeps, made once: that takes seconds."""
    folder = tmp_path_factory.mktemp("empty")
    prepare_store(default_tracking_uri(folder), folder / "artifacts")
    settle(folder)
    return folder


@pytest.fixture(scope="session")
def filled(empty: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with one sweep, to read or to copy."""
    folder = tmp_path_factory.mktemp("filled")
    fill(copied(empty, folder), folder)
    settle(folder)
    return folder


@pytest.fixture
def store(filled: Path) -> Store:
    return Store(default_tracking_uri(filled))


@pytest.fixture
def own(filled: Path, tmp_path: Path) -> Store:
    """A store that a test may change."""
    return Store(copied(filled, tmp_path))


# ------------------------------------------------------------------------------------------------------------- sweeps


def test_a_sweep_is_read_with_its_manifest_and_tags(store: Store) -> None:
    record = store.read_sweep(SWEEP)
    assert (record.sweep_id, record.status, record.manifest) == (SWEEP, "RUNNING", MANIFEST)
    assert record.tags["sweep.space"] == "smoke"


def test_trials_are_in_plan_order(store: Store) -> None:
    assert [row.trial_id for row in store.read_sweep(SWEEP).trials] == ["c", "a", "b"]


def test_a_row_holds_what_was_recorded(store: Store) -> None:
    row = store.read_sweep(SWEEP).trials[1]
    assert (row.trial_id, row.name, row.status, row.digest, row.is_reference) == ("a", "trial a", "KILLED", "aa", True)
    assert (row.stop_reason, row.stop_detail, row.log_file) == ("asha", "below", "/logs/a.log")
    assert (row.started_ms, row.ended_ms, row.metrics["best/miou"]) == (197, 5000, 0.5)


def test_settings_come_from_the_manifest_in_their_types(store: Store) -> None:
    assert store.read_sweep(SWEEP).trials[0].settings == {**SETTINGS, "train.seed": 0}


def test_without_a_manifest_settings_are_typed_from_text_and_trials_in_order_of_start(
    empty: Path, tmp_path: Path
) -> None:
    uri = copied(empty, tmp_path)
    fill(uri, tmp_path, with_manifest=False)
    record = Store(uri).read_sweep(SWEEP)
    assert record.manifest == {}
    assert [(row.trial_id, row.settings) for row in record.trials] == [(trial, SETTINGS) for trial in "abc"]
    assert [type(value) for value in record.trials[0].settings.values()].count(bool) == 1


@pytest.mark.parametrize(
    "manifest",
    [
        "[1]",
        "{",
        '{"trials": 3}',
        '{"trials": [{"trial_id": "a", "settings": {"optim.lr": [1]}}]}',
        '{"trials": [7, {"trial_id": 1}]}',
    ],
)
def test_a_damaged_manifest_leaves_the_recorded_params(own: Store, manifest: str) -> None:
    record = own.read_sweep(SWEEP)
    open_client(own.tracking_uri).log_text(record.run_id, manifest, "sweep.json")
    try:
        assert own.read_sweep(SWEEP).trials[0].settings == SETTINGS
    finally:
        open_client(own.tracking_uri).log_text(record.run_id, json.dumps(MANIFEST), "sweep.json")


def test_a_running_trial_has_no_end(own: Store) -> None:
    run_id = own.read_sweep(SWEEP).trials[0].run_id
    open_client(own.tracking_uri).update_run(run_id, "RUNNING")
    assert own.read_sweep(SWEEP).trials[0].ended_ms is None


def test_the_latest_sweep_comes_first(own: Store, tmp_path: Path) -> None:
    fill(own.tracking_uri, tmp_path, sweep="later-1", began=2_000)
    assert (own.sweep_ids(), own.latest_sweep_id()) == (["later-1", SWEEP], "later-1")


def test_what_cannot_be_the_id_of_a_sweep_is_none(own: Store) -> None:
    client = open_client(own.tracking_uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    tags = {"sweep.role": "sweep", "sweep.id": "\x1b[31m' or 1"}
    client.create_run(experiment.experiment_id, start_time=9_000, tags=tags)
    assert (own.sweep_ids(), own.latest_sweep_id()) == ([SWEEP], SWEEP)


def test_sweeps_do_not_mix(own: Store, tmp_path: Path) -> None:
    fill(own.tracking_uri, tmp_path, sweep="later-1", began=2_000)
    assert (len(own.read_sweep("later-1").trials), len(own.read_sweep(SWEEP).trials)) == (3, 3)


def test_of_two_runs_of_a_trial_the_one_with_more_epochs_is_kept(own: Store) -> None:
    client, row = open_client(own.tracking_uri), own.read_sweep(SWEEP).trials[1]
    first = client.get_run(row.run_id)
    for start_time in (1, 10**12):
        twin = client.create_run(first.info.experiment_id, start_time, tags=dict(first.data.tags))
        client.log_metric(twin.info.run_id, "val/miou", 0.9, step=1)
    assert [trial.run_id for trial in own.read_sweep(SWEEP).trials if trial.trial_id == "a"] == [row.run_id]


def test_more_runs_than_a_page_are_all_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.tracking.reader.PAGE_ROWS", 2)
    assert len(store.read_sweep(SWEEP).trials) == 3


# ---------------------------------------------------------------------------------------------------------- histories


def as_text(histories: dict[str, dict[str, list[tuple[int, float]]]]) -> str:
    return str({trial: dict(sorted(by_metric.items())) for trial, by_metric in sorted(histories.items())})


def test_histories_are_steps_and_values_with_nan(store: Store) -> None:
    histories = store.histories(store.read_sweep(SWEEP), ["val/miou", "nobody/knows"])
    assert as_text(histories) == as_text(
        {
            "a": {"val/miou": [(1, 0.25), (2, math.nan), (3, 0.5)]},
            "b": {"val/miou": [(1, 0.1)]},
            "c": {"val/miou": [(1, 0.3), (2, 0.2)]},
        }
    )


def test_of_a_step_recorded_twice_the_later_value_counts(own: Store) -> None:
    record = own.read_sweep(SWEEP)
    client, run_id = open_client(own.tracking_uri), record.trials[2].run_id
    for value, timestamp in ((0.7, 2000), (0.8, 3000), (0.9, 500)):
        client.log_metric(run_id, "val/miou", value, timestamp, step=1)
    assert own.histories(record, ["val/miou"])["b"] == {"val/miou": [(1, 0.8)]}


def test_the_order_in_which_a_store_answers_does_not_matter(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    record = store.read_sweep(SWEEP)
    run_id = record.trials[0].run_id
    points = [(run_id, 2, 40, 0.2), (run_id, 1, 30, 0.8), (run_id, 1, 20, 0.7), ("f" * 32, 1, 1, 0.1)]
    monkeypatch.setattr("sweeps.tracking.metric_history.read_table", lambda database, run_ids, key: points)
    assert store.histories(record, ["x"])["c"] == {"x": [(1, 0.8), (2, 0.2)]}


def test_the_histories_of_a_database_need_no_call_of_mlflow(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.setattr(MlflowClient, "get_metric_history", None)
    record = store.read_sweep(SWEEP)
    assert len(store.histories(record, ["val/miou", "train/loss"])) == 3


def test_asking_run_by_run_gives_the_same_histories(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    record = store.read_sweep(SWEEP)
    from_table = store.histories(record, ["val/miou", "train/loss"])
    monkeypatch.setattr("sweeps.tracking.metric_history.database_file", lambda uri: None)
    assert as_text(store.histories(record, ["val/miou", "train/loss"])) == as_text(from_table)


# ----------------------------------------------------------------------------------------------- evidence and files


def test_evidence_comes_back_as_it_was_written(store: Store) -> None:
    read = store.evidence(store.read_sweep(SWEEP).trials[1], "val")
    assert read is not None
    assert (read.names, read.epoch, read.counts.tolist()) == (("x", "y"), 2, evidence().counts.tolist())


@pytest.mark.parametrize(("trial", "part"), [(1, "test"), (0, "val"), (1, "../../val")])
def test_evidence_that_was_not_recorded_is_none(store: Store, trial: int, part: str) -> None:
    assert store.evidence(store.read_sweep(SWEEP).trials[trial], part) is None


def test_damaged_evidence_is_named(own: Store, tmp_path: Path) -> None:
    row = own.read_sweep(SWEEP).trials[2]
    (tmp_path / "evidence-val.npz").write_bytes(b"PK\x03\x04 torn")
    open_client(own.tracking_uri).log_artifact(row.run_id, str(tmp_path / "evidence-val.npz"), "evidence")
    with pytest.raises(DataError, match="is not readable evidence"):
        own.evidence(row, "val")


@pytest.mark.parametrize("name", ["nothing.json", "../sweep.json", "/etc/passwd", "evidence", ".."])
def test_a_json_artifact_that_is_not_the_runs_is_none(store: Store, name: str) -> None:
    record = store.read_sweep(SWEEP)
    assert [store.json_artifact(run_id, name) for run_id in (record.run_id, record.trials[1].run_id)] == [None, None]


def test_a_download_that_lies_outside_its_folder_is_not_read(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow import MlflowClient

    run_id = store.read_sweep(SWEEP).run_id
    outside = tmp_path / "sweep.json"
    outside.write_text('{"secret": 1}')

    def plant_a_link(client: Any, run_id: str, path: str, folder: str) -> str:
        (Path(folder) / "sweep.json").symlink_to(outside)
        return str(Path(folder) / "sweep.json")

    monkeypatch.setattr(MlflowClient, "download_artifacts", plant_a_link)
    assert store.json_artifact(run_id, "sweep.json") is None
    assert "lies outside the download folder" in caplog.text


@pytest.fixture
def pictured(own: Store, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The id and the artifact folder of a sweep's run that has an album; the folder is that of the other tests too."""
    client, run_id = open_client(own.tracking_uri), own.read_sweep(SWEEP).run_id
    save_album(tmp_path / "panels", make_album())
    client.log_artifacts(run_id, str(tmp_path / "panels"), "panels")
    root = local_root(client.get_run(run_id).info.artifact_uri)
    assert root is not None
    yield run_id, root
    shutil.rmtree(root / "panels")


@pytest.mark.parametrize("is_local", [True, False])
def test_pictures_come_back_from_this_machine_and_from_afar(
    own: Store, pictured: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, is_local: bool
) -> None:
    if not is_local:
        monkeypatch.setattr("sweeps.tracking.artifact_store.local_root", lambda uri: None)
    album = own.album(pictured[0])
    assert album is not None and album.panels == make_album().panels and len(album.attention) == 1


def test_a_picture_that_is_a_link_to_elsewhere_is_not_read(
    own: Store, pictured: tuple[str, Path], tmp_path: Path
) -> None:
    run_id, root = pictured
    (root / "panels" / "panel-001.png").unlink()
    (root / "panels" / "panel-001.png").symlink_to(tmp_path / "panels" / "panel-001.png")
    album = own.album(run_id)
    assert album is not None and not album.panels and len(album.attention) == 1


def test_a_sweep_without_pictures_has_no_album(store: Store) -> None:
    record = store.read_sweep(SWEEP)
    assert store.album(record.run_id) is None


# ------------------------------------------------------------------------------------------------------------ refusals

ASK: dict[str, Callable[[Store], Any]] = {
    "latest": Store.latest_sweep_id,
    "read": lambda store: store.read_sweep(SWEEP),
}


@pytest.mark.parametrize("ask", ASK)
def test_a_store_that_is_not_there_yet_says_how_to_start_and_is_not_made(tmp_path: Path, ask: str) -> None:
    with pytest.raises(
        NoSweepError, match=r"no sweep recorded yet in .*; run python tune_main.py --storage .* --space smoke"
    ):
        ASK[ask](Store(default_tracking_uri(tmp_path / "runs")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ask", ASK)
def test_a_store_without_a_sweep_says_how_to_start(empty: Path, ask: str) -> None:
    with pytest.raises(
        NoSweepError, match=r"no sweep recorded yet in .*; run python tune_main.py --storage .* --space smoke"
    ):
        ASK[ask](Store(default_tracking_uri(empty)))


def test_an_empty_file_is_not_turned_into_a_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    with pytest.raises(NoSweepError, match="no sweep recorded yet"):
        Store(default_tracking_uri(tmp_path)).latest_sweep_id()
    assert (tmp_path / "mlflow.db").stat().st_size == 0


def test_an_unknown_sweep_names_the_known_ones(store: Store) -> None:
    with pytest.raises(NoSweepError, match=rf"no sweep 'smoke-1' in sqlite:.*; known: {SWEEP}"):
        store.read_sweep("smoke-1")


@pytest.mark.parametrize("sweep_id", ["' or '1'='1", 'x" or "', "a`b", "../..", "x\nerror: y", "", "%", "é" * 500])
def test_a_hostile_sweep_id_is_an_unknown_one_in_one_line(store: Store, sweep_id: str) -> None:
    with pytest.raises(NoSweepError, match=f"known: {SWEEP}") as caught:
        store.read_sweep(sweep_id)
    assert (len(str(caught.value).splitlines()), len(str(caught.value)) < 400) == (1, True)


def test_many_known_sweeps_are_not_all_listed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "sweep_ids", lambda self: [f"sweep-{number}" for number in range(25)])
    with pytest.raises(NoSweepError, match="sweep-9 and 15 older ones"):
        store.read_sweep("none")


@pytest.mark.parametrize("uri", ["mlruns", "/data/mlruns", "file:///data/mlruns"])
def test_a_folder_is_refused(uri: str) -> None:
    with pytest.raises(TrackingError, match="is a folder, but must be a database"):
        Store(uri).sweep_ids()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("these are notes, not a database " * 50)
    with pytest.raises(TrackingError, match="file is not a database"):
        Store(default_tracking_uri(tmp_path)).sweep_ids()


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(TrackingError, match=r"no MLflow server answers at http://127.0.0.1:9 \(connection refused\)"):
        Store("http://127.0.0.1:9").sweep_ids()


def test_a_store_of_other_experiments_has_no_sweep(empty: Path, tmp_path: Path) -> None:
    uri = copied(empty, tmp_path)
    client = open_client(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    client.rename_experiment(experiment.experiment_id, "something else")
    with pytest.raises(NoSweepError, match="no sweep recorded yet"):
        Store(uri).latest_sweep_id()


# -------------------------------------------------------------------------------------------------------------- drill


@pytest.mark.drill
def test_a_server_gives_the_same_sweep_as_a_file(store: Store, tmp_path: Path) -> None:
    with server(tmp_path) as mlflow:
        uri = mlflow.uri
        prepare_store(uri, tmp_path / "unused")
        fill(uri, tmp_path)
        remote = Store(uri)
        record, local = remote.read_sweep(SWEEP), store.read_sweep(SWEEP)
        assert [(row.trial_id, row.settings) for row in record.trials] == [
            (row.trial_id, row.settings) for row in local.trials
        ]
        expected = as_text(store.histories(local, ["val/miou", "train/loss"]))
        assert as_text(remote.histories(record, ["val/miou", "train/loss"])) == expected
        read = remote.evidence(record.trials[1], "val")
        assert read is not None and read.counts.tolist() == evidence().counts.tolist()
        assert remote.json_artifact(record.run_id, "nothing.json") is None


# ------------------------------------------------------------------------------------------------------------ repeats

SETTING = "0123456789ab"


def seed_of(store: Store, trial: str, **tags: str) -> None:
    """Mark a trial as a completed seed of the setting."""
    run_id = next(row.run_id for row in store.read_sweep(SWEEP).trials if row.trial_id == trial)
    client = open_client(store.tracking_uri)
    all_tags = {"sweep.setting": SETTING, "data.fingerprint": "f00d", "sweep.stop_reason": "max_epochs", **tags}
    for key, value in all_tags.items():
        client.set_tag(run_id, key, value)
    client.update_run(run_id, "FINISHED")


def test_completed_seeds_of_a_setting_are_found_with_their_sweep(own: Store) -> None:
    seed_of(own, "a")
    (repeat,) = own.find_repeats(SETTING, "f00d")
    assert (repeat.sweep_id, repeat.row.trial_id, repeat.row.setting) == (SWEEP, "a", SETTING)
    read = own.read_evidence([repeat.row], "val")["a"]
    assert isinstance(read, Evidence) and read.names == evidence().names


def test_seeds_on_other_data_of_other_settings_and_stopped_ones_are_no_repeats(own: Store) -> None:
    seed_of(own, "a", **{"data.fingerprint": "beef"})
    seed_of(own, "b", **{"sweep.setting": "ba9876543210"})
    seed_of(own, "c", **{"sweep.stop_reason": "asha"})
    assert own.find_repeats(SETTING, "f00d") == []


@pytest.mark.parametrize("text", ["", "' or 1=1 --", "a'b"])
def test_what_could_not_be_a_setting_is_not_asked_for(own: Store, text: str) -> None:
    assert own.find_repeats(text, "f00d") == own.find_repeats(SETTING, text) == []

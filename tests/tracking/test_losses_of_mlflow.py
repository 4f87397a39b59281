"""What was deleted or lost in MLflow is delivered again, on real stores."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from recording import SWEEP, artifact, delivered, end, epoch, history, rejects, runs, start

import tune_main
from sweeps.errors import TrackingError
from sweeps.storage.event_file import EventFile
from sweeps.storage.outbox import Outbox
from sweeps.storage.tags import INCOMPLETE
from sweeps.tracking.client import EXPERIMENT, open_client
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.reader import Store
from sweeps.tracking.sync import SyncResult, sync
from sweeps.tracking.uri import database_file, default_tracking_uri
from sweeps.tracking.writer import Recorder

PARAMS = {"optim.lr": 0.1}
CHANGING = ("mlflow.parentRunId",)


@pytest.fixture
def uri(storage: Path) -> str:
    return default_tracking_uri(storage)


@pytest.fixture
def outbox(storage: Path) -> Outbox:
    return Outbox(storage / SWEEP / "outbox")


def experiment_id(uri: str) -> str:
    experiment = open_client(uri).get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return str(experiment.experiment_id)


def whole(outbox: Outbox, uri: str) -> Delivery:
    """Deliver a sweep of one trial with two epochs and a file."""
    file = outbox.folder / "spool" / "evidence-val.npz"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"counts")
    sent = [start(""), start(params=PARAMS), epoch(1, 0.1), epoch(2, 0.2), artifact(file, folder="evidence"), end()]
    return delivered(outbox, uri, *sent, end(trial="", note="| trial |"))


def what_mlflow_has(uri: str) -> dict[str, Any]:
    """Return everything about the runs of a sweep but their ids."""
    recorded = runs(uri)
    client = open_client(uri)
    return {
        trial: (
            run.info.run_name,
            run.info.status,
            run.data.params,
            {key: value for key, value in run.data.tags.items() if key not in CHANGING},
            {key: client.get_metric_history(run.info.run_id, key) != [] for key in run.data.metrics},
            [item.path for item in client.list_artifacts(run.info.run_id, "evidence")],
        )
        for trial, run in recorded.items()
    }


# --------------------------------------------------------------------------------------------------------- experiments


def test_events_wait_while_the_experiment_is_deleted_and_arrive_once_it_is_restored(outbox: Outbox, uri: str) -> None:
    delivery = delivered(outbox, uri, start(""), start())
    open_client(uri).delete_experiment(experiment_id(uri))
    for event in (epoch(1), end(), end(trial="")):
        outbox.append(event)
    with pytest.raises(TrackingError, match=r"bdd100k-unet is deleted in .*: bring it back with `.* restore -x 1`"):
        delivery.deliver_some()
    assert (outbox.pending(), rejects(outbox)) == (3, [])
    open_client(uri).restore_experiment("1")
    assert (delivery.deliver_some(), len(history(uri)), runs(uri)["a"].info.status) == (3, 1, "FINISHED")


def test_a_trial_that_starts_while_the_experiment_is_deleted_waits_too(outbox: Outbox, uri: str) -> None:
    delivery = delivered(outbox, uri, start(""))
    open_client(uri).delete_experiment(experiment_id(uri))
    outbox.append(start("b"))
    for _ in range(12):
        with pytest.raises(TrackingError, match="is deleted"):
            delivery.deliver_some()
    assert (outbox.pending(), rejects(outbox)) == (1, [])


def test_a_report_says_that_the_experiment_is_deleted(outbox: Outbox, uri: str) -> None:
    whole(outbox, uri)
    open_client(uri).delete_experiment(experiment_id(uri))
    with pytest.raises(TrackingError, match=r"experiment bdd100k-unet is deleted in sqlite:.*experiments restore -x 1"):
        Store(uri).latest_sweep_id()


def test_a_sync_names_the_deleted_experiment_and_its_cure(
    outbox: Outbox, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole(outbox, uri)
    open_client(uri).delete_experiment(experiment_id(uri))
    assert tune_main.main(["--sync", SWEEP, "--storage", str(outbox.folder.parents[1])]) == 1
    assert "experiments restore -x 1`" in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------------------- runs


@pytest.mark.parametrize("trial", ["", "a"])
def test_a_run_that_is_made_again_has_everything_from_the_first(outbox: Outbox, uri: str, trial: str) -> None:
    delivery = whole(outbox, uri)
    before = what_mlflow_has(uri)
    open_client(uri).delete_run(runs(uri)[trial].info.run_id)
    outbox.append(end(trial=trial, note="| trial |" if not trial else None))
    while delivery.deliver_some():
        pass
    assert what_mlflow_has(uri) == before


def test_the_trials_belong_to_a_sweeps_run_that_is_made_again(outbox: Outbox, uri: str) -> None:
    delivery = whole(outbox, uri)
    open_client(uri).delete_run(runs(uri)[""].info.run_id)
    outbox.append(end(trial=""))
    delivery.deliver_some()
    recorded = runs(uri)
    assert recorded["a"].data.tags["mlflow.parentRunId"] == recorded[""].info.run_id


def test_a_process_that_died_while_it_made_a_run_again_is_followed_up(
    outbox: Outbox, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole(outbox, uri)
    before = what_mlflow_has(uri)
    open_client(uri).delete_run(runs(uri)["a"].info.run_id)
    outbox.append(end())
    monkeypatch.setattr(Recorder, "_send", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        Delivery(outbox, uri, SWEEP).deliver_some()
    monkeypatch.undo()
    assert INCOMPLETE in runs(uri)["a"].data.tags
    delivered(outbox, uri)
    assert what_mlflow_has(uri) == before


def test_a_run_that_an_earlier_version_made_again_without_a_name_gets_one(outbox: Outbox, uri: str) -> None:
    whole(outbox, uri)
    before, client = what_mlflow_has(uri), open_client(uri)
    client.delete_run(runs(uri)["a"].info.run_id)
    tags = {"sweep.id": SWEEP, "sweep.role": "trial", "sweep.trial_id": "a"}
    client.create_run(experiment_id(uri), tags=tags, run_name="a")
    assert synced(outbox).delivered == 5
    assert what_mlflow_has(uri) == before


# ----------------------------------------------------------------------------------------------------------- databases


def synced(outbox: Outbox) -> SyncResult:
    return sync(outbox.folder.parent, None)


def remove_database(uri: str) -> None:
    path = database_file(uri)
    assert path is not None
    for file in path.parent.glob("mlflow.db*"):
        file.unlink()


def test_a_sync_delivers_everything_to_a_database_that_was_lost(outbox: Outbox, uri: str) -> None:
    whole(outbox, uri)
    before = what_mlflow_has(uri)
    remove_database(uri)
    shutil.rmtree(outbox.folder.parents[1] / "artifacts", ignore_errors=True)
    assert (synced(outbox).delivered, synced(outbox).delivered) == (7, 0)
    assert what_mlflow_has(uri) == before


def test_a_sync_of_all_sweeps_does_not_call_a_lost_database_delivered(
    outbox: Outbox, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole(outbox, uri)
    remove_database(uri)
    assert tune_main.main(["--sync", "--storage", str(outbox.folder.parents[1])]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{SWEEP}: 7 events delivered\n" and "every event" not in printed.err


def test_a_sync_completes_a_database_of_an_older_backup(outbox: Outbox, uri: str, tmp_path: Path) -> None:
    delivered(outbox, uri, start(""), start(params=PARAMS), epoch(1, 0.1))
    database = database_file(uri)
    assert database is not None
    for file in database.parent.glob("mlflow.db*"):
        shutil.copy(file, tmp_path)
    delivered(outbox, uri, epoch(2, 0.2), end(), end(trial=""))
    remove_database(uri)
    for file in tmp_path.glob("mlflow.db*"):
        shutil.copy(file, database.parent)
    assert synced(outbox).undelivered == 0
    assert (len(history(uri)), {run.info.status for run in runs(uri).values()}) == (2, {"FINISHED"})


def test_events_wait_while_the_database_is_missing(outbox: Outbox, uri: str) -> None:
    delivery = delivered(outbox, uri, start(""), start())
    remove_database(uri)
    outbox.append(epoch(1))
    with pytest.raises(TrackingError, match=r"the database /.*mlflow.db is missing: --sync makes it again"):
        delivery.deliver_some()
    database = database_file(uri)
    assert (outbox.pending(), database is not None and database.exists()) == (1, False)


def test_what_is_lost_when_a_sweep_ends_is_delivered_before_it_is_over(outbox: Outbox, uri: str) -> None:
    delivery = whole(outbox, uri)
    before = what_mlflow_has(uri)
    open_client(uri).delete_run(runs(uri)["a"].info.run_id)
    assert delivery.close(20, is_checked=True) == 0
    assert what_mlflow_has(uri) == before


# --------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("damage", ["deleted", "cut"])
def test_a_sync_uploads_a_file_that_the_store_lost(outbox: Outbox, uri: str, damage: str) -> None:
    whole(outbox, uri)
    path = Path(runs(uri)["a"].info.artifact_uri.removeprefix("file://")) / "evidence" / "evidence-val.npz"
    path.unlink() if damage == "deleted" else path.write_bytes(b"")
    assert (synced(outbox).delivered, path.read_bytes()) == (1, b"counts")


def test_a_lost_run_is_made_again_while_the_store_of_files_cannot_be_listed(
    outbox: Outbox, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise TrackingError("the store of files is closed")

    whole(outbox, uri)
    delivered(outbox, uri, start("b"), end(trial="b"))
    open_client(uri).delete_run(runs(uri)["b"].info.run_id)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "files_of", fail)
        result = synced(outbox)
    assert (set(runs(uri)), result.why, result.is_left) == ({"", "a", "b"}, "the store of files is closed", True)
    assert not synced(outbox).is_left


# ------------------------------------------------------------------------------------------------------------- refused


def test_what_was_refused_is_tried_again_and_forgotten_once_it_is_taken(outbox: Outbox, uri: str) -> None:
    whole(outbox, uri)
    outbox.reject([(epoch(1, 0.1), "no figures today"), (end(), "no figures today")])
    result = synced(outbox)
    assert (result.delivered, result.rejects, result.is_left) == (2, (), False)
    assert EventFile(outbox.folder).rejects() == []


def test_a_sync_ends_with_1_as_long_as_anything_is_refused(
    outbox: Outbox, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole(outbox, uri)
    outbox.append(epoch(3, name="mIoU%"))
    options = ["--sync", "--storage", str(outbox.folder.parents[1])]
    assert (tune_main.main(options), tune_main.main(options)) == (1, 1)
    assert capsys.readouterr().out.count("warning: 1 event was refused, kept in outbox.rejected.jsonl") == 2


def test_a_file_that_was_missing_is_uploaded_once_it_is_back(outbox: Outbox, uri: str) -> None:
    whole(outbox, uri)
    file = outbox.folder / "spool" / "late.npz"
    outbox.append(artifact(file))
    assert synced(outbox).rejects[0][1] == f"there is no file {file}"
    file.write_bytes(b"late")
    assert (synced(outbox).delivered, synced(outbox).is_left) == (1, False)


def test_a_store_that_cannot_be_asked_is_no_store_that_has_everything(
    outbox: Outbox, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole(outbox, uri)
    options = ["--sync", SWEEP, "--storage", str(outbox.folder.parents[1]), "--tracking-uri", "http://127.0.0.1:9"]
    assert tune_main.main(options) == 1
    assert "no MLflow server answers at http://127.0.0.1:9" in capsys.readouterr().out

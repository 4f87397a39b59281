"""Files and metrics reach MLflow apart: neither waits for the other, and only a file that is missing is given up."""

import shutil
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from http_answers import response
from recording import SWEEP, artifact, delivered, end, epoch, history, rejects, runs, start, until

from sweeps.errors import TrackingError
from sweeps.storage.event_file import UPLOADS, EventFile
from sweeps.storage.outbox import Outbox
from sweeps.tracking.client import open_client
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.preflight import try_store
from sweeps.tracking.store import prepare_store
from sweeps.tracking.sync import sync


class ClosedError(Exception):
    """What a store of files raises that is of no kind known to anybody, as those of clouds do."""


def files(uri: str, trial: str = "a") -> list[str]:
    return sorted(item.path for item in open_client(uri).list_artifacts(runs(uri)[trial].info.run_id))


def append(outbox: Outbox, *names: str) -> None:
    """Write files, and an epoch after each."""
    outbox.append(start())
    for step, name in enumerate(names, 1):
        (outbox.folder / name).write_text(name)
        outbox.append(artifact(outbox.folder / name))
        outbox.append(epoch(step))
    outbox.append(end())


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of files that the store of files does not take."""
    from mlflow import MlflowClient

    names: set[str] = set()
    upload = MlflowClient.log_artifact

    def log_artifact(client: MlflowClient, run_id: str, path: str, *folder: Any) -> None:
        if Path(path).name in names:
            raise ClosedError("EndpointConnectionError: could not connect to the endpoint")
        upload(client, run_id, path, *folder)

    monkeypatch.setattr(MlflowClient, "log_artifact", log_artifact)
    return names


def test_a_file_that_cannot_be_uploaded_holds_back_nothing(outbox: Outbox, uri: str, refused: set[str]) -> None:
    refused |= {"b"}
    append(outbox, "a", "b", "c")
    delivered(outbox, uri)
    assert (len(history(uri)), runs(uri)["a"].info.status, files(uri)) == (3, "FINISHED", ["a", "c"])
    assert (outbox.pending(), rejects(outbox)) == (1, [])


def test_files_wait_for_as_long_as_their_store_is_down(outbox: Outbox, uri: str, refused: set[str]) -> None:
    refused |= {"a", "b", "c", "d", "e"}
    append(outbox, *sorted(refused))
    delivery = delivered(outbox, uri)
    for _ in range(20):
        delivery.deliver_some()
    assert (outbox.pending(), rejects(outbox)) == (5, [])
    refused.clear()
    delivered(outbox, uri)
    assert (outbox.pending(), files(uri)) == (0, ["a", "b", "c", "d", "e"])


def test_the_reason_why_a_file_waits_is_kept(outbox: Outbox, uri: str, refused: set[str]) -> None:
    refused |= {"a"}
    append(outbox, "a")
    delivered(outbox, uri)
    [(event, why)] = EventFile(outbox.folder).uploads().waiting
    assert (event.path.name, "could not connect" in why) == ("a", True)


def test_a_server_that_breaks_off_after_a_failed_upload_does_not_hide_its_reason(
    outbox: Outbox, uri: str, refused: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    def break_off(*_: Any) -> None:
        raise ConnectionResetError("connection reset by peer")

    refused.add("one")
    append(outbox, "one")
    monkeypatch.setattr(MlflowClient, "get_experiment", break_off)
    Delivery(outbox, uri, SWEEP).deliver_some()
    assert ["EndpointConnectionError" in why for _, why in outbox.uploads().waiting] == [True]


def test_a_sync_says_why_files_are_left_and_ends_with_1(outbox: Outbox, uri: str, refused: set[str]) -> None:
    refused |= {"a"}
    append(outbox, "a")
    delivered(outbox, uri)
    undelivered, why = Delivery(outbox, uri, SWEEP).drain()
    assert (undelivered, "could not connect to the endpoint" in why) == (1, True)


def test_metrics_arrive_while_an_upload_hangs(outbox: Outbox, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    go_on, upload = threading.Event(), MlflowClient.log_artifact
    monkeypatch.setattr(MlflowClient, "log_artifact", lambda *values: (go_on.wait(60), upload(*values)))
    append(outbox, "a", "b")
    delivery = Delivery(outbox, uri, SWEEP)
    delivery.start()
    assert until(lambda: outbox.pending() == 2)
    assert (len(history(uri)), runs(uri)["a"].info.status) == (2, "FINISHED")
    go_on.set()
    assert delivery.close(20) == 0


def test_a_file_that_is_too_large_is_put_aside_at_once(
    outbox: Outbox, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    def too_large(*_: Any) -> None:
        raise requests.HTTPError("413 Request Entity Too Large", response=response(413))

    monkeypatch.setattr(MlflowClient, "log_artifact", too_large)
    append(outbox, "a")
    delivered(outbox, uri)
    assert ([reject["why"] for reject in rejects(outbox)], outbox.pending()) == (["413 Request Entity Too Large"], 0)


def test_a_file_that_was_written_down_twice_is_uploaded_as_it_is_last(outbox: Outbox, uri: str) -> None:
    append(outbox, "a")
    delivered(outbox, uri)
    (outbox.folder / "a").write_text("changed")
    delivered(outbox, uri, artifact(outbox.folder / "a"))
    root = runs(uri)["a"].info.artifact_uri.removeprefix("file://")
    assert (Path(root) / "a").read_text() == "changed"


def test_what_an_earlier_version_delivered_is_not_uploaded_again(outbox: Outbox, uri: str, refused: set[str]) -> None:
    append(outbox, "a")
    delivered(outbox, uri)
    (outbox.folder / UPLOADS).unlink()
    refused |= {"a"}
    assert Delivery(outbox, uri, SWEEP).drain() == (0, "")


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"offset": "x"}', '{"offset": -1, "waiting": []}'])
def test_a_damaged_note_about_files_uploads_them_again(outbox: Outbox, uri: str, damage: str) -> None:
    append(outbox, "a")
    delivered(outbox, uri)
    (outbox.folder / UPLOADS).write_text(damage)
    assert EventFile(outbox.folder).pending() == 1
    delivered(outbox, uri)
    assert (outbox.pending(), files(uri)) == (0, ["a"])


def test_uploads_go_on_where_a_killed_process_left_them(outbox: Outbox, uri: str, refused: set[str]) -> None:
    refused |= {"b"}
    append(outbox, "a", "b")
    delivered(outbox, uri)
    refused.clear()
    refused |= {"a"}
    assert (Delivery(Outbox(outbox.folder), uri, SWEEP).drain(), files(uri)) == ((0, ""), ["a", "b"])


def test_an_artifact_event_that_is_not_well_formed_is_put_aside(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(), {"kind": "artifact", "trial": "a", "time_ms": 1, "path": "x", "folder": None})
    assert [reject["why"] for reject in rejects(outbox)] == ["artifact event: folder is null, but must be text"]


def test_what_an_earlier_version_gave_up_is_uploaded_by_a_sync(outbox: Outbox, uri: str) -> None:
    folder = outbox.folder.parent / SWEEP
    given_up = Outbox(folder / "outbox")
    append(given_up, "a")
    delivered(given_up, uri)
    [event], _ = given_up.files(0, 1)
    given_up.reject([(event, "Could not connect to the endpoint URL")])
    shutil.rmtree(Path(runs(uri)["a"].info.artifact_uri.removeprefix("file://")))
    assert (sync(folder, uri).is_left, rejects(given_up), files(uri)) == (False, [], ["a"])


# ---------------------------------------------------------------------------------------------------------- beforehand


def test_a_store_that_takes_files_is_tried_without_a_trace(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    prepare_store(uri, tmp_path / "artifacts")
    assert try_store(uri) == "1"
    assert list((tmp_path / "artifacts").iterdir()) == []


def test_a_store_that_takes_no_files_is_refused_with_the_cure(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    prepare_store(uri, tmp_path / "artifacts")
    shutil.rmtree(tmp_path / "artifacts")
    (tmp_path / "artifacts").write_text("a file")
    with pytest.raises(TrackingError, match=r"takes no files: those of its experiment go to file:.* \(.*File exists"):
        try_store(uri)


def test_a_store_of_files_whose_library_is_missing_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    prepare_store(uri, tmp_path / "artifacts")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = 's3://bucket/x'")
    with pytest.raises(TrackingError, match=r"boto3.*\): install it with `pip install 'bddseg-sweeps\[s3\]'`"):
        try_store(uri)


def test_a_later_delivery_needs_no_store_of_files_for_its_metrics(outbox: Outbox, uri: str, refused: set[str]) -> None:
    refused |= {"a"}
    append(Outbox(outbox.folder.parent / SWEEP / "outbox"), "a")
    result = sync(outbox.folder.parent / SWEEP, uri)
    assert (result.delivered, result.undelivered, len(history(uri))) == (3, 1, 1)

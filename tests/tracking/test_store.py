"""A store is made ready before a sweep, or refused with the cure."""

import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from recording import REFUSED

from sweeps.errors import TrackingError
from sweeps.tracking.client import EXPERIMENT, open_client
from sweeps.tracking.reader import Store
from sweeps.tracking.store import prepare_store
from sweeps.tracking.uri import database_file, default_tracking_uri


def test_a_prepared_store_has_the_experiment_with_its_artifact_folder(template: Path) -> None:
    experiment = open_client(f"sqlite:///{template}").get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    assert experiment.artifact_location == (template.parent / "artifacts").as_uri()
    assert experiment.tags["mlflow.experiment.primaryMetric.name"] == "best/miou"


def test_a_prepared_database_writes_ahead(template: Path) -> None:
    with closing(sqlite3.connect(template)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_preparing_again_changes_nothing(uri: str, tmp_path: Path) -> None:
    before = open_client(uri).get_experiment_by_name(EXPERIMENT)
    prepare_store(uri, tmp_path / "elsewhere")
    after = open_client(uri).get_experiment_by_name(EXPERIMENT)
    assert before is not None and after is not None
    assert (before.experiment_id, before.artifact_location) == (after.experiment_id, after.artifact_location)


def test_a_server_that_is_not_there_is_named_within_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(TrackingError, match=r"no MLflow server answers at http://127.0.0.1:9 \(connection refused\)"):
        prepare_store(REFUSED, tmp_path)
    assert time.monotonic() - began < 5


def test_a_server_that_never_answers_is_named_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.tracking.uri.PROBE_SECONDS", 1)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(TrackingError, match="silent for 1 s"),
    ):
        prepare_store(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path)


def test_a_server_that_is_not_mlflows_is_named(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with pytest.raises(TrackingError, match=r"http://127.0.0.1:\d+ cannot be used .*501.*: choose another"):
            prepare_store(f"http://127.0.0.1:{other.server_port}", tmp_path)
        other.shutdown()


def test_a_database_in_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"sqlite:////proc/none/mlflow.db cannot be written .*--tracking-uri"):
        prepare_store("sqlite:////proc/none/mlflow.db", tmp_path)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("these are notes, not a database " * 50)
    with pytest.raises(TrackingError, match="file is not a database"):
        prepare_store(default_tracking_uri(tmp_path), tmp_path)


def test_a_deleted_experiment_is_named_with_the_cure(uri: str, tmp_path: Path) -> None:
    client = open_client(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    with pytest.raises(
        TrackingError,
        match=r"is deleted in sqlite:.*: bring it back with `MLFLOW_TRACKING_URI=\S+ mlflow experiments restore -x 1`",
    ):
        prepare_store(uri, tmp_path)


def with_schema(uri: str, version: str) -> str:
    """Let a database say that it is of another version of MLflow."""
    path = database_file(uri)
    assert path is not None
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    return uri


def test_a_database_of_an_older_mlflow_is_to_be_upgraded(uri: str, tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"make a copy of the database, then run `mlflow db upgrade sqlite:////"):
        prepare_store(with_schema(uri, "181f10493468"), tmp_path)


def test_a_database_of_a_newer_mlflow_asks_for_that_version(uri: str, tmp_path: Path) -> None:
    newer = with_schema(uri, "f00df00df00d")
    for use in (lambda: prepare_store(newer, tmp_path), Store(newer).sweep_ids):
        with pytest.raises(TrackingError, match="a newer MLflow made this database, so install that version"):
            use()


def test_what_the_user_has_set_for_mlflow_stays(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    open_client(uri)
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"


@pytest.mark.drill
def test_processes_that_prepare_one_store_at_once_do_not_break_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sweeps.tracking.store import prepare_store;"
        "prepare_store(sys.argv[1], Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, default_tracking_uri(tmp_path), str(tmp_path / "artifacts")]
    processes = [subprocess.Popen(command, cwd=Path(__file__).parent.parent.parent) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0, 0, 0, 0]

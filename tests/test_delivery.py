"""Outbox -> MLflow on real sqlite stores; the drills stop and start a real server."""

import json
import logging
import math
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sweeps.delivery import PATIENCE, Delivery, default_tracking_uri, prepare_store, resolve_tracking_uri
from sweeps.errors import TrackingError
from sweeps.outbox import Event, Outbox
from sweeps.store import EXPERIMENT, open_client

SWEEP = "smoke-20261123-034501-3f2a"
REFUSED = "http://127.0.0.1:9"
"""The discard port: nobody listens there."""


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared database, made once: that takes seconds."""
    folder = tmp_path_factory.mktemp("template")
    prepare_store(default_tracking_uri(folder), folder / "artifacts")
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "mlflow.db"


@pytest.fixture
def uri(template: Path, tmp_path: Path) -> str:
    shutil.copy(template, tmp_path / "mlflow.db")
    return default_tracking_uri(tmp_path)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


def start(trial: str = "a", time_ms: int = 1000, params: Mapping[str, Any] | None = None) -> Event:
    name = f"trial {trial}" if trial else "the sweep"
    tags = {"sweep.id": SWEEP, "code.version": "abc"}
    return {
        "kind": "start",
        "trial": trial,
        "time_ms": time_ms,
        "name": name,
        "params": dict(params or {}),
        "tags": tags,
    }


def epoch(step: int, value: float | None = 0.5, trial: str = "a", time_ms: int = 0, name: str = "val/miou") -> Event:
    when = time_ms or 1000 + step
    return {"kind": "epoch", "trial": trial, "time_ms": when, "step": step, "metrics": {name: value}}


def end(
    status: str = "FINISHED", trial: str = "a", note: str | None = None, metrics: Mapping[str, float] | None = None
) -> Event:
    shared = {"trial": trial, "time_ms": 9000, "step": 2, "note": note}
    figures = dict(metrics or {})
    return {"kind": "end", "status": status, "tags": {"sweep.stop_reason": "max_epochs"}, "metrics": figures, **shared}


def artifact(path: Path, trial: str = "a", folder: str = "") -> Event:
    return {"kind": "artifact", "trial": trial, "time_ms": 5000, "path": str(path), "folder": folder}


def delivered(outbox: Outbox, uri: str, *events: Event) -> Delivery:
    for event in events:
        outbox.append(event)
    delivery = Delivery(outbox, uri, SWEEP)
    while delivery.deliver_some():
        pass
    return delivery


def runs(uri: str) -> dict[str, Any]:
    """Return every run of the store by trial; "" is the parent."""
    client = open_client(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    by_trial = {run.data.tags.get("sweep.trial_id", ""): run for run in found}
    assert len(by_trial) == len(found), "a trial has two runs"
    return by_trial


def history(uri: str, trial: str = "a", key: str = "val/miou") -> list[tuple[int, int, float]]:
    points = open_client(uri).get_metric_history(runs(uri)[trial].info.run_id, key)
    return sorted((point.step, point.timestamp, point.value) for point in points)


def rejects(outbox: Outbox) -> list[dict[str, Any]]:
    path = outbox.folder / "outbox.rejected.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# ---------------------------------------------------------------------------------------------------- where to record


def test_the_flag_beats_the_environment_beats_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there:5000")
    assert resolve_tracking_uri("http://here:5000", tmp_path) == "http://here:5000"
    assert resolve_tracking_uri(None, tmp_path) == "http://there:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert resolve_tracking_uri(None, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


def test_a_relative_database_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_tracking_uri("sqlite:///some/where.db", tmp_path) == f"sqlite:///{tmp_path}/some/where.db"


@pytest.mark.parametrize("uri", ["mlruns", "/data/mlruns", "file:///data/mlruns", "./mlruns"])
def test_a_folder_is_refused_with_the_cure(tmp_path: Path, uri: str) -> None:
    with pytest.raises(
        TrackingError, match=r"is a folder, but .* use sqlite:///.*mlruns/mlflow.db .*migrate-filestore"
    ):
        prepare_store(uri, tmp_path)


@pytest.mark.parametrize("uri", ["sqlite:", "sqlite://", "sqlite:///:memory:"])
def test_a_database_without_a_file_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(TrackingError, match=r"names no file, but must be like sqlite:////absolute/path"):
        resolve_tracking_uri(uri, tmp_path)


def test_an_unknown_kind_of_store_names_the_known_ones_and_no_password(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"'ftp://\*\*\*@there' is of an unknown kind; known: sqlite, postgresql"):
        resolve_tracking_uri("ftp://me:secret@there", tmp_path)


# ------------------------------------------------------------------------------------------------------ prepare_store


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
    monkeypatch.setattr("sweeps.delivery.PROBE_SECONDS", 1)
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
    with pytest.raises(TrackingError, match="bdd100k-unet is deleted: run `mlflow experiments restore -x 1`"):
        prepare_store(uri, tmp_path)


def test_what_the_user_has_set_for_mlflow_stays(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    open_client(uri)
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"


# ------------------------------------------------------------------------------------------------------------- events


def test_a_trial_is_a_child_run_of_the_sweep(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(""), start("a"), start("b"))
    found = runs(uri)
    parents = {trial: run.data.tags.get("mlflow.parentRunId") for trial, run in found.items()}
    assert parents == {"": None, "a": found[""].info.run_id, "b": found[""].info.run_id}


def test_the_parent_run_appears_with_its_start(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start("", params={"space": "smoke"}))
    parent = runs(uri)[""]
    assert (parent.info.run_name, parent.info.status, parent.data.params) == (
        "the sweep",
        "RUNNING",
        {"space": "smoke"},
    )


def test_a_run_carries_name_params_tags_and_start_time(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start("a", time_ms=1234, params={"optim.lr": 1e-4, "train.epochs": 3}))
    run = runs(uri)["a"]
    assert (run.info.run_name, run.info.start_time) == ("trial a", 1234)
    assert run.data.params == {"optim.lr": "0.0001", "train.epochs": "3"}
    assert run.data.tags.items() >= {"sweep.id": SWEEP, "sweep.trial_id": "a", "code.version": "abc"}.items()


def test_epochs_arrive_with_their_own_step_and_time(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(), epoch(1, 0.25), epoch(2, 0.5))
    assert history(uri) == [(1, 1001, 0.25), (2, 1002, 0.5)]


def test_none_arrives_as_nan(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(), epoch(1, None))
    assert math.isnan(history(uri)[0][2])


@pytest.mark.parametrize("status", ["FINISHED", "KILLED", "FAILED"])
def test_an_ended_run_has_status_end_time_reason_and_best_figures(outbox: Outbox, uri: str, status: str) -> None:
    delivered(outbox, uri, start(), epoch(1), end(status, metrics={"best/miou": 0.5}))
    run = runs(uri)["a"]
    assert (run.info.status, run.info.end_time, run.data.metrics["best/miou"]) == (status, 9000, 0.5)
    assert run.data.tags["sweep.stop_reason"] == "max_epochs"


def test_the_note_of_an_end_is_the_runs_description(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(""), end(trial="", note="| trial | mIoU |"))
    assert runs(uri)[""].data.tags["mlflow.note.content"] == "| trial | mIoU |"


def test_a_long_note_is_shortened_not_refused(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(""), end(trial="", note="x" * 20_000))
    assert len(runs(uri)[""].data.tags["mlflow.note.content"]) == 8000


def test_an_artifact_is_uploaded_into_its_folder(outbox: Outbox, uri: str, tmp_path: Path) -> None:
    (tmp_path / "evidence-val.npz").write_bytes(b"counts")
    delivered(outbox, uri, start(), artifact(tmp_path / "evidence-val.npz", folder="evidence"))
    found = open_client(uri).list_artifacts(runs(uri)["a"].info.run_id, "evidence")
    assert [item.path for item in found] == ["evidence/evidence-val.npz"]


def test_everything_new_about_a_run_goes_out_in_one_batch(
    outbox: Outbox, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    calls: list[str] = []
    log_batch = MlflowClient.log_batch

    def count(client: MlflowClient, run_id: str, **content: Any) -> None:
        calls.append(run_id)
        log_batch(client, run_id, **content)

    monkeypatch.setattr(MlflowClient, "log_batch", count)
    delivered(outbox, uri, start("a"), *(epoch(step) for step in range(1, 30)), start("b"), end())
    assert len(calls) == len(set(calls)) == 2


# ----------------------------------------------------------------------------------------------------- again and again


def test_delivering_everything_again_changes_nothing(outbox: Outbox, uri: str) -> None:
    delivered(
        outbox, uri, start(""), start(params={"optim.lr": 1}), epoch(1, None), epoch(2), end(metrics={"best/miou": 0.5})
    )
    before = (history(uri), runs(uri)["a"].data.tags)
    (outbox.folder / "outbox.cursor").unlink()
    (outbox.folder / "runs.json").unlink()
    delivered(outbox, uri)
    assert rejects(outbox) == []
    assert str((history(uri), runs(uri)["a"].data.tags)) == str(before)


def test_an_epoch_that_a_retry_reports_again_is_dropped(outbox: Outbox, uri: str) -> None:
    again = [start(time_ms=2000), epoch(2, 0.7, time_ms=3002), epoch(3, 0.8, time_ms=3003)]
    delivered(outbox, uri, start(), epoch(1, 0.1), epoch(2, 0.2), *again)
    assert history(uri) == [(1, 1001, 0.1), (2, 1002, 0.2), (3, 3003, 0.8)]


def test_an_epoch_that_another_process_delivered_is_dropped(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(), epoch(1, 0.1))
    (outbox.folder / "runs.json").unlink()
    delivered(outbox, uri, start(time_ms=2000), epoch(1, 0.9, time_ms=3001))
    assert history(uri) == [(1, 1001, 0.1)]


def test_a_retried_run_is_running_again(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(), end("FAILED"))
    assert runs(uri)["a"].info.status == "FAILED"
    delivered(outbox, uri, start(time_ms=9500))
    assert runs(uri)["a"].info.status == "RUNNING"


def test_the_same_params_again_are_no_news(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(params={"optim.lr": 0.1}))
    delivered(outbox, uri, start(time_ms=2000, params={"optim.lr": 0.1}))
    assert (runs(uri)["a"].data.params, rejects(outbox)) == ({"optim.lr": "0.1"}, [])


def test_a_changed_param_becomes_a_tag(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start(params={"optim.lr": 0.1}))
    delivered(outbox, uri, start(time_ms=2000, params={"optim.lr": 0.2}))
    run = runs(uri)["a"]
    assert (run.data.params["optim.lr"], run.data.tags["changed.optim.lr"]) == ("0.1", "0.2")


def test_a_run_whose_creation_was_answered_by_a_fault_is_found_again(
    outbox: Outbox, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    create_run = MlflowClient.create_run

    def lose_the_answer(*args: Any, **options: Any) -> None:
        create_run(*args, **options)
        raise ConnectionResetError("the answer was lost")

    outbox.append(start("a"))
    delivery = Delivery(outbox, uri, SWEEP)
    monkeypatch.setattr(MlflowClient, "create_run", lose_the_answer)
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            delivery.deliver_some()
    monkeypatch.undo()
    delivery.deliver_some()
    assert sorted(runs(uri)) == ["", "a"]


def test_a_run_that_was_deleted_between_two_processes_is_made_anew(outbox: Outbox, uri: str) -> None:
    delivered(outbox, uri, start())
    open_client(uri).delete_run(runs(uri)["a"].info.run_id)
    delivered(outbox, uri, start(time_ms=2000), epoch(1))
    assert len(history(uri)) == 1


def test_notes_about_runs_of_another_store_are_not_used(outbox: Outbox, uri: str) -> None:
    (outbox.folder / "runs.json").write_text(json.dumps({"store": "sqlite:////other.db", "runs": {"a": "0" * 32}}))
    delivered(outbox, uri, start(), epoch(1))
    assert len(history(uri)) == 1


# ------------------------------------------------------------------------------------------------------------- poison


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (epoch(2, name="mIoU%"), "Names may only contain"),
        (epoch(2) | {"metrics": {"val/miou": "high"}}, "val/miou is 'high', but must be a number or None"),
        (epoch(2) | {"step": 2**63}, "step is 9223372036854775808, but must be a whole number"),
        (epoch(2) | {"time_ms": -1}, "time_ms is -1, but must be a whole number"),
        (epoch(2) | {"trial": "a' or 'a' = 'a"}, "but must be made of letters"),
        (end() | {"status": "DONE"}, "status is 'DONE', but must be one of FINISHED, KILLED, FAILED"),
        (artifact(Path("/nowhere/file.npz")), "there is no file /nowhere/file.npz"),
        (
            {"kind": "lunch", "trial": "a", "time_ms": 1},
            "kind is 'lunch', but must be one of start, epoch, end, artifact",
        ),
        ({"kind": "epoch"}, "KeyError 'time_ms'"),
    ],
)
def test_a_poison_event_is_put_aside_and_delivery_goes_on(outbox: Outbox, uri: str, event: Event, why: str) -> None:
    delivered(outbox, uri, start(), epoch(1), event, epoch(3), end())
    assert [step for step, _, _ in history(uri)] == [1, 3]
    assert (len(rejects(outbox)), why in rejects(outbox)[0]["why"], outbox.pending()) == (1, True, 0)
    assert runs(uri)["a"].info.status == "FINISHED"


def test_a_damaged_line_is_put_aside(outbox: Outbox, uri: str) -> None:
    outbox.append(start())
    with (outbox.folder / "outbox.jsonl").open("ab") as file:
        file.write(b"\x00\x00\n")
    delivered(outbox, uri, epoch(1))
    assert (len(history(uri)), rejects(outbox)[0]["event"]["text"]) == (1, "\x00\x00")


def test_a_fault_that_never_ends_is_put_aside_once_the_store_answers(
    outbox: Outbox, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    def refuse(*_: Any) -> None:
        raise RuntimeError("no credentials for s3://bucket")

    monkeypatch.setattr(MlflowClient, "log_artifact", refuse)
    (tmp_path / "file").write_text("content")
    for event in (start(), artifact(tmp_path / "file"), epoch(1)):
        outbox.append(event)
    delivery = Delivery(outbox, uri, SWEEP)
    for _ in range(PATIENCE):
        with pytest.raises(RuntimeError, match="no credentials"):
            delivery.deliver_some()
    assert delivery.deliver_some() == 3
    assert ([found["why"] for found in rejects(outbox)], len(history(uri))) == (["no credentials for s3://bucket"], 1)


# ------------------------------------------------------------------------------------------------------------- thread


def until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_the_thread_delivers_while_events_arrive(outbox: Outbox, uri: str) -> None:
    delivery = Delivery(outbox, uri, SWEEP)
    delivery.start()
    outbox.append(start())
    assert until(lambda: outbox.pending() == 0)
    outbox.append(epoch(1))
    assert (delivery.close(20), len(history(uri))) == (0, 1)


def test_closing_delivers_without_a_thread_having_been_started(outbox: Outbox, uri: str) -> None:
    outbox.append(start())
    assert Delivery(outbox, uri, SWEEP).close(20) == 0


def test_closing_gives_up_at_its_deadline_and_counts_what_is_left(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    for event in (start(), epoch(1)):
        outbox.append(event)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert Delivery(outbox, REFUSED, SWEEP).close(1.5) == 2
    assert time.monotonic() - began < 4
    assert [record.message.split(" fails")[0] for record in caplog.records] == [f"MLflow at {REFUSED}"]


def test_an_outage_is_made_up_for_later(outbox: Outbox, uri: str) -> None:
    outbox.append(start())
    Delivery(outbox, REFUSED, SWEEP).close(0.2)
    delivered(outbox, uri, epoch(1))
    assert len(history(uri)) == 1


def test_mlflow_says_nothing_on_its_own(outbox: Outbox, tmp_path: Path) -> None:
    outbox.append(start())
    outbox.append(end())
    code = (
        "import sys; from pathlib import Path; from sweeps.delivery import Delivery, prepare_store;"
        "from sweeps.outbox import Outbox; folder, uri = Path(sys.argv[1]), sys.argv[2];"
        "prepare_store(uri, folder / 'artifacts');"
        f"assert Delivery(Outbox(folder), uri, {SWEEP!r}).close(30) == 0"
    )
    command = [sys.executable, "-c", code, str(outbox.folder), f"sqlite:///{tmp_path}/new/mlflow.db"]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ------------------------------------------------------------------------------------------------------------- drills


@contextmanager
def server(port: int, folder: Path) -> Iterator[str]:
    """Run a real MLflow server for as long as the context lasts."""
    words = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "files")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-m", "mlflow", "server", *words]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        assert until(lambda: answers(port), 90), (folder / "server.log").read_text()[-2000:]
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(port: int) -> bool:
    import requests

    try:
        return bool(requests.get(f"http://127.0.0.1:{port}/health", timeout=2).ok)
    except requests.exceptions.RequestException:
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.mark.drill
def test_a_server_that_stops_in_the_middle_loses_nothing(outbox: Outbox, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "evidence.npz").write_bytes(b"counts")
    with server(port, tmp_path) as uri:
        prepare_store(uri, tmp_path / "unused")
        delivery = Delivery(outbox, uri, SWEEP)
        delivery.start()
        for event in (start(""), start(params={"optim.lr": 0.1}), epoch(1), epoch(2)):
            outbox.append(event)
        assert until(lambda: outbox.pending() == 0)
    for event in (epoch(3), epoch(3, time_ms=7000), epoch(4), start("b"), artifact(tmp_path / "evidence.npz")):
        outbox.append(event)
    time.sleep(3)
    assert outbox.pending() == 5
    with server(port, tmp_path) as uri:
        outbox.append(epoch(5, name="mIoU%"))
        outbox.append(end(metrics={"best/miou": 0.5}))
        assert delivery.close(60) == 0
        assert (sorted(runs(uri)), [found["event"]["step"] for found in rejects(outbox)]) == (["", "a", "b"], [5])
        assert history(uri) == [(step, 1000 + step, 0.5) for step in (1, 2, 3, 4)]
        assert runs(uri)["a"].info.status == "FINISHED"
        found = open_client(uri).list_artifacts(runs(uri)["a"].info.run_id)
        assert [item.path for item in found] == ["evidence.npz"]


@pytest.mark.drill
def test_processes_that_prepare_one_store_at_once_do_not_break_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sweeps.delivery import prepare_store;"
        "prepare_store(sys.argv[1], Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, default_tracking_uri(tmp_path), str(tmp_path / "artifacts")]
    processes = [subprocess.Popen(command, cwd=Path(__file__).parent.parent) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0, 0, 0, 0]

"""What is refused is refused before data are read, and leaves nothing behind."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from folders import write_folder
from notes_heard import listening
from recorded_trials import DATA, plan, planned, record
from recording import start
from tiny import make_frames, make_split

import tune_main
from bddseg.files import write_json
from sweeps.errors import StorageError, TrackingError
from sweeps.execution.runner import run_sweep
from sweeps.execution.spec import SweepSpec
from sweeps.planning.dataset import Dataset
from sweeps.planning.experiment import load_experiment
from sweeps.storage.events import PARENT, End
from sweeps.storage.folder import making
from sweeps.storage.outbox import Outbox
from sweeps.storage.sweep_json import FILE
from sweeps.storage.sweeps import latest_sweep, unfinished_sweep, was_refused
from sweeps.storage.tags import REUSED
from sweeps.tracking.client import EXPERIMENT, open_client
from sweeps.tracking.probe import check_database

QUICK = ["--space", "smoke", "--profile", "quick", "--gpus-per-trial", "0"]


class Nobody(BaseHTTPRequestHandler):
    """A web server that is no MLflow."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *words: Any) -> None:
        return


@pytest.fixture
def stranger() -> Iterator[str]:
    """The address of a server that answers, but is no MLflow."""
    with HTTPServer(("127.0.0.1", 0), Nobody) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def make_order(storage: Path, uri: str, **changes: Any) -> SweepSpec:
    """Return an order for one trial, which another sweep may have trained."""
    material = Dataset(
        Path("/data"),
        is_embedded=False,
        frames=replace(make_frames(), fingerprint=DATA),
        split=make_split(),
        summary=(),
    )
    experiment = load_experiment("smoke", profile="quick")
    return SweepSpec(experiment, plan(planned()), material, storage, uri, {"CPU": 1.0, "GPU": 0.0}, **changes)


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_sweep_that_is_refused_after_it_reused_trials_leaves_nothing(tmp_path: Path, stranger: str) -> None:
    record(tmp_path, "first", planned())
    before = contents(tmp_path)
    with pytest.raises(TrackingError):
        run_sweep(make_order(tmp_path, stranger))
    assert contents(tmp_path) == before == {"first"}


def test_a_refused_sweep_leaves_no_storage_folder_that_it_made(tmp_path: Path) -> None:
    storage = tmp_path / "a" / "b"

    def refuse(sentence: str) -> None:
        if sentence == "starting Ray":
            raise TrackingError("no")

    with pytest.raises(TrackingError), listening(refuse):
        run_sweep(make_order(storage, "sqlite:///unused.db", is_offline=True))
    assert list(tmp_path.iterdir()) == []


def test_folders_that_were_there_before_stay(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(StorageError), making(tmp_path / "a" / "b" / "c"):
        raise StorageError("no")
    assert list((tmp_path / "a").iterdir()) == []


@pytest.fixture
def remains(tmp_path: Path) -> Path:
    """What an earlier version left of a sweep that was refused after it reused a trial, beside a sweep that ran."""
    ran = record(tmp_path, "a", planned())
    trial = {"trial_id": planned().trial_id, "settings": dict(planned().settings)}
    for name, hour in (("a", "09"), ("b", "12")):
        facts = {"version": 1, "started": f"2026-11-27T{hour}:00:00+00:00", "data": {"fingerprint": DATA}, "axes": {}}
        (tmp_path / name).mkdir(exist_ok=True)
        write_json(tmp_path / name / FILE, facts | {"trials": [trial]})
    outbox, reused = Outbox(tmp_path / "b" / "outbox"), start(planned().trial_id)
    outbox.extend([start(PARENT), replace(reused, tags={**reused.tags, REUSED: ran.name}), End(PARENT, "FAILED")])
    return tmp_path


def test_what_an_earlier_version_left_of_a_refused_sweep_is_known(remains: Path) -> None:
    assert (was_refused(remains / "a"), was_refused(remains / "b")) == (False, True)
    Outbox(remains / "b" / "outbox").append(start(planned().trial_id))
    assert not was_refused(remains / "b")


def test_a_refused_sweep_is_neither_the_latest_nor_resumed(remains: Path) -> None:
    assert latest_sweep(remains) == "a"
    assert unfinished_sweep(remains) == remains / "a"


def test_a_refused_sweep_does_not_fail_the_delivery_of_the_others(
    remains: Path, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune_main.main(["--sync", "--storage", str(remains), "--tracking-uri", uri]) == 0
    said = capsys.readouterr()
    assert "b was refused before it trained anything: skipped" in said.err and said.out.startswith("a: ")


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A folder with an image that cannot be decoded: reading it is refused."""
    root = write_folder(tmp_path / "data", {f"frame{index}": "highway" for index in range(12)})
    (root / "images/10k/train/frame0.jpg").write_bytes(b"damaged")
    return root


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--tracking-uri", "http://127.0.0.1:9"], "no MLflow server answers"),
        (["--tracking-uri", "sqlite:////dev/null/x.db"], "cannot be used (Not a directory)"),
        (["--address", "127.0.0.1:9"], "no Ray answers"),
        (["--storage", "/dev/null/runs"], "--storage /dev/null/runs cannot be written"),
        (["--cpus-per-trial", "999"], "this process may use"),
        ([], "frame0.jpg"),
    ],
)
def test_what_can_be_refused_without_the_data_is_refused_first(
    words: list[str], expected: str, damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [] if "--storage" in words else ["--storage", str(tmp_path / "runs")]
    assert tune_main.main([*QUICK, "--data", str(damaged), *where, *words]) == 2
    assert expected in capsys.readouterr().err.splitlines()[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


def test_a_deleted_experiment_is_refused_without_the_data(
    uri: str, damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = open_client(uri)
    client.delete_experiment("1")
    words = ["--data", str(damaged), "--tracking-uri", uri, "--storage", str(tmp_path / "runs")]
    assert tune_main.main([*QUICK, *words]) == 2
    assert re.search(r"is deleted in sqlite:.*mlflow experiments restore -x 1`$", capsys.readouterr().err.strip())
    client.restore_experiment("1")
    check_database(uri)


def test_a_deleted_experiment_of_a_server_is_refused_without_the_data(
    damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering({"experiment": {"experiment_id": "7", "name": EXPERIMENT, "lifecycle_stage": "deleted"}}) as uri:
        words = ["--data", str(damaged), "--tracking-uri", uri, "--storage", str(tmp_path / "runs")]
        assert tune_main.main([*QUICK, *words]) == 2
    assert f"MLFLOW_TRACKING_URI={uri} mlflow experiments restore -x 7`" in capsys.readouterr().err


@contextmanager
def answering(answer: dict[str, Any]) -> Iterator[str]:
    """Give the address of a server that answers every question in the same way."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.db").write_text("no database" * 100)
    with pytest.raises(TrackingError, match="file is not a database"):
        check_database(f"sqlite:///{tmp_path}/m.db")


def test_looking_for_a_database_makes_none(tmp_path: Path) -> None:
    check_database(f"sqlite:///{tmp_path}/deep/m.db")
    assert list(tmp_path.iterdir()) == []

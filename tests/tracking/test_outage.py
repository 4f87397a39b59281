"""Drills: a real MLflow server is stopped and started, a delivering process is killed; everything arrives once."""

import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from outages import EPOCHS, EPOCHS_PER_FILE, append_sweep
from recording import SWEEP, end, epoch, history, rejects, runs, start, until
from servers import server

from sweeps.storage.outbox import Outbox
from sweeps.tracking.client import EXPERIMENT, open_client
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.store import prepare_store

pytestmark = pytest.mark.drill

ROOT = Path(__file__).resolve().parent.parent.parent
DELIVERER = """
import sys
from pathlib import Path
from sweeps.tracking.delivery import Delivery
from sweeps.storage.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]))
delivery = Delivery(outbox, sys.argv[2], sys.argv[3])
with outbox.claimed():
    delivery.deliver_some(limit=1)
    print("under way", flush=True)
    while delivery.deliver_some(limit=7):
        pass
"""


def counts(uri: str) -> dict[str, int]:
    """Return how many runs, points and artifacts a store has."""
    client = open_client(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment
    recorded = client.search_runs([experiment.experiment_id])
    points = [
        point
        for run in recorded
        for key in [f"val/iou/{name}" for name in range(20)] + ["val/miou", "best/miou"]
        for point in client.get_metric_history(run.info.run_id, key)
    ]
    files = [
        item.path
        for run in recorded
        for folder in client.list_artifacts(run.info.run_id)
        for item in client.list_artifacts(run.info.run_id, folder.path)
    ]
    return {"runs": len(recorded), "points": len(points), "artifacts": len(files)}


EXPECTED = {"runs": 3, "points": 2 * (EPOCHS * 21 + 1), "artifacts": 2 * (EPOCHS // EPOCHS_PER_FILE)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "evidence-val.npz"
    path.write_bytes(b"counts")
    return path


def test_a_server_killed_while_events_are_delivered_gets_each_of_them_once(
    outbox: Outbox, tmp_path: Path, file: Path
) -> None:
    with server(tmp_path) as mlflow:
        prepare_store(mlflow.uri, tmp_path / "unused")
        delivery = Delivery(outbox, mlflow.uri, SWEEP)
        delivery.start()
        sweep = threading.Thread(target=append_sweep, args=(outbox, file, 0.2))
        sweep.start()
        for _ in range(2):
            time.sleep(2)
            mlflow.kill()
            time.sleep(1)
            mlflow.start()
        sweep.join()
        assert delivery.close(60) == 0
        assert counts(mlflow.uri) == EXPECTED
        assert {run.info.status for run in runs(mlflow.uri).values()} == {"FINISHED"}
        assert rejects(outbox) == []


def test_an_outage_of_a_server_is_not_noticed_by_who_appends(outbox: Outbox, tmp_path: Path) -> None:
    with server(tmp_path) as mlflow:
        prepare_store(mlflow.uri, tmp_path / "unused")
        delivery = Delivery(outbox, mlflow.uri, SWEEP)
        delivery.start()
        for event in (start(""), start(params={"optim.lr": 0.1}), epoch(1), epoch(2)):
            outbox.append(event)
        assert until(lambda: outbox.pending() == 0)
        mlflow.kill()
        for event in (epoch(3), epoch(3, time_ms=7000), epoch(4), start("b")):
            outbox.append(event)
        time.sleep(3)
        assert outbox.pending() == 4
        mlflow.start()
        outbox.append(epoch(5, name="mIoU%"))
        outbox.append(end(metrics={"best/miou": 0.5}))
        assert delivery.close(60) == 0
        assert (sorted(runs(mlflow.uri)), [reject["event"]["step"] for reject in rejects(outbox)]) == (
            ["", "a", "b"],
            [5],
        )
        assert history(mlflow.uri) == [(step, 1000 + step, 0.5) for step in (1, 2, 3, 4)]


def kill_until_done(outbox: Outbox, uri: str, within_s: float) -> int:
    """Start a delivering process and kill -9 it at a random moment, each time a little later, until all is delivered.

    Twice the cursor is lost as well.
    """
    moments, kills = random.Random(2), 0
    while outbox.pending():
        command = [sys.executable, "-c", DELIVERER, str(outbox.folder), uri, SWEEP]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout and process.stdout.readline() == "under way\n"
            try:
                assert process.wait(moments.random() * within_s * (kills + 1)) == 0
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
        if kills in (1, 3):
            (outbox.folder / "outbox.cursor").unlink(missing_ok=True)
    return kills


def test_a_delivering_process_that_is_killed_again_and_again_doubles_nothing(
    outbox: Outbox, uri: str, file: Path
) -> None:
    append_sweep(outbox, file)
    assert kill_until_done(outbox, uri, within_s=0.15) >= 3
    assert counts(uri) == EXPECTED
    assert {run.info.status for run in runs(uri).values()} == {"FINISHED"}


def test_a_process_that_is_killed_while_it_delivers_to_a_server_doubles_nothing(
    outbox: Outbox, tmp_path: Path, file: Path
) -> None:
    append_sweep(outbox, file)
    with server(tmp_path) as mlflow:
        prepare_store(mlflow.uri, tmp_path / "unused")
        assert kill_until_done(outbox, mlflow.uri, within_s=0.4) >= 3
        assert counts(mlflow.uri) == EXPECTED


def test_a_sweep_of_a_dead_driver_is_closed_and_delivered_by_a_sync(tmp_path: Path, file: Path) -> None:
    import tune_main

    folder = tmp_path / "runs" / SWEEP
    code = (
        "import os, signal, sys; from pathlib import Path; from sweeps.storage.heartbeat import Heartbeat;"
        "sys.path.insert(0, 'tests/helpers'); from outages import append_sweep; from recording import start;"
        "from sweeps.storage.outbox import Outbox; folder = Path(sys.argv[1]); outbox = Outbox(folder / 'outbox');"
        "Heartbeat(folder).__enter__(); append_sweep(outbox, Path(sys.argv[2])); outbox.append(start('b'));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder), str(file)], cwd=ROOT, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    with server(tmp_path) as mlflow:
        options = ["--sync", SWEEP, "--storage", str(tmp_path / "runs"), "--tracking-uri", mlflow.uri]
        assert tune_main.main(options) == 0
        assert tune_main.main(options) == 0
        assert counts(mlflow.uri) == EXPECTED
        recorded = runs(mlflow.uri)
        assert {trial: run.info.status for trial, run in recorded.items()} == {
            "": "FINISHED",
            "a": "FINISHED",
            "b": "KILLED",
        }
        assert recorded["b"].data.tags["sweep.stop_reason"] == "driver_lost"

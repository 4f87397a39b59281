"""Drills: what is deleted in a real MLflow server while a sweep is delivered to it."""

from pathlib import Path

import pytest
from recording import SWEEP, artifact, end, epoch, history, rejects, runs, start, until
from servers import server

from sweeps.storage.outbox import Outbox
from sweeps.tracking.client import EXPERIMENT, open_client
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.store import prepare_store, try_store
from sweeps.tracking.sync import sync

pytestmark = pytest.mark.drill


def test_what_is_deleted_in_a_server_is_waited_for_or_made_again(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "runs" / SWEEP / "outbox")
    file = outbox.folder / "evidence.npz"
    file.write_bytes(b"counts")
    with server(tmp_path) as mlflow:
        client = open_client(mlflow.uri)
        prepare_store(mlflow.uri, tmp_path / "unused")
        try_store(mlflow.uri)
        delivery = Delivery(outbox, mlflow.uri, SWEEP)
        delivery.start()
        for event in (start(""), start(params={"optim.lr": 0.1}), epoch(1), artifact(file), start("b")):
            outbox.append(event)
        assert until(lambda: outbox.pending() == 0)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        assert experiment is not None
        client.delete_experiment(experiment.experiment_id)
        for event in (epoch(2), epoch(1, trial="b"), start("c")):
            outbox.append(event)
        assert not until(lambda: outbox.pending() == 0, 4) and rejects(outbox) == []
        client.restore_experiment(experiment.experiment_id)
        assert until(lambda: outbox.pending() == 0)
        for trial in ("", "a"):
            client.delete_run(runs(mlflow.uri)[trial].info.run_id)
        for event in (end(), end(trial="b"), end(trial="c"), end(trial="")):
            outbox.append(event)
        assert delivery.close(60, is_checked=True) == 0
        found = runs(mlflow.uri)
        assert ({run.info.status for run in found.values()}, sorted(found)) == ({"FINISHED"}, ["", "a", "b", "c"])
        assert (found["a"].info.run_name, found["a"].data.params) == ("trial a", {"optim.lr": "0.1"})
        assert [step for step, _, _ in history(mlflow.uri)] == [1, 2]
        assert [item.path for item in client.list_artifacts(found["a"].info.run_id)] == ["evidence.npz"]
        parents = {run.data.tags.get("mlflow.parentRunId") for trial, run in found.items() if trial}
        assert parents == {found[""].info.run_id}


def test_a_server_that_lost_its_database_gets_everything_again(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "runs" / SWEEP / "outbox")
    for event in (start(""), start(), epoch(1), epoch(2), end(), end(trial="")):
        outbox.append(event)
    with server(tmp_path) as mlflow:
        folder = outbox.folder.parent
        assert sync(folder, mlflow.uri).delivered == 6
        mlflow.kill()
        for file in tmp_path.glob("server.db*"):
            file.unlink()
        mlflow.start()
        assert (sync(folder, mlflow.uri).delivered, sync(folder, mlflow.uri).delivered) == (6, 0)
        assert (len(history(mlflow.uri)), runs(mlflow.uri)["a"].info.status) == (2, "FINISHED")

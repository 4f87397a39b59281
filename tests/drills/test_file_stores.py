"""Drills: the store of files is unreachable while MLflow's database answers; every file arrives in the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from object_store import BUCKET, ObjectStore, object_store
from outages import EPOCHS, EPOCHS_PER_FILE, TRIALS, append_sweep
from recording import SWEEP, history, rejects, runs, until
from servers import server

import tune_main
from sweeps.storage.outbox import Outbox
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.store import prepare_store

pytestmark = pytest.mark.drill

FILES = len(TRIALS) * EPOCHS // EPOCHS_PER_FILE
DIRECT = ("--default-artifact-root", f"s3://{BUCKET}/direct", "--no-serve-artifacts")
THROUGH_THE_SERVER = ("--artifacts-destination", f"s3://{BUCKET}/served")


@contextmanager
def mlflow_with_files_in_s3(
    folder: Path, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, ObjectStore]]:
    """Give the address of a server, and the store where its files go."""
    with object_store(folder) as store:
        for key, value in store.environment.items():
            monkeypatch.setenv(key, value)
        with server(folder, files=options, environment=store.environment) as mlflow:
            prepare_store(mlflow.uri, folder / "unused")
            yield mlflow.uri, store


@pytest.mark.parametrize("options", [DIRECT, THROUGH_THE_SERVER], ids=["direct", "through the server"])
def test_files_wait_while_their_store_is_down_and_a_sync_delivers_every_one(
    tmp_path: Path, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outbox, file = Outbox(tmp_path / "runs" / SWEEP / "outbox"), tmp_path / "evidence-val.npz"
    file.write_bytes(b"counts")
    with mlflow_with_files_in_s3(tmp_path, options, monkeypatch) as (uri, store):
        append_sweep(outbox, file)
        delivery = Delivery(outbox, uri, SWEEP)
        assert (delivery.deliver_some(100), len(store.keys())) == (100 + len(store.keys()), len(store.keys()))
        store.kill()
        delivery.start()
        assert until(lambda: outbox.pending_events() == 0, 60)  # metrics pass the files
        assert delivery.close(15) == outbox.pending() > 0
        command = ["--sync", SWEEP, "--storage", str(tmp_path / "runs"), "--tracking-uri", uri]
        assert (len(history(uri)), rejects(outbox), tune_main.main(command)) == (EPOCHS, [], 1)
        assert "is delivered" not in capsys.readouterr().err
        store.start()  # what it had before is lost
        assert (tune_main.main(command), len(store.keys()), outbox.pending()) == (0, FILES, 0)
        assert {run.info.status for run in runs(uri).values()} == {"FINISHED"}

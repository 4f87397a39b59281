"""Drills: what keeps MLflow from taking a sweep is found beforehand, by real databases and servers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from counting_proxy import counting_proxy
from databases import postgresql
from object_store import object_store
from recording import SWEEP, artifact, delivered, end, epoch, start
from servers import server

from bddseg.evidence import Evidence, save_evidence
from sweeps.errors import TrackingError
from sweeps.storage.outbox import Outbox
from sweeps.tracking.client import open_client
from sweeps.tracking.preflight import check_recording
from sweeps.tracking.reader import Store

pytestmark = pytest.mark.drill


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgresql() as address:
        yield address


def test_a_wrong_password_is_named_with_its_cure(database: str, tmp_path: Path) -> None:
    wrong = database.replace("a-secret-password", "another") + "/mlflow"
    with pytest.raises(TrackingError, match=r"password authentication failed.*: correct user and password") as raised:
        check_recording(wrong, tmp_path)
    assert "another" not in str(raised.value)


def test_a_missing_database_is_named_with_its_cure(database: str, tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r'"none" does not exist\): create that database'):
        check_recording(f"{database}/none", tmp_path)


def test_a_database_server_that_does_not_run_is_named_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"refused.*: check host and port"):
        check_recording("postgresql://someone@127.0.0.1:9/mlflow", tmp_path)


def test_a_database_of_a_server_puts_files_into_the_storage_folder(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_recording(f"{database}/mlflow", tmp_path / "runs" / "artifacts", "street-scenes")
    client = open_client(f"{database}/mlflow")
    experiment = client.get_experiment_by_name("street-scenes")
    assert experiment and experiment.artifact_location == (tmp_path / "runs" / "artifacts").as_uri()
    assert (
        client.search_runs([experiment.experiment_id], run_view_type=3),
        [path.name for path in tmp_path.iterdir()],
    ) == ([], ["runs"])


def test_a_server_without_the_bucket_of_its_files_is_refused_and_gets_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--default-artifact-root", "s3://missing/x", "--no-serve-artifacts")
    with object_store(tmp_path) as store, server(tmp_path, files=options) as mlflow:
        for key, value in store.environment.items():
            monkeypatch.setenv(key, value)
        with pytest.raises(TrackingError, match=r"takes no files: .* go to s3://missing/x.*: create that bucket"):
            check_recording(mlflow.uri, tmp_path)
        assert open_client(mlflow.uri).search_runs(["1"], run_view_type=3) == []


def test_evidence_is_read_with_one_request_a_trial(tmp_path: Path) -> None:
    path, trials = tmp_path / "evidence-val.npz", [f"t{number}" for number in range(12)]
    counts, ignored = np.ones((2, 5, 5), np.int64), np.zeros((2, 5), np.int64)
    save_evidence(path, Evidence("val", 1, ("a", "b"), {"scene": ("x", "y")}, counts, ignored, "f" * 16))
    with server(tmp_path) as mlflow, counting_proxy(mlflow.uri) as proxy:
        check_recording(mlflow.uri, tmp_path)
        outbox = Outbox(tmp_path / "runs" / SWEEP / "outbox")
        events = [event for trial in trials for event in (start(trial), epoch(1, trial=trial), end(trial=trial))]
        files = [artifact(path, trial, "evidence") for trial in trials[1:]]
        delivered(outbox, mlflow.uri, start(""), *events, *files, end(trial=""))
        store = Store(proxy.uri)
        record = store.read_sweep(SWEEP)
        proxy.asked.clear()
        read = store.read_evidence(record.trials, "val")
        histories = store.histories(record, ["val/miou", "train/miou"])
        assert sum(found is not None for found in read.values()) == 11
        assert {trial: values["val/miou"] for trial, values in histories.items()} == {key: [(1, 0.5)] for key in trials}
        assert proxy.asked.total() <= len(trials) + 4, proxy.asked

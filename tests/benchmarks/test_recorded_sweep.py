"""A synthetic sweep in a real database is read as any other, with the histories that MLflow returns."""

import math
from pathlib import Path

import pytest

from bddseg.confusion import miou, pool
from bddseg.evidence import Evidence
from benchmarks.recorded_sweep import SWEEP, Size, build_sweep
from sweeps.storage.records import SweepRecord
from sweeps.tracking.artifact_store import local_root
from sweeps.tracking.client import open_client
from sweeps.tracking.metric_history import ask_each, read_table
from sweeps.tracking.reader import Store
from sweeps.tracking.uri import database_file


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(build_sweep(tmp_path_factory.mktemp("recorded"), Size(trials=3, epochs=6, images=9)))


@pytest.fixture(scope="module")
def record(store: Store) -> SweepRecord:
    return store.read_sweep(SWEEP)


def test_every_trial_is_there_with_its_epochs(store: Store, record: SweepRecord) -> None:
    histories = store.histories(record, ["val/miou"])
    assert (record.status, len(record.trials)) == ("FINISHED", 3)
    assert all(len(histories[row.trial_id]["val/miou"]) == row.metrics["best/epoch"] for row in record.trials)


def test_a_trial_s_evidence_has_its_score(store: Store, record: SweepRecord) -> None:
    evidence_by_trial = store.read_evidence(record.trials, "val")
    for row in record.trials:
        evidence = evidence_by_trial[row.trial_id]
        assert isinstance(evidence, Evidence)
        assert float(miou(pool(evidence.counts))) == pytest.approx(row.metrics["best/miou"], abs=1e-6)


def test_the_table_of_metrics_says_what_mlflow_says(store: Store, record: SweepRecord) -> None:
    runs = sorted(row.run_id for row in record.trials)
    database = database_file(store.tracking_uri)
    assert database is not None
    ours = read_table(database, runs, "val/miou")
    theirs = ask_each(open_client(store.tracking_uri), runs, "val/miou")
    assert sorted(ours) == sorted(theirs)
    assert not any(math.isnan(value) for *_, value in ours)


def test_evidence_that_is_a_link_to_elsewhere_is_not_read(store: Store, record: SweepRecord, tmp_path: Path) -> None:
    root = local_root(record.trials[0].artifact_uri)
    assert root is not None
    path, copy = root / "evidence" / "evidence-test.npz", tmp_path / "kept.npz"
    path.rename(copy)
    path.symlink_to(copy)
    assert store.evidence(record.trials[0], "test") is None


@pytest.mark.parametrize(
    "uri", ["mlflow-artifacts:/1/x", "s3://bucket/x", "/a/../etc", "relative", "file://host/etc", ""]
)
def test_what_is_no_folder_of_this_machine_is_fetched(uri: str) -> None:
    assert local_root(uri) is None


def test_a_folder_is_found_by_its_path_and_by_its_address(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    assert local_root(str(folder)) == local_root(folder.as_uri()) == folder

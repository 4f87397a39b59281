"""What a power cut leaves of a sweep: every event that was acknowledged, and the checkpoints that count."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from models import learnt
from power import Disk, after_a_power_cut
from ray.tune import Checkpoint
from recording import SWEEP, artifact, delivered, epoch, runs, start
from test_tracking import TRIAL_ID, FakeTrial, reported, started
from test_tracking import tracker as make_tracker

from bddseg.checkpoint import load_training, save_training
from sweeps import outbox as outbox_module
from sweeps.events import EventFile
from sweeps.manifest import read_manifest, save_manifest
from sweeps.outbox import Outbox
from sweeps.tracking import Tracker

Cut = Callable[[], Path]


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def cut(storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cut:
    """Cut the power: return the storage folder as the disk has it."""
    disk = Disk(storage, tmp_path / "memory")
    monkeypatch.setattr(os, "fsync", disk.watched(os.fsync))
    monkeypatch.setattr(os, "fdatasync", disk.watched(os.fdatasync))

    def happen() -> Path:
        after_a_power_cut(storage, tmp_path / "memory", tmp_path / "after")
        return tmp_path / "after"

    return happen


def test_the_disk_forgets_what_was_not_synced(storage: Path, cut: Cut) -> None:
    for name in ("synced", "named", "unknown"):
        (storage / name).write_text(name)
    with (storage / "synced").open("rb") as file:
        os.fsync(file.fileno())
    (storage / "unknown").rename(storage.parent / "unknown")
    os.fsync(os.open(storage, os.O_RDONLY))
    after = cut()
    assert {path.name: path.read_text() for path in after.iterdir()} == {"synced": "synced", "named": ""}


def test_an_event_that_was_appended_is_there_after_a_power_cut(
    storage: Path, cut: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "SLOW_SECONDS", 60.0)
    outbox = Outbox(storage / SWEEP / "outbox")
    for step in range(1, 20):
        outbox.append(epoch(step))
    found = [event["step"] for event in EventFile(cut() / SWEEP / "outbox").events()]
    assert found == list(range(1, 20))


def test_on_a_slow_disk_events_are_synced_together_within_a_second(
    storage: Path, cut: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    sync = os.fdatasync
    monkeypatch.setattr(outbox_module, "SLOW_SECONDS", -1.0)
    monkeypatch.setattr(outbox_module, "REST", 1e6)
    monkeypatch.setattr(outbox_module, "LONGEST_REST_SECONDS", 0.3)
    monkeypatch.setattr(os, "fdatasync", lambda handle: (syncs.append(handle), sync(handle))[1])
    outbox = Outbox(storage / SWEEP / "outbox")
    for step in range(1, 20):
        outbox.append(epoch(step))
    assert outbox._later is not None
    outbox._later.join()
    assert (len(syncs), len([*EventFile(cut() / SWEEP / "outbox").events()])) == (2, 19)


def test_a_manifest_is_there_after_a_power_cut(storage: Path, cut: Cut) -> None:
    Outbox(storage / SWEEP / "outbox")
    save_manifest(storage / SWEEP, {"version": 1, "sweep_id": SWEEP})
    assert read_manifest(cut() / SWEEP)["sweep_id"] == SWEEP


def saved(tracker: Tracker, sweep: Path, number: int) -> Path:
    """Save a checkpoint as a trial does, and let Ray tell of it."""
    folder = sweep / "pass-1" / TRIAL_ID / f"checkpoint_{number:06d}"
    folder.mkdir(parents=True)
    save_training(folder, learnt()[1].state())
    trial = FakeTrial()
    tracker.on_checkpoint(0, [trial], trial, Checkpoint.from_directory(folder))  # type: ignore[arg-type, list-item]
    return folder


def test_a_checkpoint_counts_once_it_is_on_the_disk_with_the_events_before_it(storage: Path, cut: Cut) -> None:
    tracker = make_tracker.__wrapped__(storage / SWEEP)  # type: ignore[attr-defined]
    trial = FakeTrial()
    started(tracker, trial)
    for step in (1, 2):
        reported(tracker, trial, step)
    folder = saved(tracker, storage / SWEEP, 0)
    after = cut() / SWEEP
    assert load_training(after / folder.relative_to(storage / SWEEP))["epoch"] == 2
    assert [event["step"] for event in EventFile(after / "outbox").events() if event["kind"] == "epoch"] == [1, 2]


def test_what_mlflow_has_is_never_more_than_what_the_disk_has(
    storage: Path, cut: Cut, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "SLOW_SECONDS", -1.0)
    monkeypatch.setattr(outbox_module, "REST", 1e6)
    monkeypatch.setattr(outbox_module, "LONGEST_REST_SECONDS", 60.0)
    outbox = Outbox(storage / SWEEP / "outbox")
    delivered(outbox, uri, start(), epoch(1), epoch(2))
    assert runs(uri)["a"].data.metrics["val/miou"] == 0.5
    assert len([*EventFile(cut() / SWEEP / "outbox").events()]) == 3


def test_a_file_is_delivered_once_it_is_on_the_disk_of_the_store(
    storage: Path, cut: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeps.address import default_tracking_uri
    from sweeps.mlflow_store import prepare_store

    prepare_store(default_tracking_uri(storage), storage / "artifacts")
    outbox = Outbox(storage / SWEEP / "outbox")
    (storage / SWEEP / "evidence.npz").write_bytes(b"counts")
    uri = default_tracking_uri(storage)
    delivered(outbox, uri, start(), artifact(storage / SWEEP / "evidence.npz", folder="evidence"))
    os.fsync(os.open(storage, os.O_RDONLY))
    kept = cut() / "artifacts" / runs(uri)["a"].info.run_id / "artifacts" / "evidence" / "evidence.npz"
    assert kept.read_bytes() == b"counts"

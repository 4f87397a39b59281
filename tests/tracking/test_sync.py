"""What MLflow does not have yet is delivered later, from a sweep's folder alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from recording import REFUSED, SWEEP, artifact, end, epoch, history, runs, start

import tune_main
from sweeps.errors import StorageError
from sweeps.storage.events import Line, Start
from sweeps.storage.heartbeat import this_pulse, write_pulse
from sweeps.storage.outbox import Outbox
from sweeps.tracking import reachability
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.sync import close_lost_sweeps, sync
from sweeps.tracking.uri import default_tracking_uri
from sweeps.tracking.writer import PATIENCE, Recorder


@pytest.fixture
def uri(storage: Path) -> str:
    return default_tracking_uri(storage)


def waiting(storage: Path, sweep_id: str = SWEEP, tracking_uri: str | None = None) -> Path:
    """Write a whole sweep of one trial, none of it delivered."""
    outbox = Outbox(storage / sweep_id / "outbox")
    for event in (start(""), start("a"), epoch(1), epoch(2), end(), end(trial="")):
        is_start = isinstance(event, Start)
        outbox.append(replace(event, tags={**event.tags, "sweep.id": sweep_id}) if is_start else event)
    (storage / sweep_id / "sweep.json").write_text(json.dumps({"tracking_uri": tracking_uri}))
    return storage / sweep_id


def call(storage: Path, *options: str) -> int:
    return tune_main.main(["--sync", *options, "--storage", str(storage)])


def test_a_waiting_sweep_is_delivered_by_its_name(storage: Path, uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    waiting(storage)
    assert call(storage, SWEEP) == 0
    assert capsys.readouterr().out == f"{SWEEP}: 6 events delivered\n"
    assert (len(history(uri)), runs(uri)["a"].info.status) == (2, "FINISHED")


def test_delivering_again_finds_nothing_to_do(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    waiting(storage)
    assert (call(storage, SWEEP), call(storage, SWEEP)) == (0, 0)
    assert capsys.readouterr().out.splitlines()[1] == f"{SWEEP}: 0 events delivered"


def test_without_a_name_all_sweeps_that_wait_are_delivered(
    storage: Path, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two", "three"):
        waiting(storage, name)
    assert call(storage, "two") == 0
    capsys.readouterr()
    assert call(storage) == 0
    assert capsys.readouterr().out.splitlines() == ["one: 6 events delivered", "three: 6 events delivered"]


def test_a_storage_without_a_backlog_is_fine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path) == 0
    assert "every event of every sweep" in capsys.readouterr().err


def test_of_several_sweeps_one_that_cannot_be_read_does_not_hold_up_the_others(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "three", "two"):
        waiting(storage, name)
    events = storage / "one" / "outbox" / "outbox.jsonl"
    events.unlink()
    events.mkdir()
    shutil.rmtree(storage / "three" / "outbox")
    assert call(storage) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"one: 0 events delivered: {events} cannot be read (Is a directory)")
    assert lines[1] == "two: 6 events delivered"


def test_a_store_that_does_not_answer_is_asked_once_for_all_sweeps(
    storage: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    check = reachability.check_server
    monkeypatch.setattr(reachability, "check_server", lambda uri: (asked.append(uri), check(uri))[1])
    for name in ("one", "three", "two"):
        waiting(storage, name)
    assert call(storage, "--tracking-uri", REFUSED) == 1
    assert (len(asked), capsys.readouterr().out.count("6 events left: no MLflow server answers")) == (1, 3)


def test_a_sweep_that_noted_the_database_of_its_storage_folder_is_delivered_to_it(storage: Path, uri: str) -> None:
    folder = waiting(storage, tracking_uri="sqlite:///mlflow.db")
    assert (sync(folder, None).undelivered, len(history(uri))) == (0, 2)


def test_an_unknown_sweep_is_refused_in_one_line_that_names_the_known(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting(storage)
    assert call(storage, "smok") == 2
    assert capsys.readouterr().err == f"error: no sweep 'smok' in {storage}; known: {SWEEP}\n"


def test_what_is_left_while_mlflow_is_away_is_counted_with_the_reason(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting(storage)
    assert call(storage, SWEEP, "--tracking-uri", REFUSED) == 1
    line = capsys.readouterr().out
    assert f"{SWEEP}: 0 events delivered; 6 events left: no MLflow server answers at {REFUSED}" in line


def test_a_store_that_fails_all_the_time_is_given_up(outbox: Outbox, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.tracking.retry_thread.SHORTEST_WAIT_S", 0.0)
    tries: list[int] = []

    def fail(self: Recorder, lines: list[Line]) -> None:
        tries.append(len(lines))
        raise ConnectionRefusedError("connection refused")

    monkeypatch.setattr(Recorder, "record", fail)
    outbox.append(start())
    assert Delivery(outbox, uri, SWEEP).drain() == (1, "connection refused")
    assert len(tries) == PATIENCE + 1


@pytest.mark.parametrize("is_set", [True, False])
def test_the_environment_beats_what_the_sweep_noted(
    storage: Path, uri: str, is_set: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = waiting(storage, tracking_uri=REFUSED)
    if is_set:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert sync(folder, None).undelivered == (0 if is_set else 6)


def test_a_sweep_that_noted_an_address_without_its_password_asks_for_it(storage: Path) -> None:
    folder = waiting(storage, tracking_uri="http://***@there")
    result = sync(folder, None)
    assert (result.undelivered, result.why.startswith("it was recorded at http://***@there: set MLFLOW")) == (6, True)


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_a_sweep_without_a_readable_manifest_is_delivered_to_the_default(
    storage: Path, uri: str, text: str | None
) -> None:
    folder = waiting(storage)
    (folder / "sweep.json").unlink()
    if text is not None:
        (folder / "sweep.json").write_text(text)
    assert (sync(folder, None).undelivered, len(history(uri))) == (0, 2)


def test_a_sweep_is_whole_in_a_second_store_too(storage: Path, uri: str, template: Path, tmp_path: Path) -> None:
    folder = waiting(storage)
    shutil.copy(template, tmp_path / "other.db")
    other = f"sqlite:///{tmp_path}/other.db"
    assert [sync(folder, where).delivered for where in (uri, other, other)] == [6, 6, 0]
    assert history(other) == history(uri)


def test_a_folder_that_was_moved_still_has_its_files(storage: Path, uri: str, tmp_path: Path) -> None:
    old = waiting(tmp_path / "old")
    (old / "spool").mkdir()
    (old / "spool" / "evidence.npz").write_bytes(b"counts")
    Outbox(old / "outbox").append(artifact(old / "spool" / "evidence.npz"))
    shutil.move(old, storage / SWEEP)
    result = sync(storage / SWEEP, None)
    assert (result.undelivered, result.rejects) == (0, ())


def test_what_mlflow_refused_is_counted_and_named(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = waiting(storage)
    for step in range(3, 8):
        Outbox(folder / "outbox").append(epoch(step, name="mIoU%"))
    assert call(storage, SWEEP) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "warning: 5 events were refused, kept in outbox.rejected.jsonl until --sync delivers them:"
    assert lines[2].startswith("  epoch 3 of trial a: ") and lines[-1] == "  and 2 more"


# --------------------------------------------------------------------------------------------------------- one at once


def test_two_at_once_are_refused(storage: Path) -> None:
    folder = waiting(storage)
    with Outbox(folder / "outbox").claimed(), pytest.raises(StorageError, match="delivered by another process"):
        sync(folder, None)


def test_a_running_sweep_is_refused_with_its_process(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pulse(waiting(storage), this_pulse())
    assert call(storage, SWEEP) == 2
    line = capsys.readouterr().err
    assert f"sweep {SWEEP} is running (process {this_pulse().pid} on" in line and line.count("\n") == 1


def test_of_several_sweeps_a_running_one_does_not_hold_up_the_others(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pulse(waiting(storage, "one"), this_pulse())
    waiting(storage, "two")
    assert call(storage) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "one: 0 events delivered; 6 events left: sweep one is running" in lines[0]
    assert lines[1] == "two: 6 events delivered"


# --------------------------------------------------------------------------------------------------------- lost driver


@pytest.fixture
def lost(storage: Path) -> Path:
    """A sweep whose driver died in the middle of a trial."""
    outbox = Outbox(storage / SWEEP / "outbox")
    for event in (start(""), start("a"), epoch(1)):
        outbox.append(event)
    write_pulse(storage / SWEEP, replace(this_pulse(), process_started=0.0))
    return storage / SWEEP


def test_a_sync_closes_the_runs_of_a_lost_driver(lost: Path, uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(lost.parent) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"closed 2 runs of sweep {SWEEP} whose driver was lost"
    assert {run.info.status for run in runs(uri).values()} == {"KILLED"}


def test_a_lost_sweep_of_which_all_is_delivered_is_still_closed(lost: Path, uri: str) -> None:
    Delivery(Outbox(lost / "outbox"), uri, SWEEP).drain()
    assert sync(lost, None).closed == 2


def test_a_new_sweep_closes_the_runs_of_a_lost_one_in_its_own_store(lost: Path, uri: str) -> None:
    assert list(close_lost_sweeps(lost.parent, uri)) == [f"closed 2 runs of sweep {SWEEP} whose driver was lost"]
    assert {run.data.tags["sweep.stop_reason"] for run in runs(uri).values()} == {"driver_lost"}
    assert list(close_lost_sweeps(lost.parent, uri)) == []


def test_a_new_sweep_that_is_offline_closes_without_mlflow(lost: Path) -> None:
    assert len(list(close_lost_sweeps(lost.parent, None))) == 1
    assert Outbox(lost / "outbox").pending() == 5


def test_the_status_of_a_lost_sweep_says_how_to_resume_or_close_it(
    lost: Path, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Delivery(Outbox(lost / "outbox"), uri, SWEEP).drain()
    assert tune_main.main(["--status", SWEEP, "--storage", str(lost.parent)]) == 0
    said = capsys.readouterr().err
    again = f"python tune_main.py --storage {lost.parent}"
    assert f"is gone\nresume with: {again} --resume {SWEEP}\n" in said
    assert f"or close its open runs with: {again} --sync {SWEEP}\n" in said

"""Sweeps whose driver was lost are found, closed once, and opened again by a resume."""

from dataclasses import replace
from pathlib import Path

import pytest
from recording import delivered, end, epoch, runs, start

from sweeps.errors import FencedError
from sweeps.storage.attempts import take_number
from sweeps.storage.heartbeat import HeartbeatRecord, read_pulse, this_pulse, write_pulse
from sweeps.storage.outbox import Outbox
from sweeps.storage.recovery import claim_and_close, close_lost, reopen, runs_left_open


@pytest.fixture
def folder(outbox: Outbox) -> Path:
    return outbox.folder.parent


def dead() -> HeartbeatRecord:
    return replace(this_pulse(), process_started=0.0, time=7.5)


def appended(outbox: Outbox) -> None:
    """A sweep with one trial that ended and one that did not."""
    for event in (start(""), start("a"), start("b"), epoch(1, trial="b"), epoch(2, trial="b"), end(trial="a")):
        outbox.append(event)


def test_what_was_started_and_has_not_ended_is_open_with_its_last_epoch(outbox: Outbox) -> None:
    appended(outbox)
    assert runs_left_open(outbox) == {"": 0, "b": 2}


def test_what_was_started_again_is_open(outbox: Outbox) -> None:
    appended(outbox)
    outbox.append(start("a"))
    assert sorted(runs_left_open(outbox)) == ["", "a", "b"]


def test_damaged_lines_open_nothing(outbox: Outbox) -> None:
    with (outbox.folder / "outbox.jsonl").open("ab") as file:
        file.write(b'\x00\n{"kind": "epoch"}\n{"kind": "end", "tags": {}}\n')
    assert (runs_left_open(outbox), reopen(outbox)) == ({}, 1)


def test_a_dead_drivers_runs_are_closed_at_its_last_beat_the_sweeps_own_last(outbox: Outbox, folder: Path) -> None:
    appended(outbox)
    write_pulse(folder, dead())
    assert close_lost(folder, outbox) == 2
    ends = [event for event in outbox.events() if event.kind == "end"][1:]
    assert [(event.trial, event.status, event.time_ms) for event in ends] == [
        ("b", "KILLED", 7500),
        ("", "KILLED", 7500),
    ]
    assert ends[0].tags["sweep.stop_reason"] == "driver_lost"
    assert (runs_left_open(outbox), read_pulse(folder)) == ({}, None)


def test_the_closing_of_a_lost_drivers_runs_ends_once_the_sweep_is_resumed(outbox: Outbox, folder: Path) -> None:
    appended(outbox)
    write_pulse(folder, dead())
    close_lost(folder, outbox)
    assert outbox.attempt and not outbox.attempt.is_over()
    take_number(folder)
    with pytest.raises(FencedError):
        outbox.append(end(trial="b"))


def test_closing_again_closes_nothing(outbox: Outbox, folder: Path) -> None:
    appended(outbox)
    write_pulse(folder, dead())
    assert (claim_and_close(folder), claim_and_close(folder)) == (2, 0)


def test_a_living_driver_is_left_alone(outbox: Outbox, folder: Path) -> None:
    appended(outbox)
    write_pulse(folder, this_pulse())
    assert claim_and_close(folder) == 0


def test_a_sweep_that_is_claimed_is_left_alone(outbox: Outbox, folder: Path) -> None:
    appended(outbox)
    write_pulse(folder, dead())
    with Outbox(outbox.folder).claimed():
        assert claim_and_close(folder) == 0
    assert read_pulse(folder) is not None


def test_closed_runs_are_killed_in_mlflow_and_running_again_after_a_resume(outbox: Outbox, uri: str) -> None:
    folder = outbox.folder.parent
    appended(outbox)
    write_pulse(folder, dead())
    close_lost(folder, outbox)
    delivered(outbox, uri)
    closed = runs(uri)
    assert {trial: run.info.status for trial, run in closed.items()} == {"": "KILLED", "a": "FINISHED", "b": "KILLED"}
    assert closed["b"].data.tags["sweep.stop_reason"] == "driver_lost"
    assert reopen(outbox) == 2
    delivered(outbox, uri)
    opened = runs(uri)
    assert {trial: run.info.status for trial, run in opened.items()} == {"": "RUNNING", "a": "FINISHED", "b": "RUNNING"}
    assert "sweep.stop_reason" not in opened["b"].data.tags
    assert opened["a"].data.tags["sweep.stop_reason"] == "max_epochs"


def test_a_resumed_run_says_why_it_ended_in_the_end(outbox: Outbox, uri: str) -> None:
    folder = outbox.folder.parent
    appended(outbox)
    write_pulse(folder, dead())
    close_lost(folder, outbox)
    reopen(outbox)
    delivered(outbox, uri, start("b"), epoch(3, trial="b"), end(trial="b"))
    run = runs(uri)["b"]
    assert (run.info.status, run.data.tags["sweep.stop_reason"]) == ("FINISHED", "max_epochs")
    assert "sweep.stop_detail" not in run.data.tags


@pytest.mark.parametrize("reason", ["error", "oom"])
def test_trials_that_failed_are_opened_again_on_demand(outbox: Outbox, reason: str) -> None:
    failed = replace(end("FAILED"), tags={"sweep.stop_reason": reason})
    for event in (start(""), start("a"), failed, end(trial="")):
        outbox.append(event)
    assert (reopen(outbox), runs_left_open(outbox)) == (1, {"": 0})
    assert (reopen(outbox, with_failed=True), sorted(runs_left_open(outbox))) == (2, ["", "a"])

"""The heartbeat file: who drives a sweep, and whether it is alive."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from recording import until

from sweeps.storage import heartbeat
from sweeps.storage.heartbeat import (
    Heartbeat,
    HeartbeatRecord,
    Watches,
    is_silent,
    read_pulse,
    this_machine,
    this_pulse,
    write_pulse,
)

ROOT = Path(__file__).resolve().parent.parent.parent
DRIVER = "import sys, time; from pathlib import Path; from sweeps.storage.heartbeat import Heartbeat; \
Heartbeat(Path(sys.argv[1])).__enter__(); print('ready', flush=True); time.sleep(60)"


def elsewhere(clock_s: float = 0.0) -> HeartbeatRecord:
    """Return the heartbeat of a driver on another machine, whose clock differs from ours."""
    return replace(this_pulse(), machine="another", pid=1, time=time.time() + clock_s)


def test_this_process_is_alive(tmp_path: Path) -> None:
    write_pulse(tmp_path, this_pulse())
    pulse = read_pulse(tmp_path)
    assert pulse is not None and pulse.is_alive()
    assert (pulse.pid, pulse.machine) == (os.getpid(), this_machine())


def test_a_sweep_that_ended_by_itself_has_no_pulse(tmp_path: Path) -> None:
    with Heartbeat(tmp_path):
        assert read_pulse(tmp_path)
    assert read_pulse(tmp_path) is None


def test_the_beat_goes_on_while_the_sweep_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.storage.heartbeat.BEAT_SECONDS", 0.05)
    with Heartbeat(tmp_path):
        first = read_pulse(tmp_path)
        assert until(lambda: read_pulse(tmp_path) != first)


def test_a_beat_that_cannot_be_written_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.storage.heartbeat.BEAT_SECONDS", 0.05)
    folder, away = tmp_path / "sweep", tmp_path / "away"
    folder.mkdir()
    with Heartbeat(folder):
        folder.rename(away)
        time.sleep(0.2)
        away.rename(folder)
        first = read_pulse(folder)
        assert until(lambda: read_pulse(folder) != first)


def test_a_killed_process_is_dead_at_once(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE) as driver:
        assert driver.stdout and driver.stdout.readline() == b"ready\n"
        pulse = read_pulse(tmp_path)
        assert pulse is not None and pulse.is_alive()
        driver.send_signal(signal.SIGKILL)
        assert until(lambda: not pulse.is_alive()), "a zombie counts as alive"
    assert not pulse.is_alive()


def test_a_later_process_of_the_same_number_is_not_the_driver() -> None:
    assert not replace(this_pulse(), process_started=this_pulse().process_started - 100).is_alive()


@pytest.mark.parametrize("clock_s", [-600, 0, 600])
def test_a_driver_on_another_machine_is_silent_when_its_heartbeat_stays_as_it_is(tmp_path: Path, clock_s: int) -> None:
    write_pulse(tmp_path, elsewhere(clock_s))
    assert elsewhere(clock_s).is_alive() and is_silent(tmp_path, 0.2)


@pytest.mark.parametrize("clock_s", [-600, 0, 600])
def test_a_driver_on_another_machine_whose_heartbeat_changes_is_not_silent(tmp_path: Path, clock_s: int) -> None:
    write_pulse(tmp_path, elsewhere(clock_s))
    beat = threading.Timer(0.1, write_pulse, (tmp_path, elsewhere(clock_s + 10)))
    beat.start()
    assert not is_silent(tmp_path, 60)
    beat.join()


def test_several_heartbeats_are_watched_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=30)
    monkeypatch.setattr(heartbeat, "is_silent", lambda *_, **__: both.wait() >= 0)
    with Watches([tmp_path / "a", tmp_path / "b"]) as watches:
        assert watches.is_silent(tmp_path / "a") and watches.is_silent(tmp_path / "b")


def test_a_sweep_that_was_silent_is_not_when_a_process_has_started_since(tmp_path: Path) -> None:
    with Watches([tmp_path]) as watches:
        assert watches.is_silent(tmp_path)
        write_pulse(tmp_path, this_pulse())
        assert not watches.is_silent(tmp_path)


def test_a_watch_that_nobody_waits_for_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "WATCH_SECONDS", 10**6)
    write_pulse(tmp_path, elsewhere())
    with Watches([tmp_path]):
        pass


def test_a_sweep_that_another_process_has_taken_over_keeps_its_new_heartbeat(tmp_path: Path) -> None:
    with Heartbeat(tmp_path, is_over=lambda: True):
        write_pulse(tmp_path, elsewhere())
    assert read_pulse(tmp_path) is not None


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"pid": 1})])
def test_a_damaged_heartbeat_is_a_dead_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "heartbeat.json").write_text(text)
    pulse = read_pulse(tmp_path)
    assert pulse is not None and not pulse.is_alive()

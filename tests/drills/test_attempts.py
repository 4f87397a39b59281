"""Drills: two hosts that share a storage folder, each with a Ray of its own, drive one sweep."""

import subprocess
from pathlib import Path

import psutil
import pytest
from drills import PATIENCE_S, ROOT, SMALL, Site, family, site, survived
from hosts import Host, network

pytestmark = pytest.mark.drill

SWEEP = (*SMALL, "--set", "data.max_images=90", "--set", "train.epochs=9", "--scheduler", "none", "--sweep", "night")
EPOCHS_LOST = 2 * 30
"""What two trials may repeat: all since their last checkpoints."""
LONG_S = 2 * PATIENCE_S


def drive_alone(place: Site, host: Host, *words: str) -> "subprocess.Popen[bytes]":
    """Start the sweep, or go on with it, with a Ray of the host's own; each host has a cache of its own."""
    log = place.storage / f"{host.name}.log"
    command = [str(ROOT / ".venv" / "bin" / "python"), "tune_main.py", *SWEEP, *words, "--storage", str(place.storage)]
    (place.storage / "driver.log").touch()  # shown by a wait that fails
    (host.folder / "c").mkdir(exist_ok=True)
    return host.start(*command, log=log, cwd=ROOT, BDDSEG_CACHE=str(host.folder / "c"), OMP_NUM_THREADS="1")


def test_a_host_that_was_frozen_ends_itself_when_another_has_taken_over(tmp_path: Path, template: Path) -> None:
    with network("one", "two") as (one, two), site(tmp_path, template) as place:
        older = drive_alone(place, one)
        place.await_that(lambda: len(place.epochs()) >= 3, LONG_S)
        frozen = [*family(older), psutil.Process(older.pid)]
        for process in frozen:
            process.suspend()
        newer = drive_alone(place, two)
        reported = len(place.epochs())
        place.await_that(lambda: len(place.epochs()) >= reported + 3, LONG_S)
        for process in frozen:
            process.resume()
        assert older.wait(LONG_S) == 3, said(place, one)
        assert newer.wait(LONG_S) == 0, said(place, two)
        line = said(place, one).splitlines()[-1]
        assert line.startswith("error: sweep night: attempt 2 (process ") and line.endswith("; attempt 1 ends")
        survived("host_frozen", place, 1, repeated_at_most=EPOCHS_LOST)


def test_a_process_that_still_runs_ends_itself_when_another_takes_over(tmp_path: Path, template: Path) -> None:
    with network("one", "two") as (one, two), site(tmp_path, template) as place:
        older = drive_alone(place, one)
        place.await_that(lambda: len(place.epochs()) >= 3, LONG_S)
        assert drive_alone(place, two).wait(LONG_S) == 2
        assert "error: sweep night is still running (process " in said(place, two)
        newer = drive_alone(place, two, "--take-over")
        assert older.wait(LONG_S) == 3, said(place, one)
        assert newer.wait(LONG_S) == 0, said(place, two)
        survived("take_over", place, 1, repeated_at_most=EPOCHS_LOST)


def said(place: Site, host: Host) -> str:
    return (place.storage / f"{host.name}.log").read_text(errors="replace")

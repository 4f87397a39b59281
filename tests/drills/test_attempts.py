"""Drills: two hosts that share a storage folder, each with a Ray of its own, drive one sweep."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from drills import CACHE, PATIENCE_S, ROOT, SMALL, Site, family, site, survived
from hosts import Host, network

pytestmark = pytest.mark.drill

SWEEP = (*SMALL, "--set", "data.max_images=90", "--set", "train.epochs=12", "--scheduler", "none", "--sweep", "night")
EPOCHS_LOST = 2 * 30
"""What two trials may repeat: all since their last checkpoints."""
LONG_S = 2 * PATIENCE_S


def drive_alone(place: Site, host: Host, *words: str) -> "subprocess.Popen[bytes]":
    """Start the sweep, or go on with it, on the host's own Ray."""
    (place.storage / "driver.log").touch()  # shown by a wait that fails
    command = [sys.executable, "tune_main.py", *SWEEP, *words, "--address", host.ray, "--storage", str(place.storage)]
    log = place.storage / f"{host.name}.log"
    return host.start(*command, log=log, cwd=ROOT, BDDSEG_CACHE=str(CACHE), OMP_NUM_THREADS="1")


@pytest.fixture(scope="module")
def hosts() -> Iterator[list[Host]]:
    """Two hosts, each with a Ray of its own."""
    with network("one", "two") as two_hosts:
        for host in two_hosts:
            host.start_head(cpus=2)
        yield two_hosts


def test_a_host_that_was_frozen_ends_itself_when_another_has_taken_over(
    tmp_path: Path, template: Path, hosts: list[Host]
) -> None:
    one, two = hosts
    with site(tmp_path, template) as place:
        older = drive_alone(place, one)
        place.await_that(lambda: len(place.epochs()) >= 3, LONG_S)
        frozen = [*family(older), psutil.Process(older.pid)]
        for process in frozen:
            process.suspend()
        reported = len(place.epochs())
        newer = drive_alone(place, two)
        place.await_that(lambda: len(place.epochs()) >= reported + 3, LONG_S)
        for process in frozen:
            process.resume()
        assert older.wait(LONG_S) == 3, said(place, one)
        assert newer.wait(LONG_S) == 0, said(place, two)
        line = said(place, one).splitlines()[-1]
        assert line.startswith("error: sweep night: attempt 2 (process ") and line.endswith("; attempt 1 ends")
        survived("host_frozen", place, 1, repeated_at_most=EPOCHS_LOST)


def test_a_process_that_still_runs_ends_itself_when_another_takes_over(
    tmp_path: Path, template: Path, hosts: list[Host]
) -> None:
    one, two = hosts
    with site(tmp_path, template) as place:
        older = drive_alone(place, one)
        place.await_that(lambda: len(place.epochs()) >= 3, LONG_S)
        newer = drive_alone(place, two, "--take-over")
        assert older.wait(LONG_S) == 3, said(place, one)
        assert newer.wait(LONG_S) == 0, said(place, two)
        survived("take_over", place, 1, repeated_at_most=EPOCHS_LOST)


def said(place: Site, host: Host) -> str:
    return (place.storage / f"{host.name}.log").read_text(errors="replace")

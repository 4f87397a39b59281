"""Drills: two processes drive one sweep, on two hosts whose clocks are apart by minutes; the newest alone writes.

A host is a set of namespaces: its own name, process table and network. Its clock is libfaketime's.
"""

import os
import shutil
import subprocess
import sys

import pytest
from drills import CACHE, PATIENCE_S, ROOT, Site, survived

HOST = ("unshare", "-n", "-p", "-m", "-u", "-f", "--mount-proc", "--kill-child", "bash", "-c")
DRIVER = "import os, runpy, sys; del os.environ['LD_PRELOAD']; del sys.argv[0]; sys.path.insert(0, os.getcwd()); \
runpy.run_path(sys.argv[0], run_name='__main__')"
"""Only the driver has the other clock: Ray's daemons do not start with the library."""
PREPARE = 'hostname "$0" && ip link set lo up && exec "$@"'
LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
NIGHT = ("--space", "smoke", "--profile", "quick", "--set", "data.max_images=90", "--set", "train.epochs=16",
         "--set", "train.precision=fp32", "--scheduler", "none", "--sweep", "night")  # fmt: skip
EPOCHS_LOST = 2 * 30
"""What two trials may repeat: all since their last checkpoints."""

pytestmark = [
    pytest.mark.drill,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="namespaces need root"),
    pytest.mark.skipif(not os.path.exists(LIBRARY), reason="Debian's faketime is not installed"),  # noqa: PTH110
]


def start(place: Site, host: str, clock_s: int, *words: str) -> subprocess.Popen[bytes]:
    """Start the sweep's one command on a host whose clock differs from ours by so many seconds."""
    clock = {"LD_PRELOAD": LIBRARY, "FAKETIME": f"{clock_s:+d}s", "DONT_FAKE_MONOTONIC": "1"}
    environment = os.environ | {"BDDSEG_CACHE": str(CACHE / host), "OMP_NUM_THREADS": "1"} | clock
    command = [
        *HOST,
        PREPARE,
        host,
        sys.executable,
        "-c",
        DRIVER,
        "tune_main.py",
        *NIGHT,
        *words,
        "--storage",
        str(place.storage),
    ]
    with (place.storage / "driver.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
    place.processes.append(process)
    return process


def test_a_retry_on_another_host_is_refused_or_takes_over_whatever_the_clocks_say(place: Site) -> None:
    first = start(place, "early", -600)
    place.await_epochs(4)
    assert start(place, "late", +420).wait(PATIENCE_S) == 2
    assert "error: sweep night is still running (process" in place.said() and first.poll() is None
    second = start(place, "late", +420, "--take-over")
    assert first.wait(PATIENCE_S) == 3
    assert " on late) has taken over; attempt 1 ends" in place.said()
    assert second.wait(PATIENCE_S) == 0, place.said()[-3000:]
    survived("take_over", place, 1, repeated_at_most=EPOCHS_LOST)

"""Limits of the system that are too tight for Ray: real ones, set for a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from users import NOBODY, needs_another_user, run_as

from sweeps.execution.system_limits import kernel_kills

ROOT = Path(__file__).resolve().parent.parent.parent
ASK = """
import resource, sys
from sweeps.errors import ClusterError
from sweeps.execution.system_limits import check_limits

name, value = sys.argv[1:]
resource.setrlimit(getattr(resource, name), (int(value), int(value)))
try:
    check_limits()
except ClusterError as error:
    print(error)
"""


@pytest.fixture
def control_group() -> Iterator[Path]:
    """A control group for as many processes and threads as one test wants."""
    folder = Path("/sys/fs/cgroup/pids") / f"bddseg-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / "pids.max").write_text("20")
    except OSError:
        pytest.skip("control groups cannot be made here")
    yield folder
    folder.rmdir()


def refused(name: str, value: int, *before: str) -> str:
    command = [*before, sys.executable, "-c", ASK, name, str(value)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def test_too_few_files_are_refused() -> None:
    assert refused("RLIMIT_NOFILE", 64) == (
        "a process may have 64 files open, but Ray needs 128: raise it with ulimit -n"
    )


def test_too_little_address_space_is_refused() -> None:
    assert refused("RLIMIT_AS", 6_000_000_000) == (
        "a process may address 6.0 GB, but Ray and torch need 7: raise it with ulimit -v"
    )


def test_limits_that_are_wide_enough_are_not_mentioned() -> None:
    assert (refused("RLIMIT_NOFILE", 256), refused("RLIMIT_AS", 12_000_000_000)) == ("", "")


@needs_another_user
def test_too_few_threads_of_a_user_are_refused() -> None:
    code, printed = run_as(NOBODY, "-c", ASK, "RLIMIT_NPROC", "100")
    assert code == 0 and " more processes and threads may be started (ulimit -u), but a sweep needs " in printed


def test_root_is_not_held_to_the_limit_of_threads() -> None:
    if os.getuid():
        pytest.skip("this is not root")
    assert refused("RLIMIT_NPROC", 100) == ""


def test_too_few_threads_of_a_control_group_are_refused(control_group: Path) -> None:
    command = ("sh", "-c", f'echo $$ > {control_group}/cgroup.procs && exec "$0" "$@"')
    assert f"may be started (the control group's {control_group}/pids.max)" in refused("RLIMIT_NOFILE", 256, *command)


def test_processes_that_the_kernel_killed_are_counted() -> None:
    group = Path("/sys/fs/cgroup/memory") / f"bddseg-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(2**27))
    except OSError:
        pytest.skip("control groups cannot be made here")
    count = "import sys; sys.path.insert(0, '.'); from sweeps.execution.system_limits import kernel_kills as count;"
    count += " print(count())"
    hog = f"{sys.executable} -c 'bytearray(2**28)'"
    enter = f"echo $$ > {group}/cgroup.procs; (echo 1000 > /proc/self/oom_score_adj; exec {hog}); "
    command = ["sh", "-c", f'{enter} exec {sys.executable} -c "{count}"']
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    group.rmdir()
    assert printed == "1\n" and kernel_kills() >= 0

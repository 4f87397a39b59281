"""Usable cores of a process: each limit is a real one where the system allows it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bddseg.cores import JOB_VARIABLES, core_limit, describe_cores, group_quotas, usable_cores

ROOT = Path(__file__).resolve().parent.parent.parent
ASK = "from bddseg.cores import describe_cores, usable_cores; print(usable_cores(), describe_cores())"
CPU_GROUPS = Path("/sys/fs/cgroup/cpu")

needs_two_cores = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="this machine has one core")


@pytest.fixture(autouse=True)
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in JOB_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def asked(*before: str) -> str:
    """Return what a process of its own says, started by other commands."""
    command = [*before, sys.executable, "-c", ASK]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def half_a_core() -> Iterator[Path]:
    """A control group whose processes may use half a core."""
    folder = CPU_GROUPS / f"bddseg-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / "cpu.cfs_quota_us").write_text("50000")
    except OSError:
        pytest.skip("control groups cannot be made here")
    yield folder
    folder.rmdir()


@needs_two_cores
def test_a_process_pinned_to_one_core_may_use_one() -> None:
    assert asked("taskset", "-c", "0") == f"1 1 of {os.cpu_count()} cores (CPU affinity)"


@needs_two_cores
def test_a_quota_of_half_a_core_counts_as_one_core(half_a_core: Path) -> None:
    command = ("sh", "-c", f'echo $$ > {half_a_core}/cgroup.procs && exec "$0" "$@"')
    assert asked(*command) == f"1 1 of {os.cpu_count()} cores (quota of the control group)"


@needs_two_cores
@pytest.mark.parametrize("name", JOB_VARIABLES)
def test_the_cores_of_a_batch_job_are_a_limit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    assert (core_limit().cores, core_limit().source) == (1, name)


@pytest.mark.parametrize("value", ["", "0", "many", "-1", "16(x2)"])
def test_a_job_variable_that_is_no_number_of_cores_is_no_limit(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = usable_cores()
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", value)
    assert usable_cores() == before


def test_a_job_variable_cannot_add_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    before = usable_cores()
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "9999")
    assert usable_cores() == before


def test_without_a_limit_all_cores_are_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bddseg.cores.group_quotas", lambda: iter(()))
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: range(8))
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert describe_cores() == "8 cores"


def test_a_quota_of_the_second_version_is_read_in_every_group_up_to_the_mount(tmp_path: Path) -> None:
    inner = tmp_path / "groups" / "jobs" / "mine"
    inner.mkdir(parents=True)
    (inner / "cpu.max").write_text("max 100000\n")
    (inner.parent / "cpu.max").write_text("250000 100000\n")
    (tmp_path / "self").write_text("0::/jobs/mine\n")
    assert list(group_quotas(tmp_path / "self", tmp_path / "groups")) == [2.5]


def test_a_quota_is_found_where_a_container_sees_another_path(tmp_path: Path) -> None:
    (tmp_path / "groups" / "cpu,cpuacct").mkdir(parents=True)
    for name, value in (("quota", "150000"), ("period", "100000")):
        (tmp_path / "groups" / "cpu,cpuacct" / f"cpu.cfs_{name}_us").write_text(f"{value}\n")
    (tmp_path / "self").write_text("4:memory:/\n2:cpu,cpuacct:/docker/1f2e\n")
    assert list(group_quotas(tmp_path / "self", tmp_path / "groups")) == [1.5]

"""Number of usable CPU cores: the machine's, limited by CPU affinity, control groups and batch job."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

JOB_VARIABLES = ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "NSLOTS", "NCPUS", "LSB_DJOB_NUMPROC")
"""Cores of a job as Slurm, Grid Engine, PBS and LSF announce them; not every site also enforces them."""

GROUPS_OF_PROCESS, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class CoreLimit:
    """A limit on the number of cores and its source."""

    cores: int
    source: str
    """"" for the machine itself."""


def usable_cores() -> int:
    """Return how many cores this process may use, at least 1."""
    return core_limit().cores


def core_limit() -> CoreLimit:
    """Return the tightest limit on the cores of this process."""
    return min(_limits(), key=lambda limit: limit.cores)


def describe_cores() -> str:
    """Return how many cores there are, or how many of them may be used and why: `1 of 2 cores (CPU affinity)`."""
    limit, machine = core_limit(), os.cpu_count() or 1
    if not limit.source:
        return f"{machine} core{'s' * (machine != 1)}"
    return f"{limit.cores} of {machine} cores ({limit.source})"


def _limits() -> Iterator[CoreLimit]:
    yield CoreLimit(os.cpu_count() or 1, "")
    if hasattr(os, "sched_getaffinity"):
        yield CoreLimit(len(os.sched_getaffinity(0)), "CPU affinity")
    for quota in group_quotas():
        yield CoreLimit(max(1, math.floor(quota)), "quota of the control group")
    for name in JOB_VARIABLES:
        value = os.environ.get(name, "")
        if value.isdecimal() and int(value) > 0:
            yield CoreLimit(int(value), name)


def group_quotas(process: Path = GROUPS_OF_PROCESS, groups: Path = GROUPS) -> Iterator[float]:
    """Yield the CPU quota of each control group that this process is in, in cores; both versions of the interface.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst (cpu.cfs_quota_us).
    """
    for folder in group_folders("cpu", process, groups):
        if quota := _quota(folder):
            yield quota


def group_folders(controller: str, process: Path = GROUPS_OF_PROCESS, groups: Path = GROUPS) -> Iterator[Path]:
    """Yield the folders of the control groups that this process is in for a controller, each before those above it.

    A container may not see the lower ones: such a folder is not there.
    """
    try:
        lines = process.read_text().splitlines()
    except OSError:  # no Linux, or no /proc
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mounts = (groups, groups / "unified")
        elif controller in controllers.split(","):
            mounts = (groups / controllers, groups / controller)
        else:
            continue
        for mount in mounts:
            group = mount / path.strip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(mount))


def _quota(folder: Path) -> float:
    """Return a group's quota in cores; 0 where it has none."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return max(0.0, int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # "max", or -1, or no such file: not limited here
        return 0.0

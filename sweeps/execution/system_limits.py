"""Limits of the system on files, threads and address space, checked before Ray starts, and kills for lack of memory.

Under limits that are too low, Ray hangs, its daemons crash during a sweep, or it aborts this process.
"""

import contextlib
import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path

import psutil

from bddseg.cores import describe_cores, group_folders, usable_cores
from sweeps.errors import ClusterError

FILES = 128
"""Open files that one process needs. Measured on two cores: with 64 a daemon crashes, with 128 sweeps run; the maximum
was 66."""

ADDRESSES_GB = 7.0
"""Address space that one process needs. Measured: with 6.1 GB this process is aborted, with 7.2 sweeps run."""

THREADS, THREADS_PER_CORE = 150, 30
"""Threads of Ray's daemons and this process, and of a trial's process. Measured on two cores: 206 in total."""

MACHINE_COUNTERS = Path("/proc/vmstat")
KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def check_limits() -> None:
    """Check that the limits are high enough for Ray.

    Raises:
        ClusterError: naming the limit, the required value and a remedy.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # Ray raises the soft limit to the hard one
    if resource.RLIM_INFINITY != files < FILES:
        raise ClusterError(f"a process may have {files} files open, but Ray needs {FILES}: raise it with ulimit -n")
    addresses = resource.getrlimit(resource.RLIMIT_AS)[0]
    if resource.RLIM_INFINITY != addresses < ADDRESSES_GB * 1e9:
        raise ClusterError(
            f"a process may address {addresses / 1e9:.1f} GB, but Ray and torch need {ADDRESSES_GB:g}: raise it with "
            "ulimit -v"
        )
    needed = THREADS + THREADS_PER_CORE * usable_cores()
    for free, name in _free_threads():
        if free < needed:
            raise ClusterError(
                f"{free} more processes and threads may be started ({name}), but a sweep needs {needed} on "
                f"{describe_cores()}: raise the limit, or use fewer cores with taskset"
            )


def kernel_kills() -> int:
    """Return the number of processes that the kernel killed for lack of memory, in our control group or the machine."""
    counters = [folder / name for folder in group_folders("memory") for name in ("memory.events", "memory.oom_control")]
    for path in (*counters, MACHINE_COUNTERS):
        with contextlib.suppress(OSError):
            if count := KILLS.search(path.read_text()):
                return int(count[1])
    return 0


def _free_threads() -> Iterator[tuple[int, str]]:
    """Yield how many more threads each limit allows, and the limit's name."""
    allowed = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if allowed != resource.RLIM_INFINITY and os.getuid():  # it does not apply to root
        yield max(0, allowed - _own_threads()), "ulimit -u"
    for folder in group_folders("pids"):
        with contextlib.suppress(OSError, ValueError):  # "max", or a group that has no limit
            allowed, used = (int((folder / name).read_text()) for name in ("pids.max", "pids.current"))
            yield max(0, allowed - used), f"the control group's {folder / 'pids.max'}"


def _own_threads() -> int:
    """Return the number of threads of this user on the machine."""
    return sum(
        process.info["num_threads"] or 0
        for process in psutil.process_iter(["uids", "num_threads"])
        if process.info["uids"] and process.info["uids"].real == os.getuid()
    )

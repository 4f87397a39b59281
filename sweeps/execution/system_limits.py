"""What the system lets a process have: files, threads and addresses, checked before a Ray is started, and memory.

Where they are too few, Ray waits for ever, its daemons crash in the middle of a sweep, or it aborts this process.
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
"""Files that one process may have open. Measured on two cores: with 64 a daemon crashes, with 128 sweeps run; the most
was 66."""

ADDRESSES_GB = 7.0
"""Address space of one process. Measured: with 6.1 GB this process is aborted, with 7.2 sweeps run."""

THREADS, THREADS_PER_CORE = 150, 30
"""Threads of Ray's daemons and this process, and of a trial's process. Measured on two cores: 206 in all."""

MACHINE_COUNTERS = Path("/proc/vmstat")
KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def check_limits() -> None:
    """Refuse to start a Ray under limits that are too tight for it.

    Raises:
        ClusterError: naming the limit, what is needed, and the cure.
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
    """Return how many processes the kernel has killed for lack of memory: in our control group, or on the machine."""
    counters = [folder / name for folder in group_folders("memory") for name in ("memory.events", "memory.oom_control")]
    for path in (*counters, MACHINE_COUNTERS):
        with contextlib.suppress(OSError):
            if count := KILLS.search(path.read_text()):
                return int(count[1])
    return 0


def _free_threads() -> Iterator[tuple[int, str]]:
    """Yield how many more threads each limit allows, and the limit's name."""
    allowed = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if allowed != resource.RLIM_INFINITY and os.getuid():  # the system does not hold root to it
        yield max(0, allowed - _own_threads()), "ulimit -u"
    for folder in group_folders("pids"):
        with contextlib.suppress(OSError, ValueError):  # "max", or a group that has no limit
            allowed, used = (int((folder / name).read_text()) for name in ("pids.max", "pids.current"))
            yield max(0, allowed - used), f"the control group's {folder / 'pids.max'}"


def _own_threads() -> int:
    """Return how many threads this user has on the machine."""
    return sum(
        process.info["num_threads"] or 0
        for process in psutil.process_iter(["uids", "num_threads"])
        if process.info["uids"] and process.info["uids"].real == os.getuid()
    )

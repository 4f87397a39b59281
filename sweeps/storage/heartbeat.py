"""The heartbeat file of a sweep: which process drives it, and when that process was last alive."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from bddseg.files import read_json, write_json
from bddseg.json_shapes import difference
from sweeps.errors import StorageError

log = logging.getLogger(__name__)

FILE = "heartbeat.json"
BEAT_SECONDS = 10
WATCH_SECONDS, LOOK_SECONDS = 45, 1
"""A driver on another machine counts as lost when its heartbeat has not changed while it was watched for so long, by
the clock of the watcher: the clocks of two machines may differ by minutes."""
MOST_WATCHED = 64
"""How many heartbeats are watched at the same time."""

SHAPE = {"pid": int, "process_started": float, "host": str, "machine": str, "time": float}
LARGEST_PID, LATEST_TIME = 2**31 - 1, 2**43
"""The largest values that a system gives; greater ones are damage."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROCESSES = Path("/proc/self/ns/pid")


@dataclass(frozen=True)
class HeartbeatRecord:
    """The content of a heartbeat file."""

    pid: int
    process_started: float
    """Seconds since 1970; distinguishes a process from a later one with the same number."""
    host: str
    machine: str
    """Host, boot and process table: where they are equal, process numbers mean the same processes."""
    time: float
    """Seconds since 1970."""

    @property
    def driver(self) -> str:
        return f"process {self.pid} on {self.host}"

    def is_own(self) -> bool:
        """Return whether it is the heartbeat of this process."""
        return self.pid == os.getpid() and self.machine == this_machine()

    def is_alive(self) -> bool:
        """Return whether the process is running; one on another machine counts as running, see `is_silent`."""
        if self.machine != this_machine():
            return bool(self.machine)
        try:
            process = psutil.Process(self.pid)
            is_same = abs(process.create_time() - self.process_started) < 1  # the clock may have been set since
            return is_same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


SILENT = HeartbeatRecord(0, 0.0, "an unknown host", "", 0.0)


class Heartbeat:
    """Rewrites the heartbeat file of a sweep in a daemon thread while the context lasts; a clean end removes it.

    Args:
        folder: of the sweep.
        is_over: asked before each beat whether another process has taken over, whose file it then is.
    """

    def __init__(self, folder: Path, is_over: Callable[[], bool] = lambda: False) -> None:
        self._folder, self._is_over = folder, is_over
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        write_pulse(self._folder, this_pulse())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        if not self._is_over():
            remove_pulse(self._folder)

    def _loop(self) -> None:
        while not self._stopping.wait(BEAT_SECONDS):
            if self._is_over():
                return
            try:
                write_pulse(self._folder, this_pulse())
            except OSError as error:  # a disk that fails for a while must not end the beat
                log.debug("no heartbeat in %s: %s", self._folder, error)


def this_pulse() -> HeartbeatRecord:
    """Return the heartbeat of this process, now."""
    started = psutil.Process().create_time()
    return HeartbeatRecord(os.getpid(), started, socket.gethostname(), this_machine(), time.time())


def this_machine() -> str:
    """Return an id of this host, boot and process table, within which a process number means one process."""
    boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else str(int(psutil.boot_time()))
    table = str(PROCESSES.readlink()) if PROCESSES.is_symlink() else ""
    return f"{socket.gethostname()} {boot} {table}".strip()


def read_pulse(folder: Path) -> HeartbeatRecord | None:
    """Return the heartbeat of a sweep; None where there is no file, because the sweep ended properly.

    A damaged file counts as the heartbeat of a driver that is lost.

    Raises:
        StorageError: when the file cannot be read.
    """
    path = folder / FILE
    try:
        content = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError:
        return SILENT
    if difference(content, SHAPE) or not 0 <= content["pid"] <= LARGEST_PID or not 0 <= content["time"] <= LATEST_TIME:
        return SILENT
    return HeartbeatRecord(**{name: content[name] for name in SHAPE})


def is_elsewhere(folder: Path) -> bool:
    """Return whether the last driver of a sweep, if it has not ended properly, was on another machine."""
    pulse = read_pulse(folder)
    return pulse is not None and pulse.machine not in ("", this_machine())


def is_silent(folder: Path, seconds: float | None = None, over: threading.Event | None = None) -> bool:
    """Return whether no process drives a sweep: the one of its heartbeat is dead, or silent while it is watched.

    On this machine the answer is immediate. A heartbeat from elsewhere is watched until it changes, `over` is set, or
    the seconds are over (`WATCH_SECONDS`).
    """
    first = read_pulse(folder)
    if first is None or not first.is_alive():
        return True
    if first.machine == this_machine():
        return False
    deadline = time.monotonic() + (WATCH_SECONDS if seconds is None else seconds)
    over = over or threading.Event()
    while time.monotonic() < deadline and not over.wait(LOOK_SECONDS):
        if (pulse := read_pulse(folder)) != first:
            return pulse is None
    return True


class Watches:
    """Heartbeats of several sweeps, watched at the same time: one after the other, each lost driver costs 45 s."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(MOST_WATCHED, "watch")
        self._answers = {folder: self._pool.submit(_watch, folder, self._over) for folder in folders}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._pool.shutdown(cancel_futures=True)

    def is_silent(self, folder: Path) -> bool:
        """Return whether no process drives a sweep, nor has one started since its heartbeat was watched.

        Raises:
            StorageError: when the heartbeat cannot be read.
        """
        pulse, was_silent = self._answers[folder].result()
        return was_silent and (read_pulse(folder) == pulse or is_silent(folder))


def _watch(folder: Path, over: threading.Event) -> tuple[HeartbeatRecord | None, bool]:
    pulse = read_pulse(folder)
    return pulse, is_silent(folder, over=over)


def write_pulse(folder: Path, pulse: HeartbeatRecord) -> None:
    """Write the heartbeat file whole or not at all."""
    write_json(folder / FILE, asdict(pulse))


def remove_pulse(folder: Path) -> None:
    """Remove the heartbeat file: no process drives the sweep any more."""
    (folder / FILE).unlink(missing_ok=True)

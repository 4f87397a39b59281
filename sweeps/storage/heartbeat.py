"""A small file in a sweep's folder that says which process drives the sweep, and that it is alive."""

import logging
import os
import socket
import threading
import time
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
SILENT_SECONDS = 120
"""A driver on another machine that has been silent for so long is lost."""

SHAPE = {"pid": int, "process_started": float, "host": str, "machine": str, "time": float}
LARGEST_PID, LATEST_TIME = 2**31 - 1, 2**43
"""What a system gives; greater numbers are damage."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROCESSES = Path("/proc/self/ns/pid")


@dataclass(frozen=True)
class HeartbeatRecord:
    """What a heartbeat file says."""

    pid: int
    process_started: float
    """Seconds since 1970; tells a process from a later one of the same number."""
    host: str
    machine: str
    """Host, boot and process table: within one, process numbers can be looked up."""
    time: float
    """Seconds since 1970."""

    @property
    def driver(self) -> str:
        return f"process {self.pid} on {self.host}"

    def is_own(self) -> bool:
        """Return whether it is the pulse of this process."""
        return self.pid == os.getpid() and self.machine == this_machine()

    def is_alive(self) -> bool:
        """Return whether the process runs; on another machine: whether it has been heard of lately."""
        if self.machine != this_machine():
            return time.time() - self.time < SILENT_SECONDS
        try:
            process = psutil.Process(self.pid)
            is_it = abs(process.create_time() - self.process_started) < 1  # the clock may have been set since
            return is_it and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


SILENT = HeartbeatRecord(0, 0.0, "an unknown host", "", 0.0)


class Heartbeat:
    """Keeps the file of a sweep fresh, in a daemon thread, while the context lasts; a clean end removes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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
        remove_pulse(self._folder)

    def _loop(self) -> None:
        while not self._stopping.wait(BEAT_SECONDS):
            try:
                write_pulse(self._folder, this_pulse())
            except OSError as error:  # a disk that fails for a while must not end the beat
                log.debug("no heartbeat in %s: %s", self._folder, error)


def this_pulse() -> HeartbeatRecord:
    """Return the pulse of this process, now."""
    started = psutil.Process().create_time()
    return HeartbeatRecord(os.getpid(), started, socket.gethostname(), this_machine(), time.time())


def this_machine() -> str:
    """Return a name under which process numbers mean the same processes."""
    boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else str(int(psutil.boot_time()))
    table = str(PROCESSES.readlink()) if PROCESSES.is_symlink() else ""
    return f"{socket.gethostname()} {boot} {table}".strip()


def read_pulse(folder: Path) -> HeartbeatRecord | None:
    """Return what the heartbeat file of a sweep says; None where there is none: the sweep ended by itself.

    A damaged file says nothing of a driver that lives: it is as silent as it can be.

    Raises:
        StorageError: when the system does not give the file.
    """
    path = folder / FILE
    try:
        said = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError:
        return SILENT
    if difference(said, SHAPE) or not 0 <= said["pid"] <= LARGEST_PID or not 0 <= said["time"] <= LATEST_TIME:
        return SILENT
    return HeartbeatRecord(**{name: said[name] for name in SHAPE})


def write_pulse(folder: Path, pulse: HeartbeatRecord) -> None:
    """Write the heartbeat file whole or not at all."""
    write_json(folder / FILE, asdict(pulse))


def remove_pulse(folder: Path) -> None:
    """Say that nobody drives the sweep any more."""
    (folder / FILE).unlink(missing_ok=True)

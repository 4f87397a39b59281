"""An append-only file of lines that several processes may write to, synced as often as the disk allows."""

import contextlib
import fcntl
import os
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

from bddseg.files import make_folder, sync_folder

BLOCK_BYTES = 1 << 16
RETRY_SECONDS = 0.5

SLOW_SECONDS = 0.02
"""After a sync that took longer than this, the next one is put off: events gather, and are synced together."""

REST, LONGEST_REST_SECONDS = 10, 1.0
"""It is put off for so many times as long as the last one took, and at most for so long."""

NAMES_ABOVE = 3
"""Folders above a new file that may be new too: the sweep's, the storage folder, and the one that contains it."""

READABLE = 0o666
"""Mode of a new file, less the umask."""


class AppendFile:
    """Appends lines, each with a single write(2), and cuts the torn last line of a process that was killed.

    Args:
        path: the file; it and its folder are created where they do not exist.
        patience_seconds: for how long every append retries while the disk fails.

    Raises:
        OSError: when the file cannot be created or opened.
    """

    def __init__(self, path: Path, patience_seconds: float = 0.0) -> None:
        self.path = path
        self._patience_seconds = patience_seconds
        self._in_process = threading.Lock()
        self._syncing = threading.Lock()
        self._next_sync = 0.0
        self._later: threading.Timer | None = None
        make_folder(path.parent)
        is_new = not path.exists()
        self._handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, READABLE)
        weakref.finalize(self, os.close, self._handle)
        for folder in path.parents[: NAMES_ABOVE + 1] if is_new else ():
            sync_folder(folder)
        self._cut_torn_line()

    def append(self, line: bytes) -> None:
        """Append a line.

        Raises:
            OSError: when the disk fails or is full; nothing of the line is left then.
        """
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                return self._write(line)
            except OSError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(RETRY_SECONDS)

    def sync(self) -> None:
        """Put on the disk whatever has been appended.

        Raises:
            OSError: when the disk fails.
        """
        with self._syncing:
            started = time.monotonic()
            os.fdatasync(self._handle)
            ended = time.monotonic()
            rest_seconds = min(REST * (ended - started), LONGEST_REST_SECONDS)
            self._next_sync = ended + rest_seconds if ended - started > SLOW_SECONDS else 0.0

    def sync_soon(self) -> None:
        """Put what was appended on the disk: now, or within a second where the disk is slow."""
        wait = self._next_sync - time.monotonic()
        if wait <= 0:
            self._sync_quietly()
        elif self._later is None or not self._later.is_alive():
            self._later = threading.Timer(wait, self._sync_quietly)
            self._later.daemon = True
            self._later.start()

    def _sync_quietly(self) -> None:
        with contextlib.suppress(OSError):  # the line is written; the next sync, or a retry, meets the fault
            self.sync()

    def _write(self, line: bytes) -> None:
        with self._locked():
            size = os.fstat(self._handle).st_size
            if os.write(self._handle, line) != len(line):
                os.ftruncate(self._handle, size)
                raise OSError(f"{self.path}: no room for an event of {len(line)} bytes")

    def _cut_torn_line(self) -> None:
        """Cut what follows the last newline: its writer was killed in the middle of it."""
        with self._locked():
            end = _end_of_lines(self._handle)
            if end < os.fstat(self._handle).st_size:
                os.ftruncate(self._handle, end)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the file for as long as the context lasts, against threads and against other processes.

        The lock is on the file itself: a lock file beside it would be opened and closed once per event.
        """
        with self._in_process:
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._handle, fcntl.LOCK_UN)


def _end_of_lines(handle: int) -> int:
    """Return the offset behind the last newline of a file, 0 when it has none."""
    end = os.fstat(handle).st_size
    while end > 0:
        begin = max(0, end - BLOCK_BYTES)
        newline = os.pread(handle, end - begin, begin).rfind(b"\n")
        if newline >= 0:
            return begin + newline + 1
        end = begin
    return 0

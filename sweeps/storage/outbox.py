"""The event file of a sweep, written: append-only, with a cursor for what MLflow has.

An event outlives its process as soon as `append` returns. It outlives a loss of power as well, unless the disk is so
slow that events are synced together: then the last second of them may be lost. What is lost is the end of the file,
never its middle.
"""

import contextlib
import fcntl
import json
import os
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bddseg.files import make_folder, strict, sync_folder, write_file, write_json
from sweeps.errors import StorageError
from sweeps.storage.events import CURSOR, OUTBOX, PARENT, REJECTED, UPLOADS, Event, EventFile
from sweeps.storage.relocation import portable_path

__all__ = ["OUTBOX", "PARENT", "PATIENCE_SECONDS", "RETRY_SECONDS", "Event", "EventFile", "Outbox"]

BLOCK_BYTES = 1 << 16
PATIENCE_SECONDS = 60
"""How long a sweep waits for a disk that fails before it gives up."""

RETRY_SECONDS = 0.5

SLOW_SECONDS = 0.02
"""A disk that takes longer than this to sync rests for `REST` times as long, during which events gather."""

REST, LONGEST_REST_SECONDS = 10, 1.0
NAMES_ABOVE = 3
"""Folders above a new event file that may be new too: the sweep's, the storage folder, the one around it."""

READABLE = 0o666
"""Less the umask."""


class Outbox(EventFile):
    """The event file of one sweep. Several may append, one delivers.

    A disk that fails is tried again for `patience_seconds`, at every `append`.

    Raises:
        StorageError: when the folder cannot be made or written.
    """

    def __init__(self, folder: Path, patience_seconds: float = 0.0) -> None:
        super().__init__(folder)
        self._patience_seconds = patience_seconds
        self._in_process = threading.Lock()
        self._syncing = threading.Lock()
        self._next_sync = 0.0
        self._later: threading.Timer | None = None
        try:
            make_folder(self.folder)
            is_new = not self.path.exists()
            self._handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, READABLE)
            for folder in (self.folder, *self.folder.parents[:NAMES_ABOVE]) if is_new else ():
                sync_folder(folder)
        except OSError as error:
            why = f"{self.folder} cannot be written ({error.strerror}): choose another --storage"
            raise StorageError(why) from error
        weakref.finalize(self, os.close, self._handle)
        self._cut_torn_line()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Be the only one, of all processes, who delivers from here, for as long as the context lasts.

        Raises:
            StorageError: at once, when another process does.
        """
        try:
            handle = os.open(self.folder / "outbox.lock", os.O_RDWR | os.O_CREAT, READABLE)
        except OSError as error:
            raise StorageError(f"{self.folder} cannot be locked ({error.strerror})") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if isinstance(error, BlockingIOError):
                raise StorageError(f"{self.folder} is being delivered by another process") from error
            raise StorageError(f"{self.folder} cannot be locked ({error.strerror})") from error
        try:
            yield
        finally:
            os.close(handle)

    def append(self, event: Event) -> None:
        """Add an event with a single write(2): a killed process leaves all of it or a torn last line, cut later.

        Raises:
            ValueError, TypeError: when the event is not plain JSON (NaN is None).
            OSError: when the disk fails or is full; nothing of the event is left then.
        """
        self.extend([event])

    def extend(self, events: Iterable[Event], *, is_synced: bool = True) -> None:
        """Add events one after another, and put them on the disk together, or leave that to `sync`; see `append`."""
        for event in events:
            self._patiently(self._line(event))
        if is_synced:
            self._sync_soon()

    def sync(self) -> None:
        """Put on the disk whatever has been appended.

        Raises:
            OSError: when the disk fails.
        """
        with self._syncing:
            began = time.monotonic()
            os.fdatasync(self._handle)
            ended = time.monotonic()
            rest = min(REST * (ended - began), LONGEST_REST_SECONDS)
            self._next_sync = ended + rest if ended - began > SLOW_SECONDS else 0.0

    def commit(self, offset: int) -> None:
        """Move the cursor: everything before the offset is delivered, but for its files."""
        self.sync()  # a cursor that outlives the events before it would hide those that come after
        write_file(self.folder / CURSOR, str(offset))

    def save_uploads(self, offset: int, waiting: Sequence[tuple[Event, str]]) -> None:
        """Note how far the files have come; see `Uploads`."""
        listed = [[self._portable(event), why] for event, why in waiting]
        write_json(self.folder / UPLOADS, {"offset": offset, "waiting": listed})

    def reject(self, refused: Sequence[tuple[Event, str]]) -> None:
        """Put aside events that can never be delivered, with the reason; each once, however often it is refused."""
        known = self.rejects()
        texts = {json.dumps(line["event"]) for line in known}
        new = [(event, why) for event, why in refused if json.dumps(event) not in texts]
        if new:
            self.save_rejects([*((line["event"], str(line["why"])) for line in known), *new])

    def save_rejects(self, rejected: Sequence[tuple[Event, str]]) -> None:
        """Keep these events aside, and no others."""
        listed = [strict({"why": why, "event": self._portable(event)}) for event, why in rejected]
        lines = [json.dumps(line, allow_nan=False) + "\n" for line in listed]
        if lines:
            write_file(self.folder / REJECTED, "".join(lines))
        else:
            (self.folder / REJECTED).unlink(missing_ok=True)

    def _line(self, event: Event) -> bytes:
        return json.dumps(self._portable(event), separators=(",", ":"), allow_nan=False).encode() + b"\n"

    def _portable(self, event: Event) -> Event:
        path = event.get("path")
        return event | {"path": portable_path(path, self.folder.parent)} if isinstance(path, str) else event

    def _patiently(self, line: bytes) -> None:
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                return self._append(line)
            except OSError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(RETRY_SECONDS)

    def _append(self, line: bytes) -> None:
        with self._alone():
            before = os.fstat(self._handle).st_size
            if os.write(self._handle, line) != len(line):
                os.ftruncate(self._handle, before)
                raise OSError(f"{self.path}: no room for an event of {len(line)} bytes")

    def _sync_soon(self) -> None:
        """Put what was appended on the disk now; on a slow disk that was asked just before, within a second."""
        wait = self._next_sync - time.monotonic()
        if wait <= 0:
            with contextlib.suppress(OSError):  # the event is written; the next sync, or a retry, meets the fault
                self.sync()
        elif self._later is None or not self._later.is_alive():
            self._later = threading.Timer(wait, self._sync_quietly)
            self._later.daemon = True
            self._later.start()

    def _sync_quietly(self) -> None:
        with contextlib.suppress(OSError):
            self.sync()

    def _cut_torn_line(self) -> None:
        """Cut what follows the last newline: the writer was killed in the middle of it."""
        with self._alone():
            end = _end_of_lines(self._handle)
            if end < os.fstat(self._handle).st_size:
                os.ftruncate(self._handle, end)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the file for as long as the context lasts, against threads and against other processes."""
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

"""Append-only event file with a cursor: what a sweep measured, kept until MLflow has it, also after kill -9.

An event is one JSON object on one line. Fields of every event: `kind`, `trial` ("" is the sweep's own parent run) and
`time_ms`. By kind:

    start      name: str, params: {setting: value}, tags: {str: str}      again on a retry: the run goes on
    epoch      step: int (from 1), metrics: {name: number or None}        None is NaN
    end        status: FINISHED | KILLED | FAILED, tags, metrics, step, note: str or None (Markdown)
    artifact   path: absolute file to upload, folder: artifact folder ("" is the top)

An event outlives its process as soon as `append` returns. It outlives a loss of power once it is delivered, or the disk
was told to write (`commit` does); what a loss of power takes is the end of the file, never its middle.
"""

import fcntl
import json
import os
import re
import threading
import time
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bddseg.files import write_file
from sweeps.errors import StorageError

Event = dict[str, Any]

PARENT = ""
"""The trial of an event that concerns the sweep as a whole."""

TRIAL, EPOCH = re.compile(rb'"trial":"([^"]*)"'), b'"kind":"epoch"'
"""As `append` writes them; within a text their quotes would have a backslash."""

BLOCK_BYTES = 1 << 16
PATIENCE_SECONDS = 60
"""How long a sweep waits for a disk that fails before it gives up."""

RETRY_SECONDS = 0.5


class Outbox:
    """The event file of one sweep. Several may append, one delivers.

    A disk that fails is tried again for `patience_seconds`, at every `append`.

    Raises:
        StorageError: when the folder cannot be made or written.
    """

    def __init__(self, folder: Path, patience_seconds: float = 0.0) -> None:
        self.folder = Path(folder).absolute()
        self._path = self.folder / "outbox.jsonl"
        self._cursor = self.folder / "outbox.cursor"
        self._rejected = self.folder / "outbox.rejected.jsonl"
        self._patience_seconds = patience_seconds
        self._refused: set[str] | None = None
        self._in_process = threading.Lock()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            why = f"{self.folder} cannot be written ({error.strerror}): choose another --storage"
            raise StorageError(why) from error
        weakref.finalize(self, os.close, self._handle)
        self._cut_torn_line()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Be the only one, of all processes, who delivers from here, for as long as the context lasts.

        Raises:
            StorageError: at once, when somebody else does.
        """
        lock = FileLock(self.folder / "outbox.lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise StorageError(f"{self.folder} is being delivered by another process") from error
        except OSError as error:
            raise StorageError(f"{self.folder} cannot be locked ({error.strerror})") from error
        try:
            yield
        finally:
            lock.release()

    def append(self, event: Event) -> None:
        """Add an event with a single write(2): a killed process leaves all of it or a torn last line, cut later.

        Raises:
            ValueError, TypeError: when the event is not plain JSON (NaN is None).
            OSError: when the disk fails or is full; nothing of the event is left then.
        """
        line = json.dumps(event, separators=(",", ":"), allow_nan=False).encode() + b"\n"
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
                raise OSError(f"{self._path}: no room for an event of {len(line)} bytes")

    def read(self, limit: int) -> tuple[list[Event], int]:
        """Return up to `limit` events that follow the cursor, and the offset to commit once they are delivered.

        A line that is no JSON object comes back as an event of kind "unreadable".
        """
        events: list[Event] = []
        offset = self._committed()
        with self._path.open("rb") as file:
            file.seek(offset)
            while len(events) < limit and (line := file.readline()).endswith(b"\n"):
                offset += len(line)
                events.append(self._at_home(_event(line)))
        return events, offset

    def commit(self, offset: int) -> None:
        """Move the cursor: everything before the offset is delivered."""
        os.fdatasync(self._handle)  # a cursor that outlives the events before it would hide those that come after
        write_file(self._cursor, str(offset))

    def reject(self, event: Event, why: str) -> None:
        """Put aside an event that can never be delivered, with the reason; once, however often it is refused."""
        if self._refused is None:
            self._refused = {json.dumps(known.get("event")) for known in self.rejects()}
        text = json.dumps(event)
        if text in self._refused:
            return
        self._refused.add(text)
        handle = os.open(self._rejected, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, json.dumps({"why": why, "event": event}).encode() + b"\n")
        finally:
            os.close(handle)

    def rejects(self) -> list[dict[str, Any]]:
        """Return what was put aside: `why` and `event` of each."""
        if not self._rejected.exists():
            return []
        lines = (_event(line) for line in self._rejected.read_bytes().splitlines())
        return [line for line in lines if "why" in line]

    def events(self, trials: Collection[str] | None = None, *, epochs: bool = True) -> Iterator[Event]:
        """Yield every event, delivered or not, from the first; or only those of some trials, or all but the epochs.

        What is not asked for is told by its bytes, and costs a tenth.
        """
        wanted = None if trials is None else {trial.encode() for trial in trials}
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n") or (not epochs and EPOCH in line):
                    continue
                named = TRIAL.search(line) if wanted is not None else None
                if wanted is None or (named and named[1] in wanted):
                    yield _event(line)

    def pending(self) -> int:
        """Return how many events wait for delivery."""
        with self._path.open("rb") as file:
            file.seek(self._committed())
            return sum(block.count(b"\n") for block in iter(lambda: file.read(BLOCK_BYTES), b""))

    def _at_home(self, event: Event) -> Event:
        """Return an event with the path of its file as it is now: a sweep's folder may have been moved since."""
        home, path = self.folder.parent, event.get("path")
        if not isinstance(path, str) or home.name not in Path(path).parts or Path(path).exists():
            return event
        parts = Path(path).parts
        return event | {"path": str(home.joinpath(*parts[parts.index(home.name) + 1 :]))}

    def _committed(self) -> int:
        """Return the cursor; 0 when there is none or it cannot be right: delivering again changes nothing in MLflow."""
        try:
            offset = int(self._cursor.read_text())
        except (FileNotFoundError, ValueError):
            return 0
        return offset if offset > 0 and os.pread(self._handle, 1, offset - 1) == b"\n" else 0

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


def _event(line: bytes) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    return (
        event if isinstance(event, dict) else {"kind": "unreadable", "text": line.decode(errors="replace").rstrip("\n")}
    )


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

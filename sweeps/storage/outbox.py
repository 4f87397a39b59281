"""The outbox of a sweep: its event file, appended to, with a cursor for what MLflow has.

An event survives its process as soon as `append` returns. It survives a loss of power as well, unless the disk is so
slow that events are synced together: then the last second of them may be lost. What is lost is the end of the file,
never its middle.
"""

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bddseg.file_locks import locked
from bddseg.files import strict, write_file, write_json
from sweeps.errors import StorageError
from sweeps.storage.append_file import AppendFile
from sweeps.storage.attempts import Attempt
from sweeps.storage.event_file import CURSOR, REJECTED, UPLOADS, EventFile, Refused
from sweeps.storage.events import Artifact, Event, Line, encode

PATIENCE_SECONDS = 60
"""For how long a sweep waits for a disk that fails before it gives up."""

LOCK = "outbox.lock"
CLAIM_SECONDS = 0.2


class Outbox(EventFile):
    """The event file of one sweep. Several processes may append, one delivers.

    Args:
        folder: of the events.
        patience_seconds: for how long every `append` retries while the disk fails.

    Raises:
        StorageError: when the folder cannot be created or written.
    """

    def __init__(self, folder: Path, patience_seconds: float = 0.0) -> None:
        super().__init__(folder)
        self.attempt: Attempt | None = None
        """The number under which events are written; None for a process that drives no sweep."""
        try:
            self._file = AppendFile(self.path, patience_seconds)
        except OSError as error:
            why = f"{self.folder} cannot be written ({error.strerror}): choose another --storage"
            raise StorageError(why) from error

    @contextlib.contextmanager
    def claimed(self, patience_seconds: float = 0.0) -> Iterator[None]:
        """Be the only process that delivers from here, for as long as the context lasts.

        Args:
            patience_seconds: for how long another process that delivers may take to end.

        Raises:
            StorageError: when another process delivers.
        """
        deadline = time.monotonic() + patience_seconds
        with contextlib.ExitStack() as stack:
            try:
                while True:
                    try:
                        stack.enter_context(locked(self.folder / LOCK, waits=False))
                        break
                    except BlockingIOError:
                        if time.monotonic() >= deadline:
                            raise
                    time.sleep(CLAIM_SECONDS)
            except BlockingIOError as error:
                raise StorageError(f"{self.folder} is being delivered by another process") from error
            except OSError as error:
                raise StorageError(f"{self.folder} cannot be locked ({error.strerror})") from error
            yield

    def append(self, event: Event) -> None:
        """Append an event with a single write(2): a killed process leaves all of it, or a torn last line, cut later.

        Raises:
            ValueError, TypeError: when the event is not plain JSON (NaN is None).
            OSError: when the disk fails or is full; nothing of the event is left then.
            FencedError: when another process has taken over the sweep.
        """
        self.extend([event])

    def check_attempt(self) -> None:
        """Check that no other process has taken over the sweep.

        Raises:
            FencedError: when one has.
        """
        if self.attempt:
            self.attempt.check()

    def extend(self, events: Iterable[Event], *, is_synced: bool = True) -> None:
        """Append events one after another, and sync them together, or leave that to `sync`; see `append`."""
        for event in events:
            self.check_attempt()
            self._file.append(self._line(event))
        if is_synced:
            self._file.sync_soon()

    def sync(self) -> None:
        """Put on the disk whatever has been appended; the delivery to MLflow does so before it sends anything.

        Raises:
            OSError: when the disk fails.
            FencedError: when another process has taken over the sweep.
        """
        self.check_attempt()
        self._file.sync()

    def commit(self, offset: int) -> None:
        """Move the cursor: everything before the offset is delivered, files excepted."""
        self.sync()  # a cursor that survives the events before it would hide those that come after
        write_file(self.folder / CURSOR, str(offset))

    def save_uploads(self, offset: int, waiting: Sequence[tuple[Artifact, str]]) -> None:
        """Note which files have been uploaded; see `Uploads`. Raises FencedError as `append` does."""
        self.check_attempt()
        listed = [[self._encode(event), why] for event, why in waiting]
        write_json(self.folder / UPLOADS, {"offset": offset, "waiting": listed})

    def reject(self, refused: Sequence[Refused]) -> None:
        """Set aside events that can never be delivered, with the reason; each once, however often it is refused."""
        rejected = self.rejects()
        texts = {json.dumps(self._encode(line)) for line, _ in rejected}
        new = [(line, why) for line, why in refused if json.dumps(self._encode(line)) not in texts]
        if new:
            self.save_rejects([*rejected, *new])

    def save_rejects(self, rejected: Sequence[Refused]) -> None:
        """Set these events aside, and no others. Raises FencedError as `append` does."""
        self.check_attempt()
        listed = [strict({"why": why, "event": self._encode(line)}) for line, why in rejected]
        lines = [json.dumps(line, allow_nan=False) + "\n" for line in listed]
        if lines:
            write_file(self.folder / REJECTED, "".join(lines))
        else:
            (self.folder / REJECTED).unlink(missing_ok=True)

    def _line(self, event: Event) -> bytes:
        return json.dumps(self._encode(event), separators=(",", ":"), allow_nan=False).encode() + b"\n"

    def _encode(self, line: Line) -> dict[str, Any]:
        return encode(line, self.folder.parent)

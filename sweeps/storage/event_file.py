"""The events of a sweep, read from its folder. Nothing here writes, so that a read-only folder can be read."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bddseg.files import read_json
from sweeps.errors import StorageError
from sweeps.storage.events import Artifact, Event, Line, Start, Unreadable, decode, json_object, read_line
from sweeps.storage.tags import FOLDER

OUTBOX = "outbox"
"""Folder of the events in the folder of a sweep."""

EVENTS, CURSOR, REJECTED, UPLOADS = "outbox.jsonl", "outbox.cursor", "outbox.rejected.jsonl", "outbox.files.json"

TRIAL = re.compile(rb'"trial":"([^"]*)"')
EPOCH, ARTIFACT = b'"kind":"epoch"', b'"kind":"artifact"'
"""As events are written; within a text their quotes would have a backslash."""

Refused = tuple[Line, str]
"""A line that MLflow does not take, and why."""


@dataclass(frozen=True)
class Uploads:
    """Which files of a sweep have been uploaded into MLflow: they are delivered apart from the other events."""

    offset: int
    """Artifact events before it were uploaded, refused, or are waiting."""
    waiting: tuple[tuple[Artifact, str], ...] = ()
    """Those that could not be uploaded yet, with the reason."""


class EventFile:
    """Reads the events of one sweep, and which of them have been delivered.

    Raises:
        StorageError: from every method that reads the events, when their file cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder).absolute()
        self.path = self.folder / EVENTS

    def lines(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the complete lines from one offset to another; a last line without its end is still being written."""
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                for line in file:
                    start += len(line)
                    if not line.endswith(b"\n") or (end is not None and start > end):
                        return
                    yield line
        except OSError as error:
            raise StorageError(f"{self.path} cannot be read ({error.strerror})") from error

    def read(self, limit: int) -> tuple[list[Line], int]:
        """Return up to `limit` lines that follow the cursor, and the offset to commit once they are delivered."""
        events: list[Line] = []
        offset = self.committed()
        for line in self.lines(offset):
            if len(events) == limit:
                break
            offset += len(line)
            events.append(self._read(line))
        return events, offset

    def events(
        self,
        trials: Collection[str] | None = None,
        *,
        epochs: bool = True,
        start: int = 0,
        before: int | None = None,
    ) -> Iterator[Event]:
        """Return the events among `all_lines`: what cannot be read is passed over, until the delivery refuses it."""
        lines = self.all_lines(trials, epochs=epochs, start=start, before=before)
        return (line for line in lines if not isinstance(line, Unreadable))

    def all_lines(
        self, trials: Collection[str] | None, *, epochs: bool, start: int = 0, before: int | None = None
    ) -> Iterator[Line]:
        """Yield every line, delivered or not, from the first; or only those of some trials, or all but the epochs.

        A line that is left out is recognised by its bytes, without parsing it, which takes a tenth of the time.

        Args:
            trials: whose events; None for all.
            epochs: whether events of kind epoch are included.
            start: the first offset.
            before: the last offset; None for the end of the file.
        """
        wanted = None if trials is None else {trial.encode() for trial in trials}
        for line in self.lines(start, before):
            if not epochs and EPOCH in line:
                continue
            named = TRIAL.search(line) if wanted is not None else None
            if wanted is None or (named and named[1] in wanted):
                yield self._read(line)

    def files(self, offset: int, limit: int) -> tuple[list[Artifact], int]:
        """Return up to `limit` artifact events from an offset on, and the offset behind them.

        A file follows once every event before it has been delivered: its run exists then.
        """
        files: list[Artifact] = []
        for line in self.lines(offset, self.committed()):
            if len(files) == limit:
                break
            offset += len(line)
            if ARTIFACT in line and isinstance(event := self._read(line), Artifact):
                files.append(event)
        return files, offset

    def pending(self) -> int:
        """Return how many events are undelivered, files included."""
        uploads, committed = self.uploads(), self.committed()
        offset, number = min(uploads.offset, committed), len(uploads.waiting)
        for line in self.lines(offset):
            number += offset >= (uploads.offset if ARTIFACT in line else committed)
            offset += len(line)
        return number

    def pending_events(self) -> int:
        """Return how many events are undelivered, files excluded."""
        return sum(ARTIFACT not in line for line in self.lines(self.committed()))

    def rejects(self) -> list[Refused]:
        """Return the events that were refused for good, with the reason."""
        try:
            lines = (self.folder / REJECTED).read_bytes().splitlines()
        except FileNotFoundError:
            return []
        rejects = [reject for line in lines if (reject := json_object(line))]
        return [
            (self._decode(reject["event"]), str(reject["why"]))
            for reject in rejects
            if isinstance(reject.get("event"), dict) and "why" in reject
        ]

    def uploads(self) -> Uploads:
        """Return which files have been uploaded; earlier versions delivered them together with the other events."""
        try:
            state = read_json(self.folder / UPLOADS)
            waiting = [(self._decode(dict(event)), str(why)) for event, why in state["waiting"]]
            files = tuple((event, why) for event, why in waiting if isinstance(event, Artifact))
            return Uploads(self._checked(int(state["offset"])), files)
        except FileNotFoundError:
            return Uploads(self.committed())
        except (OSError, ValueError, TypeError, KeyError):
            return Uploads(0)  # uploading again changes nothing in MLflow

    def committed(self) -> int:
        """Return the cursor; 0 when it is missing or cannot be right: delivering again changes nothing in MLflow."""
        try:
            return self._checked(int((self.folder / CURSOR).read_text()))
        except (OSError, ValueError):
            return 0

    def recorded_storage(self) -> Path | None:
        """Return the storage folder that the sweep was recorded in; None where no event has it."""
        first = next(map(self._read, self.lines()), None)
        folder = first.tags.get(FOLDER) if isinstance(first, Start) else None
        return Path(folder).parent if isinstance(folder, str) else None

    def _checked(self, offset: int) -> int:
        """Return an offset at which a line begins; 0 for any other."""
        if offset <= 0:
            return 0
        try:
            with self.path.open("rb") as file:
                file.seek(offset - 1)
                return offset if file.read(1) == b"\n" else 0
        except OSError:
            return 0

    def _read(self, line: bytes) -> Line:
        return read_line(line, self.folder.parent)

    def _decode(self, content: dict[str, Any]) -> Line:
        return decode(content, self.folder.parent)

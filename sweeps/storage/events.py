"""The events of a sweep, read from its folder. Nothing here writes, so that a read-only folder can be read.

An event is one JSON object on one line. Fields of every event: `kind`, `trial` ("" is the sweep's own parent run) and
`time_ms`. By kind:

    start      name: str, params: {setting: value}, tags: {str: str}      again on a retry: the run continues
               inputs: the parts of the data that the run uses; missing in earlier records
    epoch      step: int (from 1), metrics: {name: number or None}        None is NaN
    end        status: FINISHED | KILLED | FAILED, tags, metrics, step, note: str or None (Markdown)
    artifact   path: file to upload, folder: artifact folder ("" is the top)

The path of a file in the sweep's folder is written relative to that folder, and comes back absolute.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from bddseg.files import read_json
from bddseg.json_shapes import difference
from sweeps.errors import StorageError
from sweeps.storage.relocation import present_path
from sweeps.storage.tags import FOLDER

Event = dict[str, Any]

PARENT = ""
"""The trial of an event that concerns the sweep as a whole."""

ARTIFACT_KIND = "artifact"
OUTBOX = "outbox"
"""Folder of the events in the folder of a sweep."""

EVENTS, CURSOR, REJECTED, UPLOADS = "outbox.jsonl", "outbox.cursor", "outbox.rejected.jsonl", "outbox.files.json"

SHAPES: dict[str, Any] = {
    "start": {"trial": str, "params": {}, "tags": {}},
    "epoch": {"trial": str, "step": int, "metrics": {}},
    "end": {"trial": str, "status": str, "step": int, "tags": {}, "metrics": {}},
    "artifact": {"trial": str, "path": str, "folder": str},
}
"""What every reader needs of each kind of event; what MLflow demands besides is checked on delivery."""

TRIAL = re.compile(rb'"trial":"([^"]*)"')
EPOCH, ARTIFACT = b'"kind":"epoch"', b'"kind":"artifact"'
"""As events are written; within a text their quotes would have a backslash."""


@dataclass(frozen=True)
class Uploads:
    """Which files of a sweep have been uploaded into MLflow: they are delivered apart from the other events."""

    offset: int
    """Artifact events before it were uploaded, refused, or are waiting."""
    waiting: tuple[tuple[Event, str], ...] = ()
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

    def read(self, limit: int) -> tuple[list[Event], int]:
        """Return up to `limit` events that follow the cursor, and the offset to commit once they are delivered.

        A line that is no JSON object comes back as an event of kind "unreadable".
        """
        events: list[Event] = []
        offset = self.committed()
        for line in self.lines(offset):
            if len(events) == limit:
                break
            offset += len(line)
            events.append(self._event(line))
        return events, offset

    def events(
        self,
        trials: Collection[str] | None = None,
        *,
        epochs: bool = True,
        start: int = 0,
        before: int | None = None,
    ) -> Iterator[Event]:
        """Yield every event, delivered or not, from the first; or only those of some trials, or all but the epochs.

        An event that is left out is recognised by its bytes, without parsing it, which takes a tenth of the time.

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
                yield _checked_shape(self._event(line))

    def files(self, offset: int, limit: int) -> tuple[list[Event], int]:
        """Return up to `limit` artifact events from an offset on, and the offset behind them.

        A file follows once every event before it has been delivered: its run exists then.
        """
        events: list[Event] = []
        for line in self.lines(offset, self.committed()):
            if len(events) == limit:
                break
            offset += len(line)
            if ARTIFACT in line:
                events.append(self._event(line))
        return events, offset

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

    def rejects(self) -> list[dict[str, Any]]:
        """Return the events that were refused for good: `why` and `event` of each."""
        try:
            lines = (self.folder / REJECTED).read_bytes().splitlines()
        except FileNotFoundError:
            return []
        rejects = (_object(line) for line in lines)
        return [
            reject | {"event": self._located(reject["event"])} for reject in rejects if reject and _is_reject(reject)
        ]

    def uploads(self) -> Uploads:
        """Return which files have been uploaded; earlier versions delivered them together with the other events."""
        try:
            state = read_json(self.folder / UPLOADS)
            waiting = tuple((self._located(dict(event)), str(why)) for event, why in state["waiting"])
            return Uploads(self._checked(int(state["offset"])), waiting)
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
        first = next(iter(self.lines()), b"")
        folder = (_object(first) or {}).get("tags", {}).get(FOLDER) if FOLDER.encode() in first else None
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

    def _event(self, line: bytes) -> Event:
        event = _object(line)
        if event is None:
            return {"kind": "unreadable", "text": line.decode(errors="replace").rstrip("\n")}
        return self._located(event)

    def _located(self, event: Event) -> Event:
        """Return an event with the present path of its file."""
        path = event.get("path")
        return event | {"path": present_path(path, self.folder.parent)} if isinstance(path, str) else event


def _object(line: bytes) -> Event | None:
    """Return the JSON object of a line; None for anything else, NaN and infinities included."""
    try:
        value = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _checked_shape(event: Event) -> Event:
    """Return an event, or one of kind "unreadable" where it lacks what its kind must have."""
    kind = event.get("kind")
    shape = SHAPES.get(kind) if isinstance(kind, str) else {"kind": str}
    return {"kind": "unreadable", "text": str(event)} if shape and difference(event, shape) else event


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _is_reject(line: Event) -> bool:
    return isinstance(line.get("event"), dict) and "why" in line

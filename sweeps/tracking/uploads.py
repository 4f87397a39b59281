"""Files of a sweep on their way into MLflow, in a queue of their own: one that cannot be uploaded delays no metric.

Files come after the events that were written before them. One that fails waits, and the others are uploaded; only a
file that is missing or too large is put aside.
"""

import threading
from collections.abc import Callable, Iterable

from sweeps.storage.events import Event
from sweeps.storage.outbox import Outbox
from sweeps.tracking.batch import fault_of
from sweeps.tracking.failures import PERMANENT, kind_of_upload

FILES_AT_ONCE = 100
MOST_FAILURES = 3
"""After so many failures in a row a round is over: it is the store that fails, not a file."""

Upload = Callable[[Event], None]
Reason = Callable[[Exception], str]


class FileUploads:
    """The files of one outbox that are to be uploaded.

    Args:
        outbox: whose files, and where it is noted how far they have come.
        upload: uploads the file of an event, or raises.
        reason: an exception in one line.
    """

    def __init__(self, outbox: Outbox, upload: Upload, reason: Reason) -> None:
        self._outbox = outbox
        self._upload = upload
        self._reason = reason
        self._lock = threading.Lock()
        noted = outbox.uploads()
        self._offset = noted.offset
        self._waiting = {_key(event): (event, why) for event, why in noted.waiting}
        """By what is uploaded where: a file that is written down twice is uploaded once, as it is then."""
        self.uploaded = 0
        """How many this process has uploaded."""
        self._save()

    def upload_some(self) -> tuple[int, str]:
        """Try those that wait, and new ones; return how many are done with, and the last failure ("" without one)."""
        with self._lock:
            new, offset = self._outbox.files(self._offset, FILES_AT_ONCE)
            if offset != self._offset:
                self._offset = offset
                self._waiting |= {_key(event): (event, "") for event in new}
                self._save()
            queue = [event for event, _ in self._waiting.values()][:FILES_AT_ONCE]
        done, failure = self._try(queue)
        with self._lock:
            for event in done:
                self._waiting.pop(_key(event), None)
            if done or failure:
                self._save()
        return len(done), failure

    def add(self, events: Iterable[Event]) -> None:
        """Queue files again that were uploaded, or put aside, before."""
        with self._lock:
            self._waiting |= {_key(event): (event, "") for event in events}
            self._save()

    def restart(self) -> None:
        """Begin again with the first file: for another store."""
        with self._lock:
            self._offset, self._waiting = 0, {}
            self._save()

    def _try(self, queue: Iterable[Event]) -> tuple[list[Event], str]:
        """Upload files; return those that are done with, uploaded or put aside, and the last failure."""
        done: list[Event] = []
        refused: list[tuple[Event, str]] = []
        failure, failures_in_a_row = "", 0
        for event in queue:
            why, is_final = self._attempt(event)
            if is_final or not why:
                done.append(event)
                refused += [(event, why)] if why else []
                self.uploaded += not why
                failures_in_a_row = 0
                continue
            self._move_back(event, why)
            failure, failures_in_a_row = why, failures_in_a_row + 1
            if failures_in_a_row == MOST_FAILURES:
                break
        self._outbox.reject(refused)
        return done, failure

    def _attempt(self, event: Event) -> tuple[str, bool]:
        """Return why a file could not be uploaded ("" when it was), and whether it never can be."""
        if why := fault_of(event):
            return why, True
        try:
            self._upload(event)
        except Exception as error:  # noqa: BLE001 - stores of files raise what they like; the file waits
            return self._reason(error), kind_of_upload(error) == PERMANENT
        return "", False

    def _move_back(self, event: Event, why: str) -> None:
        """Let a file that failed wait behind the others, with the reason."""
        with self._lock:
            self._waiting.pop(_key(event), None)
            self._waiting[_key(event)] = (event, why)

    def _save(self) -> None:
        self._outbox.save_uploads(self._offset, list(self._waiting.values()))


def _key(event: Event) -> tuple[str, ...]:
    return str(event.get("trial")), str(event.get("path")), str(event.get("folder"))

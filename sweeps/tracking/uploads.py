"""The queue of a sweep's files for MLflow, apart from its events, so that a failing upload delays no metric.

A file is uploaded after the events before it. One that fails moves to the end of the queue; only a file that is missing
or too large is set aside for good.
"""

import threading
from collections.abc import Callable, Iterable

from sweeps.storage.event_file import Refused
from sweeps.storage.events import Artifact
from sweeps.storage.outbox import Outbox
from sweeps.tracking.batch import fault_of
from sweeps.tracking.failures import PERMANENT, kind_of_upload

FILES_AT_ONCE = 100
MOST_FAILURES = 3
"""A round ends after so many failures in a row: the store fails then, and not a file."""

Upload = Callable[[Artifact], None]
Reason = Callable[[Exception], str]


class FileUploads:
    """Uploads the files of one outbox.

    Args:
        outbox: whose files; it also notes which of them have been uploaded.
        upload: uploads the file of an event, or raises.
        reason: returns an exception in one line.
    """

    def __init__(self, outbox: Outbox, upload: Upload, reason: Reason) -> None:
        self._outbox = outbox
        self._upload = upload
        self._reason = reason
        self._lock = threading.Lock()
        noted = outbox.uploads()
        self._offset = noted.offset
        self._waiting = {_key(event): (event, why) for event, why in noted.waiting}
        """By file and target: a file that has two events is uploaded once, as it is then."""
        self.uploaded = 0
        """Number of files that this process has uploaded."""
        self._save()

    def upload_some(self) -> tuple[int, str]:
        """Try queued and new files; return how many were settled, and the last failure ("" without one)."""
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

    def add(self, events: Iterable[Artifact]) -> None:
        """Queue files again that were uploaded, or set aside, before."""
        with self._lock:
            self._waiting |= {_key(event): (event, "") for event in events}
            self._save()

    def restart(self) -> None:
        """Start again with the first file: for another store."""
        with self._lock:
            self._offset, self._waiting = 0, {}
            self._save()

    def _try(self, queue: Iterable[Artifact]) -> tuple[list[Artifact], str]:
        """Upload files; return those that were uploaded or set aside, and the last failure."""
        done: list[Artifact] = []
        refused: list[Refused] = []
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

    def _attempt(self, event: Artifact) -> tuple[str, bool]:
        """Return why a file could not be uploaded ("" when it was), and whether it never can be."""
        if why := fault_of(event):
            return why, True
        try:
            self._upload(event)
        except Exception as error:  # noqa: BLE001 - stores of files raise what they like; the file stays queued
            return self._reason(error), kind_of_upload(error) == PERMANENT
        return "", False

    def _move_back(self, event: Artifact, why: str) -> None:
        """Move a file that failed to the end of the queue, with the reason."""
        with self._lock:
            self._waiting.pop(_key(event), None)
            self._waiting[_key(event)] = (event, why)

    def _save(self) -> None:
        self._outbox.save_uploads(self._offset, list(self._waiting.values()))


def _key(event: Artifact) -> tuple[str, ...]:
    return event.trial, str(event.path), event.folder

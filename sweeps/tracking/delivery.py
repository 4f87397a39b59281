"""Delivery of an outbox into MLflow: events in one thread, files in another, so that neither delays the other.

An unreachable store delays a sweep only at its end.
"""

import math
import threading
import time
from collections.abc import Callable
from functools import partial

from sweeps.errors import FencedError
from sweeps.storage.events import Artifact
from sweeps.storage.outbox import Outbox
from sweeps.tracking.client import EXPERIMENT
from sweeps.tracking.delivered import DeliveredEvents
from sweeps.tracking.failures import reason
from sweeps.tracking.hints import install_cure, missing_module
from sweeps.tracking.redelivery import Redelivery
from sweeps.tracking.retry_thread import RetryThread
from sweeps.tracking.store import tidy_store
from sweeps.tracking.sweep_runs import SweepRuns
from sweeps.tracking.uploads import FileUploads
from sweeps.tracking.uri import hide_password
from sweeps.tracking.writer import PATIENCE, Recorder

FILE_PATIENCE = 3
"""Rounds without any success after which a later delivery gives up on the remaining files."""

EVENTS_AT_ONCE = 500


class Delivery:
    """Delivers the events of one outbox into MLflow; in threads after `start()`.

    A sweep that was recorded in another store before is delivered to this one from its first event.

    Args:
        outbox: of the sweep.
        tracking_uri: the store.
        sweep_id: of the sweep.
        experiment: of MLflow, in which it is recorded.
    """

    def __init__(self, outbox: Outbox, tracking_uri: str, sweep_id: str, experiment: str = EXPERIMENT) -> None:
        self._outbox = outbox
        self._uri, self._sweep_id = tracking_uri, sweep_id
        self._delivered = DeliveredEvents(outbox)
        runs = SweepRuns(tracking_uri, sweep_id, outbox, experiment)
        self._recorder = Recorder(runs, self._delivered, self._upload_again)
        self._uploads = FileUploads(outbox, self._recorder.upload, self._reason)
        self._redelivery = Redelivery(outbox, self._recorder, self._uploads, self._delivered)
        if runs.was_elsewhere:
            outbox.commit(0)
            self._uploads.restart()
            runs.note_store()
        self._one_at_a_time = threading.Lock()
        shown = f"MLflow at {hide_password(tracking_uri)}"
        self._events = RetryThread("mlflow-events", self._try_events, shown, f"events wait in {outbox.folder}")
        self._files = RetryThread("mlflow-files", self._try_files, f"the store of files of {shown}", "files wait")
        self._sent = 0
        """Events, files aside, that MLflow took from this process for the first time."""

    def deliver_some(self, limit: int = EVENTS_AT_ONCE) -> int:
        """Send up to `limit` events, then files; return how many were settled, 0 when no more can be sent.

        Raises whatever a store raises that cannot be used; no event is committed then, and the next call sends all
        of them again. A file that cannot be uploaded stays queued.
        """
        done = self._deliver_events(limit)
        return done + self._uploads.upload_some()[0]

    def start(self) -> None:
        """Deliver from now on in daemon threads, with longer and longer pauses while the store fails."""
        self._events.start()
        self._files.start()

    def close(self, seconds: float, *, is_checked: bool = False) -> int:
        """Deliver the rest, for at most so many seconds; return how many events are still undelivered.

        With `is_checked`, MLflow is asked at the end for what it has, and gets what it lacks.
        """
        deadline = time.monotonic() + seconds
        self._events.close(deadline)
        if is_checked and not self._outbox.pending_events() and time.monotonic() < deadline:
            self._try(self._send_missing)
        self._files.close(deadline)
        return self._finished()

    def drain(self, seconds: float = math.inf) -> tuple[int, str]:
        """Deliver everything in this thread, until the store has failed too often or the time is up.

        Returns how many events are still undelivered, and why.
        """
        deadline = time.monotonic() + seconds
        failure = self._events.drain(PATIENCE, deadline)
        failure = self._files.drain(FILE_PATIENCE, deadline) or failure
        undelivered = self._finished()
        return undelivered, (failure or f"not done within {seconds:g} s") if undelivered else ""

    def catch_up(self) -> tuple[int, int, str]:
        """Deliver everything, events that were refused before, and what MLflow has lost since.

        Returns how many events were delivered, how many are undelivered, and why.
        """
        again, failure = 0, self._events.drain(PATIENCE)
        if not failure:
            again, failure = self._try(lambda: self._redelivery.send_refused() + self._send_missing())
        failure = self._files.drain(FILE_PATIENCE) or failure
        return self._sent + again + self._uploads.uploaded, self._finished(), failure

    def _send_missing(self) -> int:
        return self._redelivery.send_missing(self._uri, self._sweep_id)

    def _upload_again(self, trial: str) -> None:
        self._uploads.add(self._delivered.files_of(trial))

    def _deliver_events(self, limit: int) -> int:
        with self._one_at_a_time:
            lines, offset = self._outbox.read(limit)
            if not lines:
                return 0
            self._outbox.sync()  # an event that MLflow has must not be lost here
            sent = [line for line in lines if not isinstance(line, Artifact)]
            refused = self._recorder.record(sent) if sent else []
            self._outbox.reject(refused)
            self._outbox.commit(offset)
            self._sent += len(sent) - len(refused)
            self._delivered.add(lines)
            return len(lines)

    def _finished(self) -> int:
        undelivered = self._outbox.pending()
        if not undelivered:
            tidy_store(self._uri)
        return undelivered

    def _try_events(self) -> tuple[int, str]:
        return self._try(partial(self._deliver_events, EVENTS_AT_ONCE))

    def _try_files(self) -> tuple[int, str]:
        """Upload some files; a folder that cannot be written, or is another process's, is a failure as others are."""
        try:
            return self._uploads.upload_some()
        except (OSError, FencedError) as error:
            return 0, self._reason(error)

    def _try(self, deliver: Callable[[], int]) -> tuple[int, str]:
        """Deliver some; return how many were settled, and why it failed ("" when it did not)."""
        try:
            return deliver(), ""
        except Exception as error:  # noqa: BLE001 - stores and their plug-ins raise what they like; recording goes on
            return 0, self._reason(error)

    def _reason(self, error: Exception) -> str:
        why, module = reason(error, self._uri), missing_module(error)
        return f"{why}: {install_cure(module)}" if module else why

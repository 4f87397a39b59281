"""Outbox -> recorder -> MLflow: events in one thread, files in another, so that neither delays the other.

A store that cannot be reached costs a sweep nothing but a wait at its end.
"""

import math
import threading
import time
from collections.abc import Callable, Collection, Iterator

from sweeps.storage.events import ARTIFACT_KIND, Event
from sweeps.storage.outbox import Outbox
from sweeps.tracking.failures import reason
from sweeps.tracking.missing import what_is_lacking
from sweeps.tracking.retry_thread import SHORTEST_WAIT_S, RetryThread
from sweeps.tracking.store import tidy_store
from sweeps.tracking.uploads import FileUploads
from sweeps.tracking.uri import hide_password
from sweeps.tracking.writer import PATIENCE, Recorder

LONGEST_DRAIN_WAIT_S = 2.0
FILE_PATIENCE = 3
"""Rounds without any success after which a later delivery leaves the remaining files."""

BEAT_SECONDS = 60
"""How often the time is put on the sweep's run, as a sign that its driver is alive."""

EVENTS_AT_ONCE = 500
TRIALS_AT_ONCE = 200
"""Trials whose events are held in memory together when they are delivered again."""


class Delivery:
    """Carries the events of one outbox into MLflow; in threads after `start()`.

    What went to another store before goes to this one from the beginning: a sweep is whole wherever it is.
    """

    def __init__(self, outbox: Outbox, tracking_uri: str, sweep_id: str) -> None:
        self._outbox = outbox
        self._uri, self._sweep_id = tracking_uri, sweep_id
        self._passed: set[str] | None = None
        """Trials with events before the cursor; None until they are asked for."""
        self._recorder = Recorder(tracking_uri, sweep_id, outbox, self)
        self._uploads = FileUploads(outbox, self._recorder.upload, self._reason)
        if self._recorder.was_elsewhere:
            outbox.commit(0)
            self._uploads.restart()
            self._recorder.move_here()
        self._one_at_a_time = threading.Lock()
        shown = f"MLflow at {hide_password(tracking_uri)}"
        self._events = RetryThread("mlflow-events", self._try_events, shown, f"events wait in {outbox.folder}")
        self._files = RetryThread(
            "mlflow-files", self._uploads.upload_some, f"the store of files of {shown}", "files wait"
        )
        self._next_beat = 0.0
        self._sent = 0
        """Events, files aside, that MLflow took from this process for the first time."""

    def deliver_some(self, limit: int = EVENTS_AT_ONCE) -> int:
        """Send up to `limit` events, then files; return how many are done with, 0 when none is left that can be sent.

        Raises whatever a store raises that cannot be used; no event is committed then, and the next call sends all
        again. A file that cannot be uploaded waits.
        """
        done = self._deliver_events(limit)
        return done + self._uploads.upload_some()[0]

    def start(self) -> None:
        """Deliver from now on in daemon threads, waiting longer and longer while the store fails."""
        self._events.start()
        self._files.start()

    def close(self, seconds: float, *, is_checked: bool = False) -> int:
        """Deliver what is left, for at most so many seconds; return how many events are still undelivered.

        With `is_checked` MLflow is asked at last what it has, and is given what it lacks.
        """
        deadline = time.monotonic() + seconds
        self._events.close(deadline)
        if is_checked and not self._outbox.pending_events() and time.monotonic() < deadline:
            self._try(self._complete)
        self._files.close(deadline)
        return self._finished()

    def drain(self, seconds: float = math.inf) -> tuple[int, str]:
        """Deliver what there is, here and now, until the store has failed too often or the time is over.

        Returns how many events are still undelivered, and why.
        """
        deadline = time.monotonic() + seconds
        failure = _drain(self._events, PATIENCE, deadline)
        failure = _drain(self._files, FILE_PATIENCE, deadline) or failure
        left = self._finished()
        return left, (failure or f"not done within {seconds:g} s") if left else ""

    def catch_up(self) -> tuple[int, int, str]:
        """Deliver what there is, what was refused before, and what MLflow has lost of what it had.

        Returns how many events were delivered, how many are left, and why.
        """
        again, failure = 0, _drain(self._events, PATIENCE, math.inf)
        if not failure:
            again, failure = self._try(lambda: self._try_refused() + self._complete())
        failure = _drain(self._files, FILE_PATIENCE, math.inf) or failure
        return self._sent + again + self._uploads.uploaded, self._finished(), failure

    def _complete(self) -> int:
        """Give MLflow what it lacks of what it was given before; return how many events that were."""
        lack = what_is_lacking(self._outbox, self._uri, self._sweep_id)
        number, refused = self._send_again(lack.trials)
        self._outbox.reject(refused)
        self._uploads.add(lack.files)
        for trial in lack.trials:
            self.upload_again(trial)
        return number - len(refused)

    def _try_refused(self) -> int:
        """Send again what was refused; return how many events of it are taken now.

        A trial's events go from the first: what was refused may have come before others that were not.
        """
        rejects = self._outbox.rejects()
        files = [reject["event"] for reject in rejects if reject["event"].get("kind") == ARTIFACT_KIND]
        others = [reject for reject in rejects if reject["event"] not in files]
        trials = {reject["event"]["trial"] for reject in others if isinstance(reject["event"].get("trial"), str)}
        hopeless = [(it["event"], str(it["why"])) for it in others if it["event"].get("trial") not in trials]
        _, refused = self._send_again(trials)
        self._uploads.add(files)
        self._outbox.save_rejects([*hopeless, *refused])
        return max(0, len(others) - len(hopeless) - len(refused))

    def _send_again(self, trials: Collection[str]) -> tuple[int, list[tuple[Event, str]]]:
        """Send all events of these trials, from the first; return how many they were, and those that were refused.

        Raises whatever a store raises that cannot be used.
        """
        number, refused, wanted = 0, [], sorted(trials)
        for first in range(0, len(wanted), TRIALS_AT_ONCE):
            chunk = wanted[first : first + TRIALS_AT_ONCE]
            events = [event for event in self._before_cursor(chunk) if event["kind"] != ARTIFACT_KIND]
            with self._one_at_a_time:
                refused += self._recorder.record(events, is_all=True)
            number += len(events)
        return number, refused

    def events_of(self, trial: str) -> Iterator[Event]:
        """Yield the events of a trial that were delivered, from the first, without its files."""
        if self._passed is None:
            self._passed = {str(event.get("trial")) for event in self._before_cursor(None)}
        if trial in self._passed:
            yield from (event for event in self._before_cursor([trial]) if event["kind"] != ARTIFACT_KIND)

    def upload_again(self, trial: str) -> None:
        """Queue the files of a trial that were uploaded before."""
        self._uploads.add(event for event in self._before_cursor([trial]) if event["kind"] == ARTIFACT_KIND)

    def _before_cursor(self, trials: Collection[str] | None) -> Iterator[Event]:
        return self._outbox.events(trials, epochs=trials is not None, before=self._outbox.committed())

    def _deliver_events(self, limit: int) -> int:
        with self._one_at_a_time:
            events, offset = self._outbox.read(limit)
            if not events:
                return 0
            self._outbox.sync()  # what MLflow has must not be lost here
            sent = [event for event in events if event["kind"] != ARTIFACT_KIND]
            refused = self._recorder.record(sent) if sent else []
            self._outbox.reject(refused)
            self._outbox.commit(offset)
            self._sent += len(sent) - len(refused)
            if self._passed is not None:
                self._passed.update(str(event.get("trial")) for event in events)
            return len(events)

    def _finished(self) -> int:
        left = self._outbox.pending()
        if not left:
            tidy_store(self._uri)
        return left

    def _try_events(self) -> tuple[int, str]:
        return self._try(self._deliver_and_beat)

    def _deliver_and_beat(self) -> int:
        done = self._deliver_events(EVENTS_AT_ONCE)
        if self._events.is_started and time.monotonic() >= self._next_beat and self._recorder.beat():
            self._next_beat = time.monotonic() + BEAT_SECONDS
        return done

    def _try(self, deliver: Callable[[], int]) -> tuple[int, str]:
        """Deliver some; return how many are done with, and why it failed ("" when it did not)."""
        try:
            return deliver(), ""
        except Exception as error:  # noqa: BLE001 - stores and their plug-ins raise what they like; recording goes on
            return 0, self._reason(error)

    def _reason(self, error: Exception) -> str:
        return reason(error, self._uri)


def _drain(lane: RetryThread, patience: int, deadline: float) -> str:
    """Carry a lane to its end, or until it has failed too often; return why something is left, "" when nothing is."""
    failures, wait, failure = 0, SHORTEST_WAIT_S, ""
    while failures <= patience and time.monotonic() < deadline:
        done, failure = lane.attempt()
        if done:
            failures, wait = 0, SHORTEST_WAIT_S
        elif not failure:
            return ""
        else:
            failures += 1
            time.sleep(min(wait, max(0.0, deadline - time.monotonic())))
            wait = min(2 * wait, LONGEST_DRAIN_WAIT_S)
    return failure

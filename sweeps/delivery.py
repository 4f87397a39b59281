"""Outbox -> recorder -> MLflow, in a thread of its own. A store that is away costs a sweep nothing but patience."""

import logging
import math
import threading
import time
from collections.abc import Sequence

from sweeps.address import hide_password
from sweeps.failures import reason
from sweeps.mlflow_store import tidy_store
from sweeps.outbox import Event, Outbox
from sweeps.recorder import PATIENCE, Recorder

log = logging.getLogger(__name__)

SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0
LONGEST_DRAIN_WAIT_S = 2.0
BEAT_SECONDS = 60
"""How often the sweep's run is told that its driver is alive."""

EVENTS_AT_ONCE = 500


class Delivery:
    """Carries the events of one outbox into MLflow; in a thread after `start()`.

    What went to another store before goes to this one from the beginning: a sweep is whole wherever it is.
    """

    def __init__(self, outbox: Outbox, tracking_uri: str, sweep_id: str) -> None:
        self._outbox = outbox
        self._shown = hide_password(tracking_uri)
        self._uri = tracking_uri
        self._recorder = Recorder(tracking_uri, sweep_id, outbox.folder / "runs.json")
        if self._recorder.was_elsewhere:
            outbox.commit(0)
            self._recorder.move_here()
        self._is_away = False
        self._one_at_a_time = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._deadline = math.inf
        self._next_beat = 0.0

    def deliver_some(self, limit: int = EVENTS_AT_ONCE) -> int:
        """Send up to `limit` events and return how many are done with; 0 when none waits.

        Raises whatever a store that is away raises; nothing is committed then, and the next call sends all again.
        """
        with self._one_at_a_time:
            events, offset = self._outbox.read(limit)
            if not events:
                return 0
            rejected = self._recorder.record(events)
            self._put_aside(rejected)
            self._outbox.commit(offset)
            return len(events)

    def start(self) -> None:
        """Deliver from now on in a daemon thread, waiting longer and longer while the store is away."""
        self._running_thread()

    def close(self, seconds: float) -> int:
        """Deliver what is left, for at most so many seconds; return how many events are still undelivered."""
        self._deadline = time.monotonic() + seconds
        self._closing.set()
        self._running_thread().join(seconds)
        return self._finished()

    def drain(self, seconds: float = math.inf) -> tuple[int, str]:
        """Deliver what there is, here and now, until the store has failed too often or the time is over.

        Returns how many events are still undelivered, and why.
        """
        deadline, failures, failure, wait = time.monotonic() + seconds, 0, "", SHORTEST_WAIT_S
        while failures <= PATIENCE and time.monotonic() < deadline:
            done, failure = self._try()
            if done:
                failures, wait = 0, SHORTEST_WAIT_S
            elif not failure:
                break
            else:
                failures += 1
                time.sleep(min(wait, max(0.0, deadline - time.monotonic())))
                wait = min(2 * wait, LONGEST_DRAIN_WAIT_S)
        left = self._finished()
        return left, (failure or f"not done within {seconds:g} s") if left else ""

    def _finished(self) -> int:
        left = self._outbox.pending()
        if not left:
            tidy_store(self._uri)
        return left

    def _running_thread(self) -> threading.Thread:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._loop, name="mlflow-delivery", daemon=True)
            self._thread.start()
        return self._thread

    def _loop(self) -> None:
        """Deliver in rounds; what gathers between two of them goes out in one batch for each run."""
        wait = SHORTEST_WAIT_S
        while True:
            done, failure = self._try()
            if done == EVENTS_AT_ONCE or (done and self._closing.is_set()):
                wait = SHORTEST_WAIT_S
                continue
            if not done and self._closing.is_set() and (not failure or time.monotonic() >= self._deadline):
                return
            self._pause(wait if failure else SHORTEST_WAIT_S)
            wait = min(2 * wait, LONGEST_WAIT_S) if failure else SHORTEST_WAIT_S

    def _try(self) -> tuple[int, str]:
        """Deliver some; return how many events are done with, and why it failed ("" when it did not)."""
        try:
            done = self.deliver_some()
            self._beat()
        except Exception as error:  # noqa: BLE001 - stores and their plug-ins raise what they like; recording goes on
            failure = reason(error)
            level = logging.DEBUG if self._is_away else logging.WARNING
            log.log(level, "MLflow at %s fails (%s): events wait in %s", self._shown, failure, self._outbox.folder)
            self._is_away = True
            return 0, failure
        if done and self._is_away:
            log.warning("MLflow at %s takes events again", self._shown)
            self._is_away = False
        return done, ""

    def _beat(self) -> None:
        if self._thread is not None and time.monotonic() >= self._next_beat and self._recorder.beat():
            self._next_beat = time.monotonic() + BEAT_SECONDS

    def _pause(self, seconds: float) -> None:
        if self._closing.is_set():
            time.sleep(max(0.0, min(SHORTEST_WAIT_S, self._deadline - time.monotonic())))
        else:
            self._closing.wait(seconds)

    def _put_aside(self, rejected: Sequence[tuple[Event, str]]) -> None:
        for event, why in rejected:
            self._outbox.reject(event, why)
        if rejected:
            where, why = self._outbox.folder, rejected[0][1]
            log.warning("MLflow refused %d events, kept with the reason in %s: %s", len(rejected), where, why)

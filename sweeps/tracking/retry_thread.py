"""A thread that empties one queue, with longer and longer pauses while that fails."""

import logging
import math
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0
LONGEST_DRAIN_WAIT_S = 2.0

Carry = Callable[[], tuple[int, str]]
"""Settles some; returns how many, and why it failed ("" when it did not). Raises nothing."""


class RetryThread:
    """Empties one queue in rounds.

    Args:
        name: of the thread.
        carry: settles some of the queue.
        shown: what fails, in the warning about it.
        consequence: what that means meanwhile, in the same warning.
    """

    def __init__(self, name: str, carry: Carry, shown: str, consequence: str) -> None:
        self._name = name
        self._carry = carry
        self._shown, self._consequence = shown, consequence
        self._is_failing = False
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._deadline = math.inf

    def start(self) -> threading.Thread:
        """Start a daemon thread for the queue; return it."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
            self._thread.start()
        return self._thread

    def close(self, deadline: float) -> None:
        """Empty the queue; return when that is done, or at the deadline (of time.monotonic)."""
        self._deadline = deadline
        self._closing.set()
        self.start().join(max(0.0, deadline - time.monotonic()))

    def attempt(self) -> tuple[int, str]:
        """Settle some in this thread; the first failure of several in a row is a warning."""
        done, failure = self._carry()
        if failure:
            level = logging.DEBUG if self._is_failing else logging.WARNING
            log.log(level, "%s fails (%s): %s", self._shown, failure, self._consequence)
        elif done and self._is_failing:
            log.warning("%s works again", self._shown)
        self._is_failing = bool(failure) or (self._is_failing and not done)
        return done, failure

    def drain(self, patience: int, deadline: float = math.inf) -> str:
        """Empty the queue in this thread; return why it is not empty, "" when it is.

        Args:
            patience: failures in a row after which to give up.
            deadline: when to give up, by time.monotonic.
        """
        failures, wait, failure = 0, SHORTEST_WAIT_S, ""
        while failures <= patience and time.monotonic() < deadline:
            done, failure = self.attempt()
            if done:
                failures, wait = 0, SHORTEST_WAIT_S
            elif not failure:
                return ""
            else:
                failures += 1
                time.sleep(min(wait, max(0.0, deadline - time.monotonic())))
                wait = min(2 * wait, LONGEST_DRAIN_WAIT_S)
        return failure

    def _loop(self) -> None:
        """Settle in rounds, so that what gathers between two of them is sent together."""
        wait = SHORTEST_WAIT_S
        while True:
            done, failure = self.attempt()
            is_closing = self._closing.is_set()
            if is_closing and not done and (not failure or time.monotonic() >= self._deadline):
                return
            if done and not failure and is_closing:
                continue
            self._pause(wait if failure else SHORTEST_WAIT_S)
            wait = min(2 * wait, LONGEST_WAIT_S) if failure and not done else SHORTEST_WAIT_S

    def _pause(self, seconds: float) -> None:
        if self._closing.is_set():
            time.sleep(max(0.0, min(SHORTEST_WAIT_S, self._deadline - time.monotonic())))
        else:
            self._closing.wait(seconds)

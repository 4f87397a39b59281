"""A thread that carries one queue to its end, and waits longer and longer while that fails."""

import logging
import math
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0

Carry = Callable[[], tuple[int, str]]
"""Carries some; returns how many are done with, and why it failed ("" when it did not). Raises nothing."""


class RetryThread:
    """One queue. `shown` names what fails and `what` waits meanwhile, in the one warning about it."""

    def __init__(self, name: str, carry: Carry, shown: str, what: str) -> None:
        self._name = name
        self._carry = carry
        self._shown, self._what = shown, what
        self._is_failing = False
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._deadline = math.inf

    @property
    def is_started(self) -> bool:
        return self._thread is not None

    def start(self) -> threading.Thread:
        """Carry from now on in a daemon thread; return it."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
            self._thread.start()
        return self._thread

    def close(self, deadline: float) -> None:
        """Carry what is left; return when that is done, or at the deadline (of time.monotonic)."""
        self._deadline = deadline
        self._closing.set()
        self.start().join(max(0.0, deadline - time.monotonic()))

    def attempt(self) -> tuple[int, str]:
        """Carry some, here and now; the first failure of several in a row is a warning."""
        done, failure = self._carry()
        if failure:
            level = logging.DEBUG if self._is_failing else logging.WARNING
            log.log(level, "%s fails (%s): %s", self._shown, failure, self._what)
        elif done and self._is_failing:
            log.warning("%s works again", self._shown)
        self._is_failing = bool(failure) or (self._is_failing and not done)
        return done, failure

    def _loop(self) -> None:
        """Carry in rounds; what gathers between two of them goes together."""
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

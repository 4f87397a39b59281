"""Writes events to a sweep's outbox; events that a failing disk refuses are kept in memory and written later."""

import logging
import time
from collections import deque
from pathlib import Path
from typing import Any

from bddseg.words import count
from sweeps.errors import FencedError, StorageError
from sweeps.storage.append_file import RETRY_SECONDS
from sweeps.storage.attempts import Attempt
from sweeps.storage.events import Event
from sweeps.storage.outbox import Outbox

log = logging.getLogger(__name__)


class EventWriter:
    """Appends events to the outbox in order; `write` never raises for a disk that fails."""

    def __init__(self, folder: Path, attempt: Attempt | None = None) -> None:
        self._folder, self.attempt = folder, attempt
        self._outbox: Outbox | None = None
        self._unwritten: deque[Event] = deque()
        self._is_failing = False
        """A warning about the disk was logged already."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_outbox": None}

    def write(self, event: Event) -> None:
        """Write an event after all earlier ones; while the disk fails, keep them for the next call."""
        self._unwritten.append(event)
        self._write_all()

    def check_attempt(self) -> None:
        """Check that no other process has taken over the sweep; raises FencedError."""
        if self.attempt:
            self.attempt.check()

    def sync(self) -> None:
        """Wait until the written events are on the disk."""
        if self._outbox is not None:
            self._outbox.sync()

    def flush(self, seconds: float) -> None:
        """Write the events that could not be written when they occurred, retrying for at most `seconds`.

        Raises:
            StorageError: when some still cannot be written.
            FencedError: when another process has taken over the sweep.
        """
        deadline = time.monotonic() + seconds
        self._write_all()
        while self._unwritten:
            self.check_attempt()
            if time.monotonic() >= deadline:
                raise StorageError(f"{count(len(self._unwritten), 'event')} could not be written to {self._folder}")
            time.sleep(RETRY_SECONDS)
            self._write_all()

    def _write_all(self) -> None:
        try:
            if self._outbox is None:
                self._outbox = Outbox(self._folder)
                self._outbox.attempt = self.attempt
            while self._unwritten:
                self._outbox.append(self._unwritten[0])
                self._unwritten.popleft()
            self._is_failing = False
        except FencedError as error:  # nothing of ours raises into Tune's loop; its controller ends the pass
            log.info("events are not written any more: %s", error)
        except (OSError, StorageError) as error:
            if not self._is_failing:
                log.warning("events are kept in memory until the disk can be written: %s", error)
            self._is_failing = True

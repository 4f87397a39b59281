"""Ctrl-C and SIGTERM: the first asks for a graceful end, the second ends at once."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from sweeps.notes import notes

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal ended the program; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.resume_command = ""
        """How to go on, where something was begun."""


def ignore_further() -> None:
    """Let no further signal come between a program that is done, its last words, and the exit code they go with."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


class Interrupts:
    """Listens to both signals while the context lasts.

    Within `deferred` the first signal only sets `number`, for a loop to see; anywhere else, and the second time
    everywhere, `Interrupted` is raised where the program stands. Off the main thread nothing is listened to.
    """

    def __init__(self) -> None:
        self.number = 0
        """The signal that asked for the end; 0 while none has."""
        self._is_deferred = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def deferred(self) -> "_Deferred":
        """Return a context in which the first signal waits to be seen.

        Raises:
            Interrupted: on entering, when it has been asked for already.
        """
        return _Deferred(self)

    def is_requested(self) -> bool:
        """Return whether the end was asked for."""
        return self.number != 0

    def named(self, error: BaseException) -> BaseException:
        """Return the error; but `Interrupted`, by the first signal, for a plain KeyboardInterrupt that Ray makes of it.

        Ray's compiled code looks for signals while it waits, and raises its own where a handler has raised anything.
        """
        is_plain = isinstance(error, KeyboardInterrupt) and not isinstance(error, Interrupted)
        return Interrupted(self.number) if is_plain and self.number else error

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        signal.alarm(0)  # while Ray starts, abseil's handler hears the signal first, and its alarm aborts the process
        is_first, self.number = not self.number, self.number or number
        if not (is_first and self._is_deferred):
            raise Interrupted(self.number)
        notes.info(f"{signal.Signals(number).name}: ending what runs and keeping it; once more to end at once")


class _Deferred:
    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts

    def __enter__(self) -> None:
        if self._interrupts.number:
            raise Interrupted(self._interrupts.number)
        self._interrupts._is_deferred = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._interrupts._is_deferred = False

"""Handles Ctrl-C and SIGTERM: the first requests a graceful end, the second ends the program at once."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from sweeps.errors import PassError
from sweeps.notes import notes

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN = {signal.SIGINT: "Press Ctrl-C again", signal.SIGTERM: "Send it again"}


class Interrupted(KeyboardInterrupt):
    """A signal ended the program; `number` is the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.resume_command = ""
        """The command that resumes the sweep, if it can be resumed."""


def ignore_further() -> None:
    """Ignore signals while a finished program prints its last lines, so that its exit code agrees with them."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


class Interrupts:
    """Handles both signals for the duration of the context.

    Within `deferred` the first signal only sets `number`, which a loop polls. Elsewhere, and for the second signal
    everywhere, `Interrupted` is raised at the current line. Outside the main thread no signal is handled.
    """

    def __init__(self) -> None:
        self.number = 0
        """The signal that requested the end; 0 before one has arrived."""
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
        """Return a context in which the first signal does not raise.

        Raises:
            Interrupted: on entering, when a signal has arrived before.
        """
        return _Deferred(self)

    def is_requested(self) -> bool:
        """Return whether a signal has requested the end."""
        return self.number != 0

    def named(self, error: BaseException) -> BaseException:
        """Return the error, or `Interrupted` for what a signal has caused.

        Ray's compiled code checks for signals while it waits, and raises a plain KeyboardInterrupt when a handler
        raises. And the processes of a Ray that was joined may have got the signal too: then it fails while we end.
        """
        is_caused = isinstance(error, KeyboardInterrupt | PassError) and not isinstance(error, Interrupted)
        return Interrupted(self.number) if is_caused and self.number else error

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        signal.alarm(0)  # while Ray starts, abseil gets the signal first; its alarm would abort the process
        is_first, self.number = not self.number, self.number or number
        if not (is_first and self._is_deferred):
            raise Interrupted(self.number)
        name, again = signal.Signals(number).name, AGAIN[signal.Signals(number)]
        notes.info(f"{name}: saving running trials, then stopping. {again} to stop at once.")


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

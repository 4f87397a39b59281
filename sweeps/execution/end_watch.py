"""Ends a driver that a signal has asked to end, while a Ray that does not answer keeps its loop blocked.

A signal is left to the sweep's loop, which asks the trials for their last checkpoints. A cluster whose daemons got the
signal too, or whose head is gone, may never answer. So a thread repeats the signal, which ends the loop without Ray;
where even that has no effect, it writes the ends of the runs itself and ends the process.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from sweeps.execution.signals import Interrupted, Interrupts
from sweeps.notes import notes

POLL_SECONDS = 0.5
ANSWER_SECONDS = 30
"""How long after the signal Ray may take to end the pass; trials have 10 s of it to save."""

BLOCKED_SECONDS = 15
"""How long after the repeated signal the sweep's loop may take to leave Ray."""

CLOSING_SECONDS = 10
"""How long the thread may take to write the ends, and to deliver them."""


@contextlib.contextmanager
def ended_in_time(interrupts: Interrupts, close: Callable[[Interrupted], None], resume_command: str) -> Iterator[None]:
    """Within the context, end the process about a minute after a signal at the latest.

    Args:
        interrupts: the signals of this process; outside its main thread there are none.
        close: writes the ends of the runs.
        resume_command: the command that resumes the sweep.
    """
    over = threading.Event()
    if threading.current_thread() is threading.main_thread():
        watch = (interrupts, over, close, resume_command)
        threading.Thread(target=_watch, args=watch, name="end-watch", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _watch(
    interrupts: Interrupts, over: threading.Event, close: Callable[[Interrupted], None], resume_command: str
) -> None:
    while not interrupts.is_requested():
        if over.wait(POLL_SECONDS):
            return
    if over.wait(ANSWER_SECONDS):
        return
    notes.info(f"Ray has not ended the trials within {ANSWER_SECONDS} s: ending without it")
    signal.pthread_kill(threading.main_thread().ident or 0, interrupts.number)
    if over.wait(BLOCKED_SECONDS):
        return
    closing = threading.Thread(target=close, args=(Interrupted(interrupts.number),), name="closing", daemon=True)
    closing.start()
    closing.join(CLOSING_SECONDS)
    print(f"interrupted\nresume with: {resume_command}", file=sys.stderr, flush=True)
    os._exit(128 + interrupts.number)

"""What a command would print on stderr as notes: collected, or answered by an action."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sweeps.notes import notes


class _Listener(logging.Handler):
    def __init__(self, action: Callable[[str], None]) -> None:
        super().__init__()
        self._action = action

    def emit(self, record: logging.LogRecord) -> None:
        self._action(record.getMessage())


@contextmanager
def listening(action: Callable[[str], None]) -> Iterator[None]:
    """Call an action with each note while the context lasts; what it raises comes out where the note is written."""
    before, listener = notes.level, _Listener(action)
    notes.setLevel(logging.INFO)
    notes.addHandler(listener)
    try:
        yield
    finally:
        notes.removeHandler(listener)
        notes.setLevel(before)


@contextmanager
def heard_notes() -> Iterator[list[str]]:
    """Give a list to which each note is added while the context lasts."""
    sentences: list[str] = []
    with listening(sentences.append):
        yield sentences

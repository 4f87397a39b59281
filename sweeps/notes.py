"""Notes to the user while a command runs: a logger `sweeps.notes`, and the handler that prints them on stderr."""

import logging
import sys

from bddseg.errors import printable

notes = logging.getLogger("sweeps.notes")


class StderrHandler(logging.Handler):
    """Prints a note as one line on the stderr of that moment, which may have been replaced since the start."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it at once: a terminal shows it before the work that it announces."""
        print(printable(record.getMessage()), file=sys.stderr, flush=True)


def show_notes(*, is_quiet: bool = False) -> None:
    """Print notes on stderr from now on, or none: --quiet. Other log lines are not affected."""
    notes.setLevel(logging.WARNING if is_quiet else logging.INFO)
    notes.propagate = False  # the root logger would print them a second time, with its level and name before them
    notes.handlers = [StderrHandler()]

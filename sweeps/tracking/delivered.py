"""The events of a sweep that MLflow was given before, for a run that lost them."""

from collections.abc import Collection, Iterable, Iterator

from sweeps.storage.event_file import EventFile
from sweeps.storage.events import Artifact, Event, Line, Unreadable


class DeliveredEvents:
    """Reads the events before the cursor of an outbox."""

    def __init__(self, outbox: EventFile) -> None:
        self._outbox = outbox
        self._trials: set[str | None] | None = None
        """Trials with events before the cursor; None until they are needed."""

    def of_trials(self, trials: Collection[str]) -> list[Line]:
        """Return the delivered lines of some trials, from the first, without files."""
        return [line for line in self._before_cursor(trials) if not isinstance(line, Artifact)]

    def of_trial(self, trial: str) -> list[Event]:
        """Return the delivered events of a trial, from the first, without files."""
        if self._trials is None:
            self._trials = {line.trial for line in self._before_cursor(None)}
        lines = self.of_trials([trial]) if trial in self._trials else ()  # of most trials, there are none to search for
        return [line for line in lines if not isinstance(line, Unreadable)]

    def files_of(self, trial: str) -> Iterator[Artifact]:
        """Yield the events of the files of a trial."""
        return (line for line in self._before_cursor([trial]) if isinstance(line, Artifact))

    def add(self, lines: Iterable[Line]) -> None:
        """Note that lines have been delivered: the cursor is behind them now."""
        if self._trials is not None:
            self._trials.update(line.trial for line in lines)

    def _before_cursor(self, trials: Collection[str] | None) -> Iterator[Line]:
        return self._outbox.all_lines(trials, epochs=trials is not None, before=self._outbox.committed())

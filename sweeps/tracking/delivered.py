"""The events of a sweep that MLflow was given before, for a run that lost them."""

from collections.abc import Collection, Iterable, Iterator

from sweeps.storage.events import ARTIFACT_KIND, Event, EventFile


class DeliveredEvents:
    """Reads the events before the cursor of an outbox."""

    def __init__(self, outbox: EventFile) -> None:
        self._outbox = outbox
        self._trials: set[str] | None = None
        """Trials with events before the cursor; None until they are needed."""

    def of_trials(self, trials: Collection[str]) -> list[Event]:
        """Return the delivered events of some trials, from the first, without files."""
        return [event for event in self._before_cursor(trials) if event["kind"] != ARTIFACT_KIND]

    def of_trial(self, trial: str) -> list[Event]:
        """Return the delivered events of a trial, from the first, without files."""
        if self._trials is None:
            self._trials = {str(event.get("trial")) for event in self._before_cursor(None)}
        return self.of_trials([trial]) if trial in self._trials else []  # of most trials, there are none to search for

    def files_of(self, trial: str) -> Iterator[Event]:
        """Yield the events of the files of a trial."""
        return (event for event in self._before_cursor([trial]) if event["kind"] == ARTIFACT_KIND)

    def add(self, events: Iterable[Event]) -> None:
        """Note that events have been delivered: the cursor is behind them now."""
        if self._trials is not None:
            self._trials.update(str(event.get("trial")) for event in events)

    def _before_cursor(self, trials: Collection[str] | None) -> Iterator[Event]:
        return self._outbox.events(trials, epochs=trials is not None, before=self._outbox.committed())

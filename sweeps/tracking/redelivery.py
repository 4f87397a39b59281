"""The second delivery of events: of those that MLflow refused, and of those that it has lost."""

from collections.abc import Collection

from sweeps.storage.events import ARTIFACT_KIND
from sweeps.storage.outbox import Outbox
from sweeps.tracking.delivered import DeliveredEvents
from sweeps.tracking.missing import find_missing
from sweeps.tracking.uploads import FileUploads
from sweeps.tracking.writer import Recorder, Rejected

TRIALS_AT_ONCE = 200
"""Trials whose events are in memory together."""


class Redelivery:
    """Sends events of one outbox again, always all events of a trial.

    Args:
        outbox: of the sweep.
        recorder: records its events.
        uploads: uploads its files.
        delivered: its events so far.
    """

    def __init__(self, outbox: Outbox, recorder: Recorder, uploads: FileUploads, delivered: DeliveredEvents) -> None:
        self._outbox = outbox
        self._recorder = recorder
        self._uploads = uploads
        self._delivered = delivered

    def send_missing(self, tracking_uri: str, sweep_id: str) -> int:
        """Send the events that MLflow has lost, and queue the files; return how many events that were.

        Raises whatever a store raises that cannot be used.
        """
        missing = find_missing(self._outbox, tracking_uri, sweep_id)
        number, refused = self._send(missing.trials)
        self._outbox.reject(refused)
        self._uploads.add(missing.files)
        for trial in missing.trials:
            self._uploads.add(self._delivered.files_of(trial))
        return number - len(refused)

    def send_refused(self) -> int:
        """Send refused events again; return how many of them are accepted now.

        All events of their trials are sent, because a refused event may come before others that were accepted.

        Raises whatever a store raises that cannot be used.
        """
        rejects = [(reject["event"], str(reject["why"])) for reject in self._outbox.rejects()]
        files = [event for event, _ in rejects if event.get("kind") == ARTIFACT_KIND]
        events = [(event, why) for event, why in rejects if event.get("kind") != ARTIFACT_KIND]
        hopeless = [(event, why) for event, why in events if not isinstance(event.get("trial"), str)]
        _, refused = self._send({event["trial"] for event, _ in events if isinstance(event.get("trial"), str)})
        self._uploads.add(files)
        self._outbox.save_rejects([*hopeless, *refused])
        return max(0, len(events) - len(hopeless) - len(refused))

    def _send(self, trials: Collection[str]) -> tuple[int, Rejected]:
        """Send all events of these trials, from the first; return their number, and those that were refused."""
        number, refused, remaining = 0, [], sorted(trials)
        while remaining:
            chunk, remaining = remaining[:TRIALS_AT_ONCE], remaining[TRIALS_AT_ONCE:]
            events = self._delivered.of_trials(chunk)
            refused += self._recorder.record(events, is_all=True)
            number += len(events)
        return number, refused

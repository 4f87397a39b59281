"""The second delivery of events: of those that MLflow refused, and of those that it has lost."""

from collections.abc import Collection

from sweeps.storage.event_file import Refused
from sweeps.storage.events import Artifact
from sweeps.storage.outbox import Outbox
from sweeps.tracking.delivered import DeliveredEvents
from sweeps.tracking.missing import find_missing
from sweeps.tracking.uploads import FileUploads
from sweeps.tracking.writer import Recorder

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

        Raises whatever a store raises that cannot be used; a store of files that cannot be listed, after all else.
        """
        missing = find_missing(self._outbox, tracking_uri, sweep_id)
        number, refused = self._send(missing.trials)
        self._outbox.reject(refused)
        self._uploads.add(missing.files)
        for trial in missing.trials:
            self._uploads.add(self._delivered.files_of(trial))
        if missing.failure:
            raise missing.failure
        return number - len(refused)

    def send_refused(self) -> int:
        """Send refused events again; return how many of them are accepted now.

        All events of their trials are sent, because a refused event may come before others that were accepted.

        Raises whatever a store raises that cannot be used.
        """
        rejects = self._outbox.rejects()
        files = [line for line, _ in rejects if isinstance(line, Artifact)]
        events = [(line, why) for line, why in rejects if not isinstance(line, Artifact)]
        hopeless = [(line, why) for line, why in events if line.trial is None]
        _, refused = self._send({line.trial for line, _ in events if line.trial is not None})
        self._uploads.add(files)
        self._outbox.save_rejects([*hopeless, *refused])
        return max(0, len(events) - len(hopeless) - len(refused))

    def _send(self, trials: Collection[str]) -> tuple[int, list[Refused]]:
        """Send all events of these trials, from the first; return their number, and those that were refused."""
        refused: list[Refused] = []
        number, remaining = 0, sorted(trials)
        while remaining:
            chunk, remaining = remaining[:TRIALS_AT_ONCE], remaining[TRIALS_AT_ONCE:]
            lines = self._delivered.of_trials(chunk)
            refused += self._recorder.record(lines, is_all=True)
            number += len(lines)
        return number, refused

"""Events -> MLflow runs: the only writer. Every step is idempotent, so that any of them can be repeated after a fault.

A run is looked up by its tags before it is created; MLflow keeps one of two equal metric points; parameters are logged
once; tags and files replace themselves. A run that was deleted is created again with every event of its trial.
"""

import threading
from collections.abc import Callable, Sequence

from sweeps.storage.event_file import Refused
from sweeps.storage.events import PARENT, Artifact, Event, Line, Start, Unreadable
from sweeps.storage.tags import INCOMPLETE
from sweeps.tracking.batch import check_file, fault_of
from sweeps.tracking.delivered import DeliveredEvents
from sweeps.tracking.failures import GONE, PERMANENT, UNCLEAR, code_of, kind_of, reason
from sweeps.tracking.run import KnownRun, remove_tag, sync_artifact, write_batch
from sweeps.tracking.sweep_runs import PARENT_TAG, SweepRuns

PATIENCE = 10
"""Failed rounds, about a minute, after which an unclear failure counts as permanent, if other writes succeed."""


class Recorder:
    """Records the events of one sweep.

    Args:
        runs: its runs in MLflow.
        delivered: its earlier events, for a run that was lost.
        upload_again: queues the files of a trial, whose run was lost together with them.
    """

    def __init__(self, runs: SweepRuns, delivered: DeliveredEvents, upload_again: Callable[[str], None]) -> None:
        self._runs = runs
        self._store = runs.store
        self._delivered = delivered
        self._upload_again = upload_again
        self._lock = threading.RLock()
        self._failures = 0
        self._refused: list[Refused] = []
        """Refused while the sweep's run, or that of a file, was completed; returned with the next events."""

    def record(self, lines: Sequence[Line], *, is_all: bool = False) -> list[Refused]:
        """Record events run by run, the parent first; return those that MLflow will never take.

        Raises whatever a store raises that cannot be used now; all events may be given again then.

        Args:
            lines: events of any kind but artifact, and what cannot be read.
            is_all: whether they are all events of their trials, from the first.
        """
        rejected: list[Refused] = []
        by_trial: dict[str, list[Event]] = {}
        for line in lines:
            if (why := fault_of(line)) or isinstance(line, Unreadable):
                rejected.append((line, why))
            else:
                by_trial.setdefault(line.trial, []).append(line)
        with self._lock:
            try:
                self._store.client()
                for trial in sorted(by_trial, key=lambda trial: trial != PARENT):
                    rejected += self._record_run(trial, by_trial[trial], is_all=is_all)
            except Exception:
                self._failures += 1
                raise
            self._failures = 0
            earlier, self._refused = self._refused, []
        return rejected + earlier

    def upload(self, event: Artifact) -> None:
        """Upload the file of an artifact event into the run of its trial.

        Raises:
            ArtifactFileError: when there is no such file, or it cannot be read.
            Exception: whatever the store, or its store of files, raises.
        """
        check_file(event.path)
        with self._lock:
            client, run = self._store.client(), self._run(event.trial, event)
            self._complete(event.trial, run)
        try:  # outside the lock: a large file must not hold up the events
            client.log_artifact(run.run_id, str(event.path), event.folder or None)
        except Exception:
            with self._lock:
                self._runs.look_for(event.trial)
            raise
        sync_artifact(run, event)

    def _record_run(self, trial: str, events: Sequence[Event], *, is_all: bool) -> list[Refused]:
        """Send the events of one run, after what a run that was created again lacks; return those that are refused."""
        try:
            run = self._run(trial, events[0] if events else Start(trial))
        except Exception as error:
            if not self._is_permanent(error):
                raise
            self._store.check_experiment()
            return [(event, reason(error, self._store.uri)) for event in events]
        lost = self._delivered.of_trial(trial) if run.is_incomplete and not is_all else []
        rejected = self._send_in_parts(trial, lost) + self._send_in_parts(trial, events)
        if run.is_incomplete and self._runs.get(trial) is run:
            self._finish_again(trial, run)
        return rejected

    def _finish_again(self, trial: str, run: KnownRun) -> None:
        """Queue the files of a run that was created again, and remove its mark: it has its events."""
        self._upload_again(trial)
        if trial == PARENT:
            for run_id in self._runs.trial_run_ids():
                self._store.client().set_tag(run_id, PARENT_TAG, run.run_id)
        remove_tag(self._store.client(), run.run_id, INCOMPLETE)
        run.is_incomplete = False

    def _send_in_parts(self, trial: str, events: Sequence[Event]) -> list[Refused]:
        """Send events as one batch; halve a batch that is refused until the event at fault stands alone."""
        if not events:
            return []
        try:
            self._send(trial, events)
            return []
        except Exception as error:
            if not self._is_permanent(error):
                raise
            self._store.check_experiment()
            if not self._runs.is_active(trial):
                return self._record_run(trial, events, is_all=False)  # its run was deleted: into a new one
            if len(events) == 1:
                return [(events[0], reason(error, self._store.uri))]
        middle = len(events) // 2
        return self._send_in_parts(trial, events[:middle]) + self._send_in_parts(trial, events[middle:])

    def _send(self, trial: str, events: Sequence[Event]) -> None:
        try:
            client, run = self._store.client(), self._run(trial, events[0])
            batch = run.batch(client)
            for event in events:
                batch.add(event)
            write_batch(client, run, batch)
        except Exception as error:
            if code_of(error) == GONE:
                self._store.forget()
            raise

    def _run(self, trial: str, event: Event) -> KnownRun:
        """Return the run of a trial, created where there is none; `event` is the first that it is to have."""
        if run := self._runs.find(trial):
            return run
        delivered = self._delivered.of_trial(trial)
        first = delivered[0] if delivered else event
        parent = self._parent(first) if trial != PARENT else None
        return self._runs.create(trial, first, parent, is_incomplete=bool(delivered))

    def _parent(self, event: Event) -> KnownRun:
        """Return the run of the sweep, completed."""
        parent = self._run(PARENT, Start(PARENT, time_ms=event.time_ms))
        self._complete(PARENT, parent)
        return parent

    def _complete(self, trial: str, run: KnownRun) -> None:
        """Send the events that a run lacks that was created again."""
        if run.is_incomplete:
            self._refused += self._record_run(trial, (), is_all=False)

    def _is_permanent(self, error: Exception) -> bool:
        """Return whether a failure is final.

        An unclear one is after PATIENCE rounds, and only while the store takes other writes: a full one refuses all.
        """
        kind = kind_of(error)
        if kind == UNCLEAR and self._failures >= PATIENCE:
            return self._store.takes_writes()
        return kind == PERMANENT

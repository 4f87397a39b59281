"""Events -> MLflow runs: the only writer. Every step may be repeated and changes nothing the second time.

A run is looked for by its tags before it is created; a metric stays as it was first recorded at a step; parameters are
logged once; tags and files replace themselves. A run that has to be made again gets every event of its trial, from the
first.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from sweeps.errors import TrackingError
from sweeps.storage.events import PARENT, Event, EventFile
from sweeps.storage.records import IDENTITY
from sweeps.storage.tags import INCOMPLETE, ROLE, SWEEP_ID, TRIAL_ID
from sweeps.tracking.batch import NAME_CHARS, Steps, check_file, fault_of
from sweeps.tracking.connection import Connection
from sweeps.tracking.failures import GONE, PERMANENT, TRANSIENT, code_of, kind_of, reason
from sweeps.tracking.run import KnownRun, adopted, remove_tag, sync_artifact, write_batch
from sweeps.tracking.run_ids import load_ids, save_ids
from sweeps.tracking.uri import hide_password

if TYPE_CHECKING:
    from mlflow.entities import Run

PATIENCE = 10
"""Failed rounds, about a minute, after which an unclear failure counts as permanent, if other writes succeed."""

HEARTBEAT_TAG = "sweep.heartbeat"
"""When the sweep's driver was last known to be alive, in milliseconds."""

PAGE_ROWS = 1000
PARENT_TAG = "mlflow.parentRunId"
Rejected = list[tuple[Event, str]]
"""Events that MLflow will never take, with the reason."""


class History(Protocol):
    """What was delivered of a sweep before."""

    def events_of(self, trial: str) -> Iterable[Event]:
        """Return the events of a trial that were delivered, from the first, without its files."""

    def upload_again(self, trial: str) -> None:
        """Note that the files of a trial are missing, to be uploaded again."""


class Recorder:
    """Records the events of one sweep.

    Raises:
        TrackingError: when the sweep's id cannot be searched for, or the address is no store's.
    """

    def __init__(self, tracking_uri: str, sweep_id: str, outbox: EventFile, history: History) -> None:
        if not IDENTITY.fullmatch(sweep_id):
            raise TrackingError(f"sweep id {sweep_id!r} must be made of letters, digits, '_', '.' and '-'")
        self._store = Connection(tracking_uri, self._forget)
        self._sweep_id = sweep_id
        self._outbox = outbox
        self._history = history
        self._lock = threading.RLock()
        self._runs: dict[str, KnownRun] = {}
        noted, self._ids = load_ids(outbox)
        self.was_elsewhere = noted not in ("", hide_password(self._store.uri))
        """The sweep was recorded in another store before."""
        if self.was_elsewhere:
            self._ids = {}
        self._failures = 0
        self._refused: Rejected = []
        """What was refused while a run was completed on the way; returned with the next events."""

    def record(self, events: Sequence[Event], *, is_all: bool = False) -> Rejected:
        """Record events run by run, the parent first; return those that MLflow will never take.

        Raises whatever a store raises that cannot be used now; all events may be given again then.

        Args:
            events: of any kind but artifact.
            is_all: whether they are all events of their trials, from the first.
        """
        faults = [(event, fault_of(event)) for event in events]
        rejected = [(event, why) for event, why in faults if why]
        by_trial: dict[str, list[Event]] = {}
        for event in (event for event, why in faults if not why):
            by_trial.setdefault(event["trial"], []).append(event)
        with self._lock:
            try:
                self._store.client()
                for trial in sorted(by_trial, key=lambda trial: trial != PARENT):
                    rejected += self._record_run(trial, by_trial[trial], is_all=is_all)
            except Exception:
                self._failures += 1
                raise
            self._failures = 0
            rejected += self._refused
            self._refused = []
        return rejected

    def upload(self, event: Event) -> None:
        """Upload the file of an artifact event into the run of its trial; the others may record meanwhile.

        Raises:
            ArtifactFileError: when there is no such file, or it is closed to us.

        Raises also whatever the store, or its store of files, raises.
        """
        check_file(event)
        with self._lock:
            client, run = self._store.client(), self._run(event["trial"], event)
            self._complete(event["trial"], run)
        try:
            client.log_artifact(run.run_id, event["path"], event["folder"] or None)
        except Exception:
            with self._lock:
                self._store.check_experiment()
                self._is_active(event["trial"])
            raise
        sync_artifact(run, event)

    def move_here(self) -> None:
        """Note that the sweep is recorded here from now on."""
        save_ids(self._outbox, self._store.uri, self._ids)
        self.was_elsewhere = False

    def beat(self) -> bool:
        """Put the time on the sweep's run; return whether there is one. Raises what a store raises that is down."""
        with self._lock:
            if PARENT not in self._runs:
                return False
            try:
                now = str(int(time.time() * 1000))
                self._store.client().set_tag(self._runs[PARENT].run_id, HEARTBEAT_TAG, now)
            except Exception:
                if self._is_active(PARENT):
                    raise
                return False  # it was deleted: the sweep's next event makes it again
        return True

    def _record_run(self, trial: str, events: Sequence[Event], *, is_all: bool) -> Rejected:
        """Send the events of one run, after what a run that was made again lacks; return those that are refused."""
        try:
            run = self._run(trial, events[0] if events else {})
        except Exception as error:
            if not self._is_permanent(error):
                raise
            self._store.check_experiment()
            return [(event, reason(error, self._store.uri)) for event in events]
        rejected: Rejected = []
        if run.is_incomplete and not is_all:
            rejected = self._send_in_parts(trial, list(self._history.events_of(trial)))
        rejected += self._send_in_parts(trial, events)
        if run.is_incomplete and self._runs.get(trial) is run:
            self._history.upload_again(trial)
            if trial == PARENT:
                self._join_trials(run)
            remove_tag(self._store.client(), run.run_id, INCOMPLETE)
            run.is_incomplete = False
        return rejected

    def _join_trials(self, parent: KnownRun) -> None:
        """Let the runs of the trials point at their sweep's run, which was made again."""
        client, query = self._store.client(), f"tags.`{SWEEP_ID}` = '{self._sweep_id}' and tags.`{ROLE}` = 'trial'"
        token: str | None = ""
        while token is not None:
            page = client.search_runs([self._store.experiment], query, max_results=PAGE_ROWS, page_token=token or None)
            for run in page:
                client.set_tag(run.info.run_id, PARENT_TAG, parent.run_id)
            token = page.token or None

    def _send_in_parts(self, trial: str, events: Sequence[Event]) -> Rejected:
        """Send events as one batch; where it is refused, halve it until the culprit stands alone."""
        if not events:
            return []
        try:
            self._send(trial, events)
            return []
        except Exception as error:
            if not self._is_permanent(error):
                raise
            self._store.check_experiment()
            if not self._is_active(trial):
                return self._record_run(trial, events, is_all=False)  # its run was deleted: in a new one
            if len(events) == 1:
                return [(events[0], reason(error, self._store.uri))]
        middle = len(events) // 2
        return self._send_in_parts(trial, events[:middle]) + self._send_in_parts(trial, events[middle:])

    def _send(self, trial: str, events: Sequence[Event]) -> None:
        try:
            client, run = self._store.client(), self._run(trial, events[0])
            batch = run.batch()
            if not run.is_new:
                batch.recorded = lambda key: self._steps(run.run_id, key)
            for event in events:
                batch.add(event)
            write_batch(client, run, batch)
        except Exception as error:
            if code_of(error) == GONE:
                self._store.forget()
            raise

    def _run(self, trial: str, event: Event) -> KnownRun:
        if trial not in self._runs:
            found = self._known_run(trial) or self._search(trial)
            self._runs[trial] = adopted(found) if found else self._create(trial, event)
            self._ids[trial] = self._runs[trial].run_id
            save_ids(self._outbox, self._store.uri, self._ids)
        return self._runs[trial]

    def _known_run(self, trial: str) -> "Run | None":
        """Return the run whose id an earlier process noted, unless it has been deleted since."""
        if trial not in self._ids:
            return None
        try:
            run = self._store.client().get_run(self._ids[trial])
        except Exception as error:
            if code_of(error) != GONE:
                raise
            return None
        return run if run.info.lifecycle_stage == "active" else None

    def _search(self, trial: str) -> "Run | None":
        role = f"tags.`{TRIAL_ID}` = '{trial}'" if trial != PARENT else f"tags.`{ROLE}` = 'sweep'"
        query = f"tags.`{SWEEP_ID}` = '{self._sweep_id}' and {role}"
        found = self._store.client().search_runs(
            [self._store.experiment], query, max_results=1, order_by=["start_time ASC"]
        )
        return found[0] if found else None

    def _create(self, trial: str, event: Event) -> KnownRun:
        """Make the run of a trial: where events of it were delivered before, with a mark until it has them again."""
        before = next(iter(self._history.events_of(trial)), None)
        first = before or event
        tags = {SWEEP_ID: self._sweep_id, ROLE: "sweep"} | ({INCOMPLETE: "true"} if before else {})
        if trial != PARENT:
            parent = self._parent(first)
            tags |= {ROLE: "trial", TRIAL_ID: trial, PARENT_TAG: parent.run_id}
        name = str(first.get("name") or trial or self._sweep_id)[:NAME_CHARS]
        time_ms = first.get("time_ms", int(time.time() * 1000))
        run = self._store.client().create_run(self._store.experiment, start_time=time_ms, tags=tags, run_name=name)
        return KnownRun(run.info.run_id, run.info.artifact_uri or "", is_incomplete=before is not None)

    def _parent(self, event: Event) -> KnownRun:
        """Return the run of the sweep, whole."""
        parent = self._run(PARENT, {"time_ms": event["time_ms"]} if "time_ms" in event else {})
        self._complete(PARENT, parent)
        return parent

    def _complete(self, trial: str, run: KnownRun) -> None:
        """Send what a run lacks that was made again."""
        if run.is_incomplete:
            self._refused += self._record_run(trial, (), is_all=False)

    def _steps(self, run_id: str, key: str) -> Steps:
        """Return where a metric was recorded; of two attempts at a step, the first."""
        points = self._store.client().get_metric_history(run_id, key)
        return {point.step: point.timestamp for point in sorted(points, key=lambda point: -point.timestamp)}

    def _forget(self) -> None:
        """Look for every run again: one was deleted, or another store has taken the place of the old one."""
        self._runs.clear()
        self._ids.clear()

    def _is_active(self, trial: str) -> bool:
        """Return whether a trial's run may be written to; forget one that was deleted."""
        if trial not in self._runs or self._known_run(trial):
            return True
        del self._runs[trial], self._ids[trial]
        return False

    def _is_permanent(self, error: Exception) -> bool:
        kind = kind_of(error)
        if kind == TRANSIENT or (kind != PERMANENT and self._failures < PATIENCE):
            return False
        return kind == PERMANENT or self._store.takes_writes()

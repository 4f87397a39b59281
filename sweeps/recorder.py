"""Events -> MLflow runs: the only writer. Every step may be repeated and changes nothing the second time.

A run is looked for by its tags before it is created; a metric stays as it was first recorded at a step; parameters are
logged once; tags and files replace themselves. A run that has to be made again gets every event of its trial, from the
first.
"""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bddseg.files import sync_file, sync_folder
from sweeps.address import check_uri, database_file, folder_of, hide_password
from sweeps.batch import NAME_CHARS, STATUSES, STOP_TAGS, Batch, Steps, check_file, fault_of
from sweeps.errors import TrackingError
from sweeps.events import PARENT, Event, EventFile
from sweeps.failures import GONE, PERMANENT, TRANSIENT, code_of, kind_of, reason
from sweeps.mlflow_client import forget_database, open_client
from sweeps.mlflow_store import check_active, experiment_id
from sweeps.records import IDENTITY
from sweeps.run_ids import load_ids, save_ids

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PATIENCE = 10
"""Failed rounds, about a minute, after which an unclear failure counts as permanent, if other writes succeed."""

HEARTBEAT_TAG = "sweep.heartbeat"
"""When the sweep's driver was last known to be alive, in milliseconds."""

INCOMPLETE_TAG = "sweep.incomplete"
"""On a run that was made again, until it has all events of its trial: whoever finds it there goes on with that."""

PROBE_TAG = "sweep.probe"
Rejected = list[tuple[Event, str]]
"""Events that MLflow will never take, with the reason."""


class History(Protocol):
    """What was delivered of a sweep before."""

    def events_of(self, trial: str) -> Iterable[Event]:
        """Return the events of a trial that were delivered, from the first, without its files."""

    def upload_again(self, trial: str) -> None:
        """Note that the files of a trial are missing, to be uploaded again."""


@dataclass
class _Run:
    """What MLflow is known to have of one run."""

    run_id: str
    artifact_uri: str
    status: str = "RUNNING"
    is_unnamed: bool = False
    """It is called by its trial's id."""
    params: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, Steps] = field(default_factory=dict)
    stop_tags: frozenset[str] = frozenset()
    is_new: bool = True
    """Made by this process, so that nothing has been recorded in it."""
    is_incomplete: bool = False
    """It lacks what was delivered to the run before it."""


class Recorder:
    """Records the events of one sweep.

    Raises:
        TrackingError: when the sweep's id cannot be searched for, or the address is no store's.
    """

    def __init__(self, tracking_uri: str, sweep_id: str, outbox: EventFile, history: History) -> None:
        if not IDENTITY.fullmatch(sweep_id):
            raise TrackingError(f"sweep id {sweep_id!r} must be made of letters, digits, '_', '.' and '-'")
        self._uri = check_uri(tracking_uri)
        self._sweep_id = sweep_id
        self._outbox = outbox
        self._history = history
        self._lock = threading.RLock()
        self._client: MlflowClient | None = None
        self._experiment = ""
        self._database: tuple[int, int] | None = None
        self._runs: dict[str, _Run] = {}
        noted, self._ids = load_ids(outbox)
        self.was_elsewhere = noted not in ("", hide_password(self._uri))
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
                self._connect()
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
            client, run = self._connect(), self._run(event["trial"], event)
            self._complete(event["trial"], run)
        try:
            client.log_artifact(run.run_id, event["path"], event["folder"] or None)
        except Exception:
            with self._lock:
                self._check_experiment()
                self._is_active(event["trial"])
            raise
        _sync_artifact(run.artifact_uri, event)

    def move_here(self) -> None:
        """Note that the sweep is recorded here from now on."""
        save_ids(self._outbox, self._uri, self._ids)
        self.was_elsewhere = False

    def beat(self) -> bool:
        """Put the time on the sweep's run; return whether there is one. Raises what a store raises that is down."""
        with self._lock:
            if PARENT not in self._runs:
                return False
            try:
                now = str(int(time.time() * 1000))
                self._connect().set_tag(self._runs[PARENT].run_id, HEARTBEAT_TAG, now)
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
            self._check_experiment()
            return [(event, reason(error, self._uri)) for event in events]
        rejected: Rejected = []
        if run.is_incomplete and not is_all:
            rejected = self._send_in_parts(trial, list(self._history.events_of(trial)))
        rejected += self._send_in_parts(trial, events)
        if run.is_incomplete:
            self._history.upload_again(trial)
            _remove_tag(self._connect(), run.run_id, INCOMPLETE_TAG)
            run.is_incomplete = False
        return rejected

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
            self._check_experiment()
            if not self._is_active(trial):
                return self._record_run(trial, events, is_all=False)  # its run was deleted: in a new one
            if len(events) == 1:
                return [(events[0], reason(error, self._uri))]
        middle = len(events) // 2
        return self._send_in_parts(trial, events[:middle]) + self._send_in_parts(trial, events[middle:])

    def _send(self, trial: str, events: Sequence[Event]) -> None:
        try:
            client, run = self._connect(), self._run(trial, events[0])
            batch = Batch(dict(run.params), {key: dict(steps) for key, steps in run.steps.items()})
            if not run.is_new:
                batch.recorded = lambda key: self._steps(run.run_id, key)
            for event in events:
                batch.add(event)
            _log_batch(client, run, batch)
            _take_back(client, run, batch)
            _set_status(client, run, batch)
            _set_name(client, run, batch)
        except Exception as error:
            if code_of(error) == GONE:
                self._forget()
            raise
        run.params, run.steps, run.status = batch.params, batch.steps, batch.status or run.status
        kept = frozenset() if batch.is_started else run.stop_tags
        run.stop_tags = kept | batch.tags.keys() & STOP_TAGS

    def _connect(self) -> "MlflowClient":
        """Return the client of the store.

        Raises:
            TrackingError: when the database, or the experiment in it, is missing or deleted.
        """
        self._look_for_database()
        if self._client is None:
            client = open_client(self._uri)
            self._experiment = experiment_id(client, self._uri, may_create=database_file(self._uri) is None)
            self._client = client
        return self._client

    def _look_for_database(self) -> None:
        """Start again where the database file was removed or replaced: MLflow would go on writing into the old one."""
        path = database_file(self._uri)
        if path is None:
            return
        try:
            status = path.stat()
        except FileNotFoundError as error:
            self._forget()
            raise TrackingError(f"the database {path} is missing: --sync makes it again") from error
        if self._database not in (None, (status.st_dev, status.st_ino)):
            self._forget()
        self._database = (status.st_dev, status.st_ino)

    def _check_experiment(self) -> None:
        """Check that the experiment is there: while it is deleted, MLflow refuses everything.

        Raises:
            TrackingError: when it is deleted.
        """
        try:
            check_active(self._connect().get_experiment(self._experiment), self._uri)
        except Exception as error:
            if code_of(error) == GONE:
                self._forget()
            raise

    def _run(self, trial: str, event: Event) -> _Run:
        if trial not in self._runs:
            found = self._known_run(trial) or self._search(trial)
            self._runs[trial] = _adopted(found) if found else self._create(trial, event)
            self._ids[trial] = self._runs[trial].run_id
            save_ids(self._outbox, self._uri, self._ids)
        return self._runs[trial]

    def _known_run(self, trial: str) -> "Run | None":
        """Return the run whose id an earlier process noted, unless it has been deleted since."""
        if trial not in self._ids:
            return None
        try:
            run = self._connect().get_run(self._ids[trial])
        except Exception as error:
            if code_of(error) != GONE:
                raise
            return None
        return run if run.info.lifecycle_stage == "active" else None

    def _search(self, trial: str) -> "Run | None":
        role = f"tags.`sweep.trial_id` = '{trial}'" if trial != PARENT else "tags.`sweep.role` = 'sweep'"
        query = f"tags.`sweep.id` = '{self._sweep_id}' and {role}"
        found = self._connect().search_runs([self._experiment], query, max_results=1, order_by=["start_time ASC"])
        return found[0] if found else None

    def _create(self, trial: str, event: Event) -> _Run:
        """Make the run of a trial: where events of it were delivered before, with a mark until it has them again."""
        before = next(iter(self._history.events_of(trial)), None)
        first = before or event
        tags = {"sweep.id": self._sweep_id, "sweep.role": "sweep"} | ({INCOMPLETE_TAG: "true"} if before else {})
        if trial != PARENT:
            parent = self._parent(first)
            tags |= {"sweep.role": "trial", "sweep.trial_id": trial, "mlflow.parentRunId": parent.run_id}
        name = str(first.get("name") or trial or self._sweep_id)[:NAME_CHARS]
        time_ms = first.get("time_ms", int(time.time() * 1000))
        run = self._connect().create_run(self._experiment, start_time=time_ms, tags=tags, run_name=name)
        return _Run(run.info.run_id, run.info.artifact_uri or "", is_incomplete=before is not None)

    def _parent(self, event: Event) -> _Run:
        """Return the run of the sweep, whole."""
        parent = self._run(PARENT, {"time_ms": event["time_ms"]} if "time_ms" in event else {})
        self._complete(PARENT, parent)
        return parent

    def _complete(self, trial: str, run: _Run) -> None:
        """Send what a run lacks that was made again."""
        if run.is_incomplete:
            self._refused += self._record_run(trial, (), is_all=False)

    def _steps(self, run_id: str, key: str) -> Steps:
        """Return where a metric was recorded; of two attempts at a step, the first."""
        points = self._connect().get_metric_history(run_id, key)
        return {point.step: point.timestamp for point in sorted(points, key=lambda point: -point.timestamp)}

    def _forget(self) -> None:
        """Look for every run again: one was deleted, or another store has taken the place of the old one."""
        self._runs.clear()
        self._ids.clear()
        self._client = self._database = None
        forget_database(self._uri)

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
        return kind == PERMANENT or self._takes_writes()

    def _takes_writes(self) -> bool:
        """Return whether the store takes anything: one that is full or read-only still answers questions."""
        try:
            self._connect().set_experiment_tag(self._experiment, PROBE_TAG, str(int(time.time() * 1000)))
        except Exception:  # noqa: BLE001 - stores raise what they like; the answer is no
            return False
        return True


def _adopted(run: "Run") -> _Run:
    tags = run.data.tags
    return _Run(
        run_id=run.info.run_id,
        artifact_uri=run.info.artifact_uri or "",
        status=run.info.status,
        is_unnamed=run.info.run_name == tags.get("sweep.trial_id"),
        params=dict(run.data.params),
        stop_tags=frozenset(key for key in STOP_TAGS if key in tags),
        is_new=False,
        is_incomplete=INCOMPLETE_TAG in tags,
    )


def _log_batch(client: "MlflowClient", run: _Run, batch: Batch) -> None:
    from mlflow.entities import Metric, Param, RunTag

    client.log_batch(
        run.run_id,
        metrics=[Metric(*point) for point in batch.metrics],
        params=[Param(key, value) for key, value in batch.params.items() if key not in run.params],
        tags=[RunTag(key, value) for key, value in batch.tags.items()],
    )


def _take_back(client: "MlflowClient", run: _Run, batch: Batch) -> None:
    """Remove what was said about the end of a run that has been started again."""
    for key in sorted(run.stop_tags - batch.tags.keys()) if batch.is_started else ():
        _remove_tag(client, run.run_id, key)


def _remove_tag(client: "MlflowClient", run_id: str, key: str) -> None:
    """Remove a tag that may have been removed: the answer to the first attempt may be lost."""
    try:
        client.delete_tag(run_id, key)
    except Exception as error:
        if code_of(error) != GONE:
            raise


def _set_status(client: "MlflowClient", run: _Run, batch: Batch) -> None:
    if batch.status in STATUSES:
        client.set_terminated(run.run_id, batch.status, batch.time_ms)
    elif batch.status and batch.status != run.status:
        client.update_run(run.run_id, status=batch.status)


def _set_name(client: "MlflowClient", run: _Run, batch: Batch) -> None:
    """Give a run its name that an earlier version made again without one."""
    if batch.name and run.is_unnamed:
        client.update_run(run.run_id, name=batch.name)
        run.is_unnamed = False


def _sync_artifact(artifact_uri: str, event: Event) -> None:
    """Put an uploaded file on the disk, where it lies on this machine: it counts as delivered from now on."""
    root = folder_of(artifact_uri)
    if root is None:
        return
    path = root / event["folder"] / Path(event["path"]).name
    sync_file(path)
    sync_folder(path.parent)

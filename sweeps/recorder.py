"""Events -> MLflow runs: the only writer. Every step may be repeated and changes nothing the second time.

A run is looked for by its tags before it is created; a metric stays as it was first recorded at a step; parameters are
logged once; tags and files replace themselves.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bddseg.files import write_json
from sweeps.address import check_uri, database_file, hide_password
from sweeps.batch import STATUSES, STOP_TAGS, Batch, Steps, fault_of
from sweeps.errors import TrackingError
from sweeps.failures import GONE, PERMANENT, TRANSIENT, code_of, kind_of, reason
from sweeps.mlflow_client import open_client
from sweeps.mlflow_store import experiment_id
from sweeps.outbox import PARENT, Event
from sweeps.records import IDENTITY

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PATIENCE = 10
"""Failed rounds, about a minute, after which an unclear failure counts as permanent, if other writes succeed."""

HEARTBEAT_TAG = "sweep.heartbeat"
"""When the sweep's driver was last known to be alive, in milliseconds."""

PROBE_TAG = "sweep.probe"
NAME_CHARS = 250
Rejected = list[tuple[Event, str]]
"""Events that MLflow will never take, with the reason."""


@dataclass
class _Run:
    """What MLflow is known to have of one run."""

    run_id: str
    status: str = "RUNNING"
    params: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, Steps] = field(default_factory=dict)
    stop_tags: frozenset[str] = frozenset()
    is_new: bool = True
    """Made by this process, so that nobody has recorded anything in it."""


class Recorder:
    """Records the events of one sweep; notes the ids of its runs in a file, so that the next process finds them fast.

    Raises:
        TrackingError: when the sweep's id cannot be searched for, or the address is no store's.
    """

    def __init__(self, tracking_uri: str, sweep_id: str, ids_file: Path) -> None:
        if not IDENTITY.fullmatch(sweep_id):
            raise TrackingError(f"sweep id {sweep_id!r} must be made of letters, digits, '_', '.' and '-'")
        self._uri = check_uri(tracking_uri)
        self._sweep_id = sweep_id
        self._client: MlflowClient | None = None
        self._experiment = ""
        self._runs: dict[str, _Run] = {}
        self._ids_file = ids_file
        noted, self._ids = load_ids(ids_file)
        self.was_elsewhere = noted not in ("", hide_password(self._uri))
        """The sweep was recorded in another store before."""
        if self.was_elsewhere:
            self._ids = {}
        self._failures = 0

    def record(self, events: Sequence[Event]) -> Rejected:
        """Record events run by run, the parent first; return those that MLflow will never take.

        Raises whatever a store that is away raises; all events may be given again then.
        """
        faults = [(event, fault_of(event)) for event in events]
        rejected = [(event, why) for event, why in faults if why]
        by_trial: dict[str, list[Event]] = {}
        for event in (event for event, why in faults if not why):
            by_trial.setdefault(event["trial"], []).append(event)
        try:
            self._connect()
            for trial in sorted(by_trial, key=lambda trial: trial != PARENT):
                rejected += self._record_run(trial, by_trial[trial])
        except Exception:
            self._failures += 1
            raise
        self._failures = 0
        return rejected

    def move_here(self) -> None:
        """Note that the sweep is recorded here from now on."""
        save_ids(self._ids_file, self._uri, self._ids)
        self.was_elsewhere = False

    def beat(self) -> bool:
        """Put the time on the sweep's run; return whether there is one yet. Raises what a store that is away raises."""
        if PARENT not in self._runs:
            return False
        self._connect().set_tag(self._runs[PARENT].run_id, HEARTBEAT_TAG, str(int(time.time() * 1000)))
        return True

    def _record_run(self, trial: str, events: Sequence[Event]) -> Rejected:
        """Send the events of one run as one batch; where it is refused, halve it until the culprit stands alone."""
        try:
            self._send(trial, events)
            return []
        except Exception as error:
            if not self._is_permanent(error):
                raise
            if not self._is_active(trial):
                return self._record_run(trial, events)  # its run was deleted: in a new one
            if len(events) == 1:
                return [(events[0], reason(error))]
        middle = len(events) // 2
        return self._record_run(trial, events[:middle]) + self._record_run(trial, events[middle:])

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
            for path, folder in batch.artifacts:
                client.log_artifact(run.run_id, path, folder or None)
            _set_status(client, run, batch)
        except Exception as error:
            if code_of(error) == GONE:
                self._forget()
            raise
        run.params, run.steps, run.status = batch.params, batch.steps, batch.status or run.status
        kept = frozenset() if batch.is_started else run.stop_tags
        run.stop_tags = kept | batch.tags.keys() & STOP_TAGS

    def _connect(self) -> "MlflowClient":
        if self._client is None:
            client = open_client(self._uri)
            self._experiment = experiment_id(client, None, may_create=database_file(self._uri) is None)
            self._client = client
        return self._client

    def _run(self, trial: str, event: Event) -> _Run:
        if trial not in self._runs:
            found = self._known_run(trial) or self._search(trial)
            run = _adopted(found) if found else _Run(self._create(trial, event))
            self._runs[trial] = run
            self._ids[trial] = run.run_id
            save_ids(self._ids_file, self._uri, self._ids)
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

    def _create(self, trial: str, event: Event) -> str:
        tags = {"sweep.id": self._sweep_id, "sweep.role": "sweep"}
        if trial != PARENT:
            parent = self._run(PARENT, {"time_ms": event["time_ms"]})
            tags |= {"sweep.role": "trial", "sweep.trial_id": trial, "mlflow.parentRunId": parent.run_id}
        name = str(event.get("name") or trial or self._sweep_id)[:NAME_CHARS]
        run = self._connect().create_run(self._experiment, start_time=event["time_ms"], tags=tags, run_name=name)
        return str(run.info.run_id)

    def _steps(self, run_id: str, key: str) -> Steps:
        """Return where a metric was recorded; of two attempts at a step, the first."""
        points = self._connect().get_metric_history(run_id, key)
        return {point.step: point.timestamp for point in sorted(points, key=lambda point: -point.timestamp)}

    def _forget(self) -> None:
        """Look for every run anew: somebody deleted one, or put another store in the place of the old one."""
        self._runs.clear()
        self._ids.clear()
        self._client = None

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


def load_ids(path: Path) -> tuple[str, dict[str, str]]:
    """Return the store that was noted, and the ids of its runs; nothing when the note is missing or damaged."""
    try:
        noted = json.loads(path.read_text())
        return str(noted["store"]), {str(trial): str(run) for trial, run in noted["runs"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "", {}


def save_ids(path: Path, uri: str, ids: Mapping[str, str]) -> None:
    """Note the ids of the runs, and of which store they are."""
    write_json(path, {"store": hide_password(uri), "runs": ids})


def _adopted(run: "Run") -> _Run:
    tags = frozenset(key for key in STOP_TAGS if key in run.data.tags)
    return _Run(run.info.run_id, run.info.status, dict(run.data.params), stop_tags=tags, is_new=False)


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
        try:
            client.delete_tag(run.run_id, key)
        except Exception as error:
            if code_of(error) != GONE:  # gone already: the answer to the first try was lost
                raise


def _set_status(client: "MlflowClient", run: _Run, batch: Batch) -> None:
    if batch.status in STATUSES:
        client.set_terminated(run.run_id, batch.status, batch.time_ms)
    elif batch.status and batch.status != run.status:
        client.update_run(run.run_id, status=batch.status)

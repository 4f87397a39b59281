"""Outbox -> MLflow, idempotent: the only writer of runs. A store that is away costs a sweep nothing but patience.

Every step may be repeated: a run is looked for by its tags before it is created, a metric with the same timestamp and
step is the same point, parameters are logged once, tags and files replace themselves.
"""

import fcntl
import json
import logging
import math
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bddseg.result import OBJECTIVE
from sweeps.errors import TrackingError
from sweeps.outbox import PARENT, Event, Outbox
from sweeps.store import EXPERIMENT, IDENTITY, SQLITE, database_file, hide_password, open_client, reason

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

log = logging.getLogger(__name__)

EXPERIMENT_TAGS = {
    "mlflow.experiment.primaryMetric.name": "best/miou",
    "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
    "mlflow.note.content": "Street-scene segmentation. A parent run is a sweep, its child runs are the sweep's trials.",
}

SERVERS = ("http", "https")
KNOWN = ("sqlite", "postgresql", "mysql", "mssql", "databricks", *SERVERS)
PROBE_SECONDS = 4

POISON = ("INVALID_PARAMETER_VALUE",)
"""Refusals that would be the same next time: the event is put aside at once."""

AWAY = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED",
        "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED", "UNAUTHENTICATED", "INVALID_STATE")  # fmt: skip
"""Failures that may be over next time, however often they come."""

PATIENCE = 10
"""Failed rounds, about a minute, after which any other failure counts as poison, if the store answers otherwise."""

SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0
LARGEST_INTEGER = 2**63 - 1
NAME_CHARS, PARAM_CHARS, TAG_CHARS = 250, 6000, 8000
STATUSES = ("FINISHED", "KILLED", "FAILED")


def default_tracking_uri(root: Path) -> str:
    """Return the address of the database in a storage folder."""
    return f"sqlite:///{Path(root).absolute() / 'mlflow.db'}"


def resolve_tracking_uri(uri: str | None, root: Path) -> str:
    """Return where to record: the flag, else MLFLOW_TRACKING_URI, else a database in the storage folder `root`.

    A relative database path is made absolute: processes that work in other folders must mean the same file.

    Raises:
        TrackingError: when MLflow cannot record there.
    """
    return _checked_uri((uri or os.environ.get("MLFLOW_TRACKING_URI") or default_tracking_uri(root)).strip())


def prepare_store(tracking_uri: str, artifact_root: Path) -> None:
    """Make the database, where there is none, and the experiment in it; check that both can be used.

    Several processes may do so at once. A database keeps artifacts in `artifact_root`, a server where it likes.

    Raises:
        TrackingError: with address, reason and cure, within seconds.
    """
    uri = _checked_uri(tracking_uri)
    database = database_file(uri)
    if database is None:
        _probe(uri)
        _prepare_experiment(uri, None)
        return
    try:
        artifact_root = Path(artifact_root).absolute()
        artifact_root.mkdir(parents=True, exist_ok=True)
        with _locked(database):
            _prepare_file(database)
            _prepare_experiment(uri, artifact_root.as_uri())
    except (OSError, sqlite3.Error) as error:
        raise TrackingError(f"{uri} cannot be written ({reason(error)}): choose another --tracking-uri") from error


@dataclass
class _Run:
    """What MLflow is known to have of one run."""

    run_id: str
    status: str = "RUNNING"
    params: Mapping[str, str] = field(default_factory=dict)
    epochs: Mapping[int, int] = field(default_factory=dict)
    """Epoch -> timestamp of its metrics."""


@dataclass
class _Batch:
    """What is to be sent of one run, starting from what MLflow has."""

    params: dict[str, str] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    metrics: list[tuple[str, float, int, int]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    artifacts: list[tuple[str, str]] = field(default_factory=list)
    status: str = ""
    time_ms: int = 0


class Delivery:
    """Carries the events of one outbox into MLflow, in a thread of its own after `start()`."""

    def __init__(self, outbox: Outbox, tracking_uri: str, sweep_id: str) -> None:
        if not IDENTITY.fullmatch(sweep_id):
            raise TrackingError(f"sweep id {sweep_id!r} must be made of letters, digits, '_', '.' and '-'")
        self._outbox = outbox
        self._uri = _checked_uri(tracking_uri)
        self._sweep_id = sweep_id
        self._client: MlflowClient | None = None
        self._experiment = ""
        self._runs: dict[str, _Run] = {}
        self._ids_file = outbox.folder / "runs.json"
        self._ids = _load_ids(self._ids_file, self._uri)
        self._failures = 0
        self._is_away = False
        self._one_at_a_time = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._deadline = math.inf

    def deliver_some(self, limit: int = 500) -> int:
        """Send up to `limit` events and return how many are done with; 0 when none waits.

        Raises whatever a store that is away raises; nothing is committed then, and the next call sends all again.
        """
        with self._one_at_a_time:
            events, offset = self._outbox.read(limit)
            if not events:
                return 0
            try:
                rejected = self._deliver(events)
            except Exception:
                self._failures += 1
                raise
            self._failures = 0
            self._put_aside(rejected)
            self._outbox.commit(offset)
            return len(events)

    def start(self) -> None:
        """Deliver from now on in a daemon thread, waiting longer and longer while the store is away."""
        self._running_thread()

    def close(self, seconds: float) -> int:
        """Deliver what is left, for at most so many seconds; return how many events are still undelivered."""
        self._deadline = time.monotonic() + seconds
        self._closing.set()
        self._running_thread().join(seconds)
        left = self._outbox.pending()
        if not left:
            self._tidy()
        return left

    def _running_thread(self) -> threading.Thread:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._loop, name="mlflow-delivery", daemon=True)
            self._thread.start()
        return self._thread

    def _loop(self) -> None:
        wait = SHORTEST_WAIT_S
        while True:
            done, failure = self._try()
            if done:
                wait = SHORTEST_WAIT_S
                continue
            if self._closing.is_set() and (not failure or time.monotonic() >= self._deadline):
                return
            self._pause(wait)
            wait = min(2 * wait, LONGEST_WAIT_S) if failure else SHORTEST_WAIT_S

    def _try(self) -> tuple[int, str]:
        """Deliver some; return how many events are done with, and why it failed ("" when it did not)."""
        try:
            done = self.deliver_some()
        except Exception as error:  # noqa: BLE001 - stores and their plug-ins raise what they like; recording goes on
            failure = reason(error)
            where = hide_password(self._uri)
            level = logging.DEBUG if self._is_away else logging.WARNING
            log.log(level, "MLflow at %s fails (%s): events wait in %s", where, failure, self._outbox.folder)
            self._is_away = True
            return 0, failure
        if done and self._is_away:
            log.warning("MLflow at %s takes events again", hide_password(self._uri))
            self._is_away = False
        return done, ""

    def _pause(self, seconds: float) -> None:
        if self._closing.is_set():
            time.sleep(max(0.0, min(SHORTEST_WAIT_S, self._deadline - time.monotonic())))
        else:
            self._closing.wait(seconds)

    def _deliver(self, events: Sequence[Event]) -> list[tuple[Event, str]]:
        """Send events run by run, the parent first; return those that MLflow will never take, with the reason."""
        faults = [(event, _fault(event)) for event in events]
        rejected = [(event, why) for event, why in faults if why]
        by_trial: dict[str, list[Event]] = {}
        for event in (event for event, why in faults if not why):
            by_trial.setdefault(event["trial"], []).append(event)
        self._connect()
        for trial in sorted(by_trial, key=lambda trial: trial != PARENT):
            rejected += self._deliver_run(trial, by_trial[trial])
        return rejected

    def _deliver_run(self, trial: str, events: Sequence[Event]) -> list[tuple[Event, str]]:
        """Send the events of one run as one batch; where it is refused, halve it until the culprit stands alone."""
        try:
            self._send(trial, events)
            return []
        except Exception as error:
            if not self._is_poison(error):
                raise
            if len(events) == 1:
                return [(events[0], reason(error))]
        middle = len(events) // 2
        return self._deliver_run(trial, events[:middle]) + self._deliver_run(trial, events[middle:])

    def _send(self, trial: str, events: Sequence[Event]) -> None:
        try:
            client, run = self._connect(), self._run(trial, events[0])
            batch = _Batch(params=dict(run.params), epochs=dict(run.epochs))
            for event in events:
                ADD[event["kind"]](batch, event)
            _log_batch(client, run, batch)
            for path, folder in batch.artifacts:
                client.log_artifact(run.run_id, path, folder or None)
            _set_status(client, run, batch)
        except Exception as error:
            if _code(error) == "RESOURCE_DOES_NOT_EXIST":
                self._forget()
            raise
        run.params, run.epochs, run.status = batch.params, batch.epochs, batch.status or run.status

    def _connect(self) -> "MlflowClient":
        if self._client is None:
            client = open_client(self._uri)
            self._experiment = _experiment_id(client, None, may_create=database_file(self._uri) is None)
            self._client = client
        return self._client

    def _run(self, trial: str, event: Event) -> _Run:
        if trial not in self._runs:
            found = self._known_run(trial) or self._search(trial)
            run = self._adopt(found) if found else _Run(self._create(trial, event))
            self._runs[trial] = run
            self._ids[trial] = run.run_id
            _save_ids(self._ids_file, self._uri, self._ids)
        return self._runs[trial]

    def _known_run(self, trial: str) -> "Run | None":
        """Return the run whose id an earlier process noted, unless it has been deleted since."""
        if trial not in self._ids:
            return None
        from mlflow.exceptions import MlflowException

        try:
            run = self._connect().get_run(self._ids[trial])
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return run if run.info.lifecycle_stage == "active" else None

    def _search(self, trial: str) -> "Run | None":
        role = f"tags.`sweep.trial_id` = '{trial}'" if trial != PARENT else "tags.`sweep.role` = 'sweep'"
        query = f"tags.`sweep.id` = '{self._sweep_id}' and {role}"
        found = self._connect().search_runs([self._experiment], query, max_results=1, order_by=["start_time ASC"])
        return found[0] if found else None

    def _adopt(self, run: "Run") -> _Run:
        history = self._connect().get_metric_history(run.info.run_id, OBJECTIVE)
        epochs = {point.step: point.timestamp for point in history}
        return _Run(run.info.run_id, run.info.status, dict(run.data.params), epochs)

    def _create(self, trial: str, event: Event) -> str:
        tags = {"sweep.id": self._sweep_id, "sweep.role": "sweep"}
        if trial != PARENT:
            parent = self._run(PARENT, {"time_ms": event["time_ms"]})
            tags |= {"sweep.role": "trial", "sweep.trial_id": trial, "mlflow.parentRunId": parent.run_id}
        name = str(event.get("name") or trial or self._sweep_id)[:NAME_CHARS]
        run = self._connect().create_run(self._experiment, start_time=event["time_ms"], tags=tags, run_name=name)
        return str(run.info.run_id)

    def _forget(self) -> None:
        """Look for every run anew: somebody deleted one, or put another store in the place of the old one."""
        self._runs.clear()
        self._ids.clear()
        self._client = None

    def _is_poison(self, error: Exception) -> bool:
        code = _code(error)
        if code in POISON:
            return True
        is_transport = "API request to" in str(error)
        if self._failures < PATIENCE or code in AWAY or is_transport:
            return False
        return self._answers()

    def _answers(self) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            self._connect().get_experiment(self._experiment)
        except (MlflowException, TrackingError, OSError):
            return False
        return True

    def _put_aside(self, rejected: Sequence[tuple[Event, str]]) -> None:
        for event, why in rejected:
            self._outbox.reject(event, why)
        if rejected:
            where, why = self._outbox.folder, rejected[0][1]
            log.warning("MLflow refused %d events, kept with the reason in %s: %s", len(rejected), where, why)

    def _tidy(self) -> None:
        """Let the database count its rows: sorting 10,000 runs by a metric took 5.6 s before and 0.2 s after."""
        database = database_file(self._uri)
        if database is None or not database.exists():
            return
        try:
            with closing(sqlite3.connect(database, timeout=1)) as connection:
                connection.execute("PRAGMA analysis_limit=400")
                connection.execute("ANALYZE")
        except sqlite3.Error as error:
            log.debug("ANALYZE of %s failed: %s", database, error)


def _add_start(batch: _Batch, event: Event) -> None:
    for key, value in event["params"].items():
        text = str(value)[:PARAM_CHARS]
        if batch.params.setdefault(key, text) != text:  # MLflow keeps the first value for good
            batch.tags[f"changed.{key}"] = text
    _add_tags(batch, event["tags"])
    batch.status = "RUNNING"


def _add_epoch(batch: _Batch, event: Event) -> None:
    """Add the metrics of an epoch, unless another attempt of the trial has delivered that epoch."""
    step, time_ms = _whole(event, "step"), _whole(event, "time_ms")
    if batch.epochs.setdefault(step, time_ms) == time_ms:
        batch.metrics += _points(event["metrics"], time_ms, step)


def _add_end(batch: _Batch, event: Event) -> None:
    if event["status"] not in STATUSES:
        raise ValueError(f"status is {event['status']!r}, but must be one of {', '.join(STATUSES)}")
    batch.status, batch.time_ms = event["status"], _whole(event, "time_ms")
    batch.metrics += _points(event["metrics"], batch.time_ms, _whole(event, "step"))
    note = event.get("note")
    _add_tags(batch, event["tags"] | ({"mlflow.note.content": note} if note else {}))


def _add_artifact(batch: _Batch, event: Event) -> None:
    if not Path(event["path"]).is_file():
        raise ValueError(f"there is no file {event['path']}")
    batch.artifacts.append((event["path"], event["folder"]))


ADD: dict[str, Callable[[_Batch, Event], None]] = {
    "start": _add_start,
    "epoch": _add_epoch,
    "end": _add_end,
    "artifact": _add_artifact,
}
"""Kind of an event -> what adds it to a batch."""


def _add_tags(batch: _Batch, tags: Mapping[str, Any]) -> None:
    batch.tags.update({key: str(value)[:TAG_CHARS] for key, value in tags.items()})


def _points(metrics: Mapping[str, Any], time_ms: int, step: int) -> list[tuple[str, float, int, int]]:
    return [(name, _number(name, value), time_ms, step) for name, value in metrics.items()]


def _number(name: str, value: Any) -> float:
    if value is None:
        return math.nan
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}, but must be a number or None")
    return float(value)


def _whole(event: Event, key: str) -> int:
    value = event[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST_INTEGER:
        raise ValueError(f"{key} is {value!r}, but must be a whole number from 0 to 2^63 - 1")
    return value


def _fault(event: Event) -> str:
    """Return why an event is not well formed; "" when it is."""
    if event.get("kind") not in ADD:
        return f"kind is {event.get('kind')!r}, but must be one of {', '.join(ADD)}"
    try:
        _whole(event, "time_ms")
        if event["trial"] != PARENT and not IDENTITY.fullmatch(event["trial"]):
            raise ValueError(f"trial is {event['trial']!r}, but must be made of letters, digits, '_', '.' and '-'")
        ADD[event["kind"]](_Batch(), event)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        return f"{event['kind']} event: {type(error).__name__} {error}"
    return ""


def _log_batch(client: "MlflowClient", run: _Run, batch: _Batch) -> None:
    from mlflow.entities import Metric, Param, RunTag

    client.log_batch(
        run.run_id,
        metrics=[Metric(*point) for point in batch.metrics],
        params=[Param(key, value) for key, value in batch.params.items() if key not in run.params],
        tags=[RunTag(key, value) for key, value in batch.tags.items()],
    )


def _set_status(client: "MlflowClient", run: _Run, batch: _Batch) -> None:
    if batch.status in STATUSES:
        client.set_terminated(run.run_id, batch.status, batch.time_ms)
    elif batch.status and batch.status != run.status:
        client.update_run(run.run_id, status=batch.status)


def _checked_uri(uri: str) -> str:
    match = SQLITE.fullmatch(uri)
    if match and match["path"] != ":memory:":
        path = match["path"]
        return uri.replace(f"///{path}", f"///{Path(path).absolute()}", 1)
    scheme = re.split(r"[+:]", uri, maxsplit=1)[0]
    if scheme == "sqlite":
        raise TrackingError(f"tracking URI {uri!r} names no file, but must be like sqlite:////absolute/path/mlflow.db")
    if scheme in KNOWN:
        return uri
    if scheme == "file" or "://" not in uri:
        raise TrackingError(
            f"tracking URI {uri!r} is a folder, but MLflow records into a database or to a server: "
            f"use sqlite:///{uri.removeprefix('file://').removeprefix('file:').rstrip('/')}/mlflow.db "
            "(`mlflow migrate-filestore` takes old runs along) or http://HOST:PORT"
        )
    raise TrackingError(f"tracking URI {hide_password(uri)!r} is of an unknown kind; known: {', '.join(KNOWN)}")


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    """Hold the database's lock file: two processes that fill a new database at once break it."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f"{database.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _prepare_file(database: Path) -> None:
    with closing(sqlite3.connect(database, timeout=20, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # readers and the writer do not wait for each other
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def _prepare_experiment(uri: str, location: str | None) -> None:
    try:
        _experiment_id(open_client(uri), location, may_create=True)
    except TrackingError:
        raise
    except Exception as error:  # each database and server fails in its own way
        shown = hide_password(uri)
        cure = f"run `mlflow db upgrade {shown}`" if "out-of-date" in str(error) else "choose another --tracking-uri"
        raise TrackingError(f"{shown} cannot be used ({reason(error)}): {cure}") from error


def _experiment_id(client: "MlflowClient", location: str | None, *, may_create: bool) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None and may_create:
        try:
            return str(client.create_experiment(EXPERIMENT, artifact_location=location, tags=EXPERIMENT_TAGS))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        raise TrackingError(f"the store has no experiment {EXPERIMENT}: it was not prepared, or replaced since")
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"experiment {EXPERIMENT} is deleted: run `mlflow experiments restore -x {found.experiment_id}` there"
        )
    return str(found.experiment_id)


def _probe(uri: str) -> None:
    """Ask a server for anything at all.

    Raises:
        TrackingError: when nothing answers within a few seconds.
    """
    if not uri.startswith(SERVERS):
        return
    import requests

    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=PROBE_SECONDS)
    except requests.exceptions.SSLError:
        return  # somebody is there; MLflow's client knows the user's TLS settings
    except requests.exceptions.RequestException as error:
        raise TrackingError(
            f"no MLflow server answers at {hide_password(uri)} ({_why_silent(error)}): start it with `mlflow server`, "
            "or leave --tracking-uri and MLFLOW_TRACKING_URI out to record into a local file"
        ) from error


def _why_silent(error: Exception) -> str:
    reasons = {"timed out": f"silent for {PROBE_SECONDS} s", "refused": "connection refused", "resolve": "unknown host"}
    return next((reason for sign, reason in reasons.items() if sign in str(error)), type(error).__name__)


def _load_ids(path: Path, uri: str) -> dict[str, str]:
    """Return the run ids that were noted for this store; none when the note is missing or damaged."""
    try:
        noted = json.loads(path.read_text())
        return {str(trial): str(run) for trial, run in noted["runs"].items()} if noted["store"] == uri else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _save_ids(path: Path, uri: str, ids: Mapping[str, str]) -> None:
    temporary = path.with_suffix(".json.tmp")
    temporary.write_text(json.dumps({"store": uri, "runs": ids}))
    os.replace(temporary, path)


def _code(error: Exception) -> str:
    return str(getattr(error, "error_code", ""))

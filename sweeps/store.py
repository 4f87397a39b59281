"""MLflow -> typed rows: the only reader. What it reads was written by anybody: ids, texts and files are checked here."""

import json
import logging
import math
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from bddseg.evidence import Evidence, load_evidence
from bddseg.result import OBJECTIVE
from sweeps.errors import NoSweepError, TrackingError
from sweeps.outbox import EXPERIMENT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

log = logging.getLogger(__name__)

Value = str | int | float | bool
History = list[tuple[int, float]]
Point = tuple[str, int, int, float]
"""Run id, step, timestamp, value."""

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # reading twice does no harm; the default of 7 keeps a user waiting 4 min
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""What MLflow reads from the environment; whatever the user has set stays."""

SQLITE = re.compile(r"sqlite(\+\w+)?:///(?P<path>[^?]+)(\?.*)?")
IDENTITY = re.compile(r"[\w.-]+", re.ASCII)
MANIFEST = "sweep.json"
EVIDENCE = "evidence/evidence-{part}.npz"
PAGE_ROWS = 1000
BULK_RUNS = 100
"""Most runs that a server gives histories of in one answer."""

BULK_POINTS = 2500
"""Most points of a history that a server gives in one answer."""

HOW_TO_START = "run python tune_main.py --space smoke"
SHOWN_SWEEPS = 10


@dataclass(frozen=True)
class TrialRow:
    """One trial as it was recorded."""

    trial_id: str
    run_id: str
    name: str
    status: str
    stop_reason: str
    stop_detail: str
    log_file: str
    settings: dict[str, Value]
    metrics: dict[str, float]
    """The last value of each; NaN where there was nothing to measure."""
    digest: str
    is_reference: bool
    started_ms: int | None
    ended_ms: int | None
    """None while it runs."""


@dataclass(frozen=True)
class SweepRecord:
    """One sweep as it was recorded."""

    sweep_id: str
    run_id: str
    status: str
    manifest: dict[str, Any]
    """What the sweep set out to do; empty when it was not delivered."""
    tags: dict[str, str]
    trials: tuple[TrialRow, ...]
    """Those that were started, in plan order."""


class Store:
    """Reads sweeps from an MLflow store; writes nothing, makes no database.

    Raises:
        NoSweepError: from every reading method, when nothing has been recorded there.
        TrackingError: from every reading method, when the store cannot be read.
    """

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri

    def latest_sweep_id(self) -> str:
        """Return the id of the sweep that was started last."""
        found = self.sweep_ids()
        if not found:
            raise NoSweepError(f"no sweep recorded yet in {self._shown}; {HOW_TO_START}")
        return found[0]

    def sweep_ids(self) -> list[str]:
        """Return the ids of all sweeps, the last one first."""
        runs = self._search("tags.`sweep.role` = 'sweep'", "start_time DESC")
        return list(dict.fromkeys(run.data.tags["sweep.id"] for run in runs if run.data.tags.get("sweep.id")))

    def read_sweep(self, sweep_id: str) -> SweepRecord:
        """Return everything about a sweep but its histories and evidence.

        Raises:
            NoSweepError: when there is none of that id; names those there are.
        """
        runs = self._search(f"tags.`sweep.id` = '{sweep_id}'") if IDENTITY.fullmatch(sweep_id) else []
        parent = next((run for run in runs if run.data.tags.get("sweep.role") == "sweep"), None)
        if parent is None:
            raise NoSweepError(self._unknown(sweep_id))
        manifest = self.json_artifact(parent.info.run_id, MANIFEST) or {}
        planned = _planned(manifest)
        trials = self._one_each([run for run in runs if run.data.tags.get("sweep.trial_id")])
        order = {trial_id: place for place, trial_id in enumerate(planned)}
        rows = [_row(run, planned.get(run.data.tags["sweep.trial_id"])) for run in trials]
        return SweepRecord(
            sweep_id=sweep_id,
            run_id=parent.info.run_id,
            status=parent.info.status,
            manifest=manifest,
            tags=dict(parent.data.tags),
            trials=tuple(sorted(rows, key=lambda row: order.get(row.trial_id, len(order)))),
        )

    def histories(self, record: SweepRecord, keys: Sequence[str]) -> dict[str, dict[str, History]]:
        """Return trial id -> metric -> (step, value) by ascending step; of a step recorded twice, the later value."""
        trial_of = {row.run_id: row.trial_id for row in record.trials}
        found: dict[str, dict[str, History]] = {trial_id: {} for trial_id in trial_of.values()}
        for key in keys:
            for run_id, history in _by_run(self._points(sorted(trial_of), key)).items():
                found[trial_of[run_id]][key] = history
        return found

    def evidence(self, row: TrialRow, part: str) -> Evidence | None:
        """Return what the trial's best weights did on a part ("val" or "test"); None when none was recorded.

        Raises:
            DataError: when the file is damaged.
        """
        with self._downloaded(row.run_id, EVIDENCE.format(part=part)) as path:
            return load_evidence(path) if path else None

    def json_artifact(self, run_id: str, name: str) -> dict[str, Any] | None:
        """Return a run's artifact that holds a JSON object; None when it is missing or holds something else."""
        with self._downloaded(run_id, name) as path:
            if path is None:
                return None
            try:
                content = json.loads(path.read_bytes())
            except ValueError as error:
                log.warning("artifact %s of run %s is no JSON: %s", name, run_id, error)
                return None
        return content if isinstance(content, dict) else None

    @property
    def _shown(self) -> str:
        """The address without the password that may be in it."""
        return re.sub(r"//[^/@]*@", "//***@", self.tracking_uri)

    @cached_property
    def _client(self) -> "MlflowClient":
        """MLflow's client, imported under our environment; it would make a database where there is none."""
        match = SQLITE.fullmatch(self.tracking_uri)
        if match:
            self._check_database(Path(match["path"]))
        elif "://" not in self.tracking_uri or self.tracking_uri.startswith("file:"):
            raise TrackingError(f"{self._shown} is a folder, but must be a database (sqlite:////path/mlflow.db) or a server")
        for key, value in ENVIRONMENT.items():
            os.environ.setdefault(key, value)
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.tracking_uri)

    def _check_database(self, path: Path) -> None:
        if not path.exists():
            raise NoSweepError(f"no sweep recorded yet in {self._shown}; {HOW_TO_START}")
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone()
        except sqlite3.Error as error:
            raise TrackingError(f"{self._shown} cannot be read ({error}): choose another --tracking-uri") from error
        if not found:
            raise NoSweepError(f"no sweep recorded yet in {self._shown}; {HOW_TO_START}")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn what MLflow raises within the context into a TrackingError of one line."""
        client = self._connected()
        try:
            yield
        except Exception as error:
            raise self._unreadable(error, client) from error

    def _connected(self) -> "MlflowClient":
        return self._client

"""Metric histories of many runs, in as few queries as the kind of store allows."""

import logging
import math
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.tracking.uri import database_file, scheme_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

History = list[tuple[int, float]]
"""Step and value."""

Point = tuple[str, int, int, float]
"""Run id, step, timestamp, value."""

BULK_RUNS = 100
"""Most runs that a server gives histories of in one answer."""

BULK_POINTS = 2500
"""Most points of a history that a server gives in one answer."""

BULK_ENDPOINT = "/api/2.0/mlflow/metrics/get-history-bulk-interval"
DATABASE_POINTS = 1_000_000


def ask_histories(client: "MlflowClient", run_ids: Sequence[str], key: str) -> list[Point]:
    """Return every recorded value of a metric."""
    ask = BULK.get(scheme_of(client.tracking_uri), _ask_each)
    chunks = [run_ids[start : start + BULK_RUNS] for start in range(0, len(run_ids), BULK_RUNS)]
    return [point for chunk in chunks for point in ask(client, chunk, key)]


def by_run(points: Iterable[Point]) -> dict[str, History]:
    """Return each run's values by ascending step, by the rule of `sweeps.storage.trial_history`.

    Of a step recorded twice the later value counts, and it drops what was recorded before it at later steps.
    """
    runs: dict[str, dict[int, list[tuple[int, float]]]] = {}
    for run_id, step, time_ms, value in points:
        runs.setdefault(run_id, {}).setdefault(step, []).append((time_ms, value))
    return {run_id: _counted(steps) for run_id, steps in runs.items()}


def _counted(steps: Mapping[int, Sequence[tuple[int, float]]]) -> History:
    history: History = []
    restarted_ms = 0
    for step, reports in sorted(steps.items()):
        time_ms, value = max(reports, key=lambda report: report[0])
        if len(reports) > 1:  # only a repeated step restarts: a clock that was set back must drop nothing
            restarted_ms = max(restarted_ms, time_ms)
        if time_ms >= restarted_ms:
            history.append((step, value))
    return history


def ask_file(client: "MlflowClient", run_ids: Sequence[str], key: str) -> list[Point]:
    """Read MLflow's table of metrics itself, several times faster; where it is another, MLflow is asked."""
    path = database_file(client.tracking_uri) or Path()
    columns, marks = "run_uuid, step, timestamp, value, is_nan", ", ".join("?" * len(run_ids))
    query = f"SELECT {columns} FROM metrics WHERE key = ? AND run_uuid IN ({marks})"  # noqa: S608 - nothing but marks
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(query, (key, *run_ids)).fetchall()
    except sqlite3.Error as error:
        log.debug("the table of metrics is not as expected: %s", error)
        return ask_database(client, run_ids, key)
    return [(run_id, step, time_ms, math.nan if is_nan else value) for run_id, step, time_ms, value, is_nan in rows]


def ask_database(client: "MlflowClient", run_ids: Sequence[str], key: str) -> list[Point]:
    """Ask the database by MLflow's own, but not public, way for many runs."""
    from mlflow.tracking._tracking_service.utils import _get_store

    found = _get_store(client.tracking_uri).get_metric_history_bulk(list(run_ids), key, DATABASE_POINTS)
    return [(point.run_id, point.step, point.timestamp, point.value) for point in found]


def _ask_server(client: "MlflowClient", run_ids: Sequence[str], key: str) -> list[Point]:
    """Ask for many runs at once; a server that does not know the question is asked run by run."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request_safe

    words = [*(("run_ids", run_id) for run_id in run_ids), ("metric_key", key), ("max_results", str(BULK_POINTS))]
    try:
        answer = http_request_safe(get_default_host_creds(client.tracking_uri), BULK_ENDPOINT, "GET", params=words)
        return [_point(point) for point in answer.json().get("metrics", [])]
    except (MlflowException, KeyError, TypeError, ValueError) as error:
        log.debug("no histories in bulk: %s", error)
        return _ask_each(client, run_ids, key)


def _point(answer: Mapping[str, Any]) -> Point:
    return answer["run_id"], int(answer.get("step", 0)), int(answer.get("timestamp", 0)), float(answer["value"])


def _ask_each(client: "MlflowClient", run_ids: Sequence[str], key: str) -> list[Point]:
    return [
        (run_id, point.step, point.timestamp, point.value)
        for run_id in run_ids
        for point in client.get_metric_history(run_id, key)
    ]


BULK: dict[str, Callable[["MlflowClient", Sequence[str], str], list[Point]]] = {
    "sqlite": ask_file,
    "postgresql": ask_database,
    "mysql": ask_database,
    "mssql": ask_database,
    "http": _ask_server,
    "https": _ask_server,
}
"""Kind of store -> how it gives the histories of many runs at once."""

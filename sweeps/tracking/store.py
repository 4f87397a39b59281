"""The MLflow store of sweeps: created and checked before a sweep, tidied after it."""

import contextlib
import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as SilentError
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bddseg.data.folders import is_visible
from sweeps.errors import TrackingError
from sweeps.storage.tags import PROBE
from sweeps.tracking.artifact_root import locked_database, repair_artifact_root
from sweeps.tracking.client import EXPERIMENT, forget_database, open_client
from sweeps.tracking.failures import code_of, reason
from sweeps.tracking.hints import cure_of, restore_cure
from sweeps.tracking.uri import SERVERS, check_server, check_uri, database_file, folder_of, hide_password, scheme_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")

EXPERIMENT_TAGS = {
    "mlflow.experiment.primaryMetric.name": "best/miou",
    "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
    "mlflow.note.content": "Street-scene segmentation. A parent run is a sweep, its child runs are the sweep's trials.",
}
PROBE_FOLDER = "probe"
OTHER = "choose another --tracking-uri"
PROBE_SECONDS = 30
"""Longest time that a store of files may take for a few bytes."""


def prepare_store(tracking_uri: str, artifact_root: Path) -> None:
    """Create the database and its experiment where they do not exist, and check that both can be used.

    Several processes may do so at once. A database keeps its artifacts in `artifact_root`, a server where it likes; the
    addresses of artifacts are corrected where the folder of both was moved.

    Raises:
        TrackingError: with address, reason and cure, within seconds.
    """
    uri = check_uri(tracking_uri)
    database, artifact_root = database_file(uri), Path(artifact_root).absolute()
    if database is None:
        check_server(uri)
        _prepare_experiment(uri, None if scheme_of(uri) in (*SERVERS, "databricks") else artifact_root.as_uri())
        return
    try:
        artifact_root.mkdir(parents=True, exist_ok=True)
        with locked_database(database):
            _prepare_file(database, uri)
            _prepare_experiment(uri, artifact_root.as_uri())
        repair_artifact_root(database, artifact_root)
    except (OSError, sqlite3.Error) as error:
        raise TrackingError(f"{uri} cannot be written ({reason(error)}): {OTHER}") from error


def try_store(tracking_uri: str) -> str:
    """Write a tag and a file of a few bytes, as a sweep does later; return the id of the experiment.

    Raises:
        TrackingError: when the store, or its store of files, takes no writes; with reason and cure.
    """
    uri = check_uri(tracking_uri)
    experiment = _asked(uri, "cannot be written", lambda: _experiment_with_probe(uri))
    location = experiment.artifact_location or ""
    pool = ThreadPoolExecutor(1, "probe")
    try:
        pool.submit(_try_files, location, uri).result(PROBE_SECONDS)
    except SilentError as error:
        why = f"no answer within {PROBE_SECONDS} s"
        raise TrackingError(_no_files(uri, location, why, "start it, or repair it")) from error
    except Exception as error:  # each store of files fails in its own way
        why = getattr(error, "strerror", None) or reason(error, uri)
        cure = cure_of(error, uri, f"make it writable, or {OTHER}")
        raise TrackingError(_no_files(uri, location, why, cure)) from error
    finally:
        pool.shutdown(wait=False)
    return str(experiment.experiment_id)


def experiment_id(client: "MlflowClient", uri: str, *, may_create: bool, location: str | None = None) -> str:
    """Return the id of the experiment.

    Args:
        client: of the store.
        uri: its address.
        may_create: whether to create an experiment that does not exist.
        location: of the artifacts of a new experiment; None leaves it to MLflow.

    Raises:
        TrackingError: when there is none, or it is deleted.
    """
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None and may_create:
        try:
            return str(client.create_experiment(EXPERIMENT, artifact_location=location, tags=EXPERIMENT_TAGS))
        except MlflowException as error:
            if code_of(error) != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        raise TrackingError(f"the store has no experiment {EXPERIMENT}: it was not prepared, or replaced since")
    check_active(experiment, uri)
    return str(experiment.experiment_id)


def check_experiment(tracking_uri: str) -> None:
    """Refuse a server that denies access, or whose experiment is deleted; a database is not checked here.

    Raises:
        TrackingError: with address, reason and cure.
    """
    uri = check_uri(tracking_uri)
    if scheme_of(uri) in SERVERS:  # MLflow's client would create tables in a new database
        _asked(uri, "cannot be used", lambda: _check_existing(uri))


def _check_existing(uri: str) -> None:
    experiment = open_client(uri).get_experiment_by_name(EXPERIMENT)
    if experiment is not None:
        check_active(experiment, uri)


def check_active(experiment: "Experiment", uri: str) -> None:
    """Check that an experiment is not deleted.

    Raises:
        TrackingError: when it is; with the command that restores it.
    """
    if experiment.lifecycle_stage != "active":
        cure = restore_cure(experiment.experiment_id, uri)
        raise TrackingError(f"experiment {experiment.name} is deleted in {hide_password(uri)}: {cure}")


def tidy_store(tracking_uri: str) -> None:
    """Let a database count its rows for its query planner, and merge the write-ahead log beside it.

    Sorting 10,000 runs by a metric took 5.6 s before and 0.2 s after.
    """
    database = database_file(tracking_uri)
    if database is None or not is_visible(database):
        return
    try:
        with closing(sqlite3.connect(database, timeout=1)) as connection:
            connection.execute("PRAGMA analysis_limit=400")
            connection.execute("ANALYZE")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        log.debug("ANALYZE of %s failed: %s", database, error)


def _prepare_file(database: Path, uri: str) -> None:
    with contextlib.suppress(FileExistsError):  # SQLite makes files of mode 0644; those beside it follow this one
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
        forget_database(uri)
    with closing(sqlite3.connect(database, timeout=20, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # readers and the writer do not block each other
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def _prepare_experiment(uri: str, location: str | None) -> None:
    _asked(uri, "cannot be used", lambda: experiment_id(open_client(uri), uri, may_create=True, location=location))


def _experiment_with_probe(uri: str) -> "Experiment":
    client = open_client(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        raise TrackingError(f"the store at {hide_password(uri)} has no experiment {EXPERIMENT}")
    client.set_experiment_tag(experiment.experiment_id, PROBE, str(int(time.time() * 1000)))
    return experiment


def _asked(uri: str, purpose: str, ask: Callable[[], Answer]) -> Answer:
    """Return the answer of the store; what it raises becomes one line."""
    try:
        return ask()
    except TrackingError:
        raise
    except Exception as error:  # each database and server fails in its own way
        why = f"{hide_password(uri)} {purpose} ({reason(error, uri)}): {cure_of(error, uri, OTHER)}"
        raise TrackingError(why) from error


def _try_files(location: str, uri: str) -> None:
    """Write a small file where artifacts go, and remove it."""
    folder = folder_of(location)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"probe")
        return
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(location, tracking_uri=uri)
    with tempfile.TemporaryDirectory(prefix="bddseg-probe-") as name:
        file_path = Path(name) / "probe.txt"
        file_path.write_text("written by a sweep in order to see whether files are taken\n")
        repository.log_artifact(str(file_path), PROBE_FOLDER)
    try:
        repository.delete_artifacts(PROBE_FOLDER)
    except Exception as error:  # noqa: BLE001 - a store that lets us write but not delete keeps the file
        log.debug("the probe in %s was not removed: %s", location, error)


def _no_files(uri: str, location: str, why: str, cure: str) -> str:
    shown = hide_password(location)
    return f"MLflow at {hide_password(uri)} takes no files: those of its experiment go to {shown} ({why}): {cure}"

"""Everything that would keep MLflow from taking a sweep, found within seconds and before anything is written here."""

import logging
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as SilentError
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps.errors import TrackingError
from sweeps.storage.tags import PROBE
from sweeps.tracking.client import EXPERIMENT, open_client
from sweeps.tracking.failures import REFUSALS, code_of, reason
from sweeps.tracking.hints import cure_of
from sweeps.tracking.probe import check_database
from sweeps.tracking.store import OTHER, asked, prepare_store
from sweeps.tracking.uri import database_file, folder_of, hide_password

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

log = logging.getLogger(__name__)

PROBE_FOLDER = "probe"
PROBE_SECONDS = 30
"""Longest time that a store of files may take for a few bytes."""


def check_recording(tracking_uri: str, artifact_root: Path, experiment: str = EXPERIMENT) -> None:
    """Refuse a store that would not take a sweep; no run is left there.

    Of a database file only what needs no MLflow is checked: it is imported while Ray starts.

    Raises:
        TrackingError: with address, reason and cure.
    """
    if database_file(tracking_uri) is not None:
        check_database(tracking_uri, experiment)
        return
    prepare_store(tracking_uri, artifact_root, experiment)
    try_store(tracking_uri, experiment)


def try_store(tracking_uri: str, experiment: str = EXPERIMENT) -> str:
    """Try what a sweep does later: tag, create a run, write a file of a few bytes; return the id of the experiment.

    Raises:
        TrackingError: when the store, or its store of files, takes no writes; with reason and cure.
    """
    uri = tracking_uri
    tried = asked(uri, f"takes no runs in experiment {experiment}", lambda: _try_runs(uri, experiment))
    location = tried.artifact_location or ""
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
    return str(tried.experiment_id)


def _try_runs(uri: str, name: str) -> "Experiment":
    """Return the experiment after a tag was written and a run was asked for."""
    client = open_client(uri)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        raise TrackingError(f"the store at {hide_password(uri)} has no experiment {name}")
    client.set_experiment_tag(experiment.experiment_id, PROBE, str(int(time.time() * 1000)))
    if database_file(uri) is None:
        _ask_for_run(client, experiment.experiment_id)
    return experiment


def _ask_for_run(client: "MlflowClient", experiment_id: str) -> None:
    """Ask for a run under two names at once: a server first looks who may create one, and then refuses the names."""
    try:
        run = client.create_run(experiment_id, run_name="probe", tags={"mlflow.runName": "of a preflight"})
    except Exception as error:
        if code_of(error) not in REFUSALS:
            raise
        return
    client.delete_run(run.info.run_id)


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

"""MLflow's client, and the environment that MLflow is imported under."""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "bdd100k-unet"
"""The one MLflow experiment in which sweeps are recorded."""

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # a failure is reported by us, in one line
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # create_run sent twice makes two runs; 7, the default, takes 4 minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""Environment variables that MLflow reads; those that the user has set stay."""


def open_client(tracking_uri: str) -> "MlflowClient":
    """Return MLflow's client; MLflow is imported here, under our environment, so that it logs nothing itself."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=mlflow_uri(tracking_uri))


def mlflow_uri(tracking_uri: str) -> str:
    """Return an address in the form that MLflow needs.

    For a plain address with quoted characters, MLflow creates the database's folder under its quoted name.
    """
    is_quoted = tracking_uri.startswith("sqlite:") and "%" in tracking_uri
    return tracking_uri.replace("sqlite:", "sqlite+pysqlite:", 1) if is_quoted else tracking_uri


def forget_artifacts() -> None:
    """Clear MLflow's cache of the artifact folders of runs, which it keeps by run, whatever the store.

    MLflow has no public way. Where a later version keeps them elsewhere, nothing happens here, and the tests of a moved
    storage folder fail.
    """
    utils = sys.modules.get("mlflow.tracking._tracking_service.utils")
    getattr(utils, "_artifact_repos_cache", {}).clear()


def forget_database(tracking_uri: str) -> None:
    """Close MLflow's connections to a database file that was removed or replaced, so that it opens the new one.

    MLflow has no public way. Where a later version keeps them elsewhere, nothing happens here, and the test of a
    database that is lost while it is written to fails.
    """
    stores = sys.modules.get("mlflow.store.tracking.sqlalchemy_store")
    engines = getattr(getattr(stores, "SqlAlchemyStore", None), "_engine_map", {})
    if (engine := engines.get(mlflow_uri(tracking_uri))) is not None:
        engine.dispose()
    registries = sys.modules.get("mlflow.tracking._tracking_service.registry")
    opened = getattr(getattr(registries, "TrackingStoreRegistry", None), "_get_store_with_resolved_uri", None)
    getattr(opened, "cache_clear", lambda: None)()

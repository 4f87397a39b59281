"""MLflow's client, and the environment that MLflow is imported under."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "bdd100k-unet"
"""The one MLflow experiment in which sweeps are recorded."""

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # what fails is said by us, in one line
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # create_run sent twice makes two runs; 7, the default, takes 4 minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""What MLflow reads from the environment; whatever the user has set stays."""


def open_client(tracking_uri: str) -> "MlflowClient":
    """Return MLflow's client; MLflow is imported here, under our environment, and says nothing on its own."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri)

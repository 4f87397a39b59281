"""The MLflow experiment in which a sweep is recorded: its name, and its id in a store."""

import os
from typing import TYPE_CHECKING

from sweeps.errors import TrackingError
from sweeps.tracking.client import EXPERIMENT
from sweeps.tracking.failures import code_of
from sweeps.tracking.hints import restore_cure
from sweeps.tracking.uri import hide_password

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

VARIABLE = "MLFLOW_EXPERIMENT_NAME"
UNUSED = "Default"
"""An experiment that MLflow creates by itself."""

PAGE_ROWS = 1000
NAME_CHARS = 500
"""MLflow's limit."""

OUR_TAG, OUR_VALUE = "mlflow.experiment.primaryMetric.name", "best/miou"
EXPERIMENT_TAGS = {
    OUR_TAG: OUR_VALUE,
    "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
    "mlflow.note.content": "Street-scene segmentation. A parent run is a sweep, its child runs are the sweep's trials.",
}


def named_experiment(given: str | None) -> str | None:
    """Return the experiment that the user names: by the option, else by MLFLOW_EXPERIMENT_NAME; None for neither.

    Raises:
        TrackingError: when MLflow takes no such name.
    """
    name = (given or os.environ.get(VARIABLE) or "").strip()
    if not name.isprintable() or len(name) > NAME_CHARS:
        rule = f"must be printable and have at most {NAME_CHARS} characters"
        raise TrackingError(f"--experiment or {VARIABLE} is {name[:80]!r}, but {rule}")
    return name or None


def experiment_id(
    client: "MlflowClient", uri: str, name: str = EXPERIMENT, *, may_create: bool, location: str | None = None
) -> str:
    """Return the id of an experiment.

    Args:
        client: of the store.
        uri: its address.
        name: of the experiment.
        may_create: whether to create an experiment that does not exist.
        location: of the artifacts of a new experiment; None leaves it to MLflow.

    Raises:
        TrackingError: when there is none, or it is deleted.
    """
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None and may_create:
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS))
        except MlflowException as error:
            if code_of(error) != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(name)
    if experiment is None:
        raise TrackingError(f"the store has no experiment {name}: it was not prepared, or replaced since")
    check_active(experiment, uri)
    return str(experiment.experiment_id)


def check_active(experiment: "Experiment", uri: str) -> None:
    """Check that an experiment is not deleted.

    Raises:
        TrackingError: when it is; with the command that restores it.
    """
    if experiment.lifecycle_stage != "active":
        cure = restore_cure(experiment.experiment_id, uri)
        raise TrackingError(f"experiment {experiment.name} is deleted in {hide_password(uri)}: {cure}")


def experiments_to_read(client: "MlflowClient", name: str | None, uri: str) -> list[str]:
    """Return the ids of the experiments that are read: of the one that is named, else of all.

    Raises:
        TrackingError: when the one that is named, or the default one where there is no other, is deleted.
    """
    active: dict[str, str] = {}
    token: str | None = "" if name is None else None
    while token is not None:
        page = client.search_experiments(max_results=PAGE_ROWS, page_token=token or None)
        active |= {str(experiment.experiment_id): experiment.name for experiment in page}
        token = page.token or None
    if set(active.values()) - {UNUSED}:
        return list(active)
    experiment = client.get_experiment_by_name(name or EXPERIMENT)
    if experiment is None:
        return list(active)
    check_active(experiment, uri)
    return [str(experiment.experiment_id)]

"""One MLflow run: what this process knows of it, and how a batch is written into it. Each step can be repeated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from bddseg.files import sync_file, sync_folder
from sweeps.storage.events import Artifact
from sweeps.storage.outcomes import ENDED, RunStatus
from sweeps.storage.tags import INCOMPLETE, TRIAL_ID
from sweeps.tracking.batch import STOP_TAGS, Batch, Points, no_points
from sweeps.tracking.dataset_inputs import build_inputs
from sweeps.tracking.failures import GONE, code_of
from sweeps.tracking.uri import folder_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass
class KnownRun:
    """What MLflow is known to have of one run."""

    run_id: str
    artifact_uri: str
    status: str = RunStatus.RUNNING
    is_unnamed: bool = False
    """Its name is its trial's id."""
    params: Mapping[str, str] = field(default_factory=dict)
    points: Mapping[str, Points] = field(default_factory=dict)
    is_new: bool = True
    """It was created by this process, so nothing has been recorded in it before."""
    stop_tags: frozenset[str] = frozenset()
    is_incomplete: bool = False
    """It replaces a run that was lost, and lacks the events that were delivered to that one."""

    def batch(self, client: "MlflowClient") -> Batch:
        """Return a batch to which events can be added."""
        points = {key: dict(points) for key, points in self.points.items()}
        recorded = no_points if self.is_new else partial(recorded_points, client, self.run_id)
        return Batch(dict(self.params), points, recorded)


def adopted(run: "Run") -> KnownRun:
    """Return a run that another process created, as MLflow has it."""
    tags = run.data.tags
    return KnownRun(
        run_id=run.info.run_id,
        artifact_uri=run.info.artifact_uri or "",
        status=run.info.status,
        is_unnamed=run.info.run_name == tags.get(TRIAL_ID),
        params=dict(run.data.params),
        is_new=False,
        stop_tags=frozenset(key for key in STOP_TAGS if key in tags),
        is_incomplete=INCOMPLETE in tags,
    )


def recorded_points(client: "MlflowClient", run_id: str, key: str) -> Points:
    """Return the points of a metric in a run; of several attempts at a step, the last."""
    points = sorted(client.get_metric_history(run_id, key), key=lambda point: point.timestamp)
    return {point.step: (point.timestamp, point.value) for point in points}


def write_batch(client: "MlflowClient", run: KnownRun, batch: Batch) -> None:
    """Write a batch into a run, and note what the run has now."""
    _log(client, run, batch)
    _remove_end_tags(client, run, batch)
    _set_status(client, run, batch)
    if batch.name and run.is_unnamed:  # an earlier version created it without its name
        client.update_run(run.run_id, name=batch.name)
        run.is_unnamed = False
    run.params, run.points, run.status = batch.params, batch.points, batch.status or run.status
    remaining = frozenset() if batch.is_started else run.stop_tags
    run.stop_tags = remaining | batch.tags.keys() & STOP_TAGS


def remove_tag(client: "MlflowClient", run_id: str, key: str) -> None:
    """Remove a tag; one that is missing is no fault, since the answer to an earlier attempt may have been lost."""
    try:
        client.delete_tag(run_id, key)
    except Exception as error:
        if code_of(error) != GONE:
            raise


def sync_artifact(run: KnownRun, event: Artifact) -> None:
    """Sync an uploaded file to the disk of this machine, where it is on one: it counts as delivered from now on."""
    root = folder_of(run.artifact_uri)
    if root is None:
        return
    path = root / event.folder / event.path.name
    sync_file(path)
    for folder in path.parents:
        sync_folder(folder)
        if folder == root.parent.parent:  # the folder of all runs
            return


def _log(client: "MlflowClient", run: KnownRun, batch: Batch) -> None:
    from mlflow.entities import Metric, Param, RunTag

    client.log_batch(
        run.run_id,
        metrics=[Metric(*point) for point in batch.metrics],
        params=[Param(key, value) for key, value in batch.params.items() if key not in run.params],
        tags=[RunTag(key, value) for key, value in batch.tags.items()],
    )
    if batch.inputs:
        client.log_inputs(run.run_id, datasets=build_inputs(batch.inputs))


def _remove_end_tags(client: "MlflowClient", run: KnownRun, batch: Batch) -> None:
    """Remove the tags of the end of a run that has been started again."""
    for key in sorted(run.stop_tags - batch.tags.keys()) if batch.is_started else ():
        remove_tag(client, run.run_id, key)


def _set_status(client: "MlflowClient", run: KnownRun, batch: Batch) -> None:
    if batch.status in ENDED:
        client.set_terminated(run.run_id, batch.status, batch.time_ms)
    elif batch.status and batch.status != run.status:
        client.update_run(run.run_id, status=batch.status)

"""One run of MLflow: what is known of it, and how a batch is written into it. Each step may be repeated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bddseg.files import sync_file, sync_folder
from sweeps.storage.events import Event
from sweeps.storage.outcomes import ENDED, RunStatus
from sweeps.storage.tags import INCOMPLETE, TRIAL_ID
from sweeps.tracking.batch import STOP_TAGS, Batch, Steps
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
    """It is called by its trial's id."""
    params: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, Steps] = field(default_factory=dict)
    stop_tags: frozenset[str] = frozenset()
    is_new: bool = True
    """Made by this process, so that nothing has been recorded in it."""
    is_incomplete: bool = False
    """It lacks what was delivered to the run before it."""

    def batch(self) -> Batch:
        """Return a batch to which events can be added."""
        return Batch(dict(self.params), {key: dict(steps) for key, steps in self.steps.items()})


def adopted(run: "Run") -> KnownRun:
    """Return what MLflow says of a run that another process made."""
    tags = run.data.tags
    return KnownRun(
        run_id=run.info.run_id,
        artifact_uri=run.info.artifact_uri or "",
        status=run.info.status,
        is_unnamed=run.info.run_name == tags.get(TRIAL_ID),
        params=dict(run.data.params),
        stop_tags=frozenset(key for key in STOP_TAGS if key in tags),
        is_new=False,
        is_incomplete=INCOMPLETE in tags,
    )


def write_batch(client: "MlflowClient", run: KnownRun, batch: Batch) -> None:
    """Write a batch into a run, and remember it."""
    _log(client, run, batch)
    _take_back(client, run, batch)
    _set_status(client, run, batch)
    if batch.name and run.is_unnamed:  # an earlier version made it again without its name
        client.update_run(run.run_id, name=batch.name)
        run.is_unnamed = False
    run.params, run.steps, run.status = batch.params, batch.steps, batch.status or run.status
    kept = frozenset() if batch.is_started else run.stop_tags
    run.stop_tags = kept | batch.tags.keys() & STOP_TAGS


def remove_tag(client: "MlflowClient", run_id: str, key: str) -> None:
    """Remove a tag that may have been removed: the answer to the first attempt may be lost."""
    try:
        client.delete_tag(run_id, key)
    except Exception as error:
        if code_of(error) != GONE:
            raise


def sync_artifact(run: KnownRun, event: Event) -> None:
    """Put an uploaded file on the disk, where it lies on this machine: it counts as delivered from now on."""
    root = folder_of(run.artifact_uri)
    if root is None:
        return
    path = root / event["folder"] / Path(event["path"]).name
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


def _take_back(client: "MlflowClient", run: KnownRun, batch: Batch) -> None:
    """Remove what was said about the end of a run that has been started again."""
    for key in sorted(run.stop_tags - batch.tags.keys()) if batch.is_started else ():
        remove_tag(client, run.run_id, key)


def _set_status(client: "MlflowClient", run: KnownRun, batch: Batch) -> None:
    if batch.status in ENDED:
        client.set_terminated(run.run_id, batch.status, batch.time_ms)
    elif batch.status and batch.status != run.status:
        client.update_run(run.run_id, status=batch.status)

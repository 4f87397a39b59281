"""MLflow's model registry: versions of a model, each a folder of files, and the two aliases that point at them."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bddseg.checkpoint import BEST
from sweeps.errors import ModelError
from sweeps.storage.records import IDENTITY
from sweeps.storage.tags import CROWNED, SWEEP_ID
from sweeps.tracking.client import mlflow_uri
from sweeps.tracking.failures import code_of
from sweeps.tracking.reader import Store
from sweeps.tracking.uri import VARIABLE

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

LONGEST_NAME = 128
"""MLflow's databases have room for 256, and its models' folders for less."""

DEFAULT_NAME = "bdd100k-unet"
CHAMPION, PREVIOUS = "champion", "previous-champion"

SOURCE = re.compile(r"models:/(m-[0-9a-f]{32})")
"""Where the files of our versions lie: with a logged model. A registry that others write to may say anything else."""

MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's words for a model, version or alias that is not there."""


@dataclass(frozen=True)
class Version:
    """One version of a registered model."""

    name: str
    number: str
    tags: Mapping[str, str]

    @property
    def words(self) -> str:
        return f"version {self.number} of {self.name}"


class Registry:
    """Reads and writes the registry of one MLflow store.

    Raises:
        NoSweepError, TrackingError: from every method, as the store does.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @contextmanager
    def _client(self, what: str, *, writes: bool = False) -> Iterator["MlflowClient"]:
        with self._store.client(what, writes=writes) as client, _as_default(self._store.opened_uri):
            yield client

    def find(self, name: str, run_id: str, tags: Mapping[str, str]) -> Version | None:
        """Return the version of a run that carries the tags; None when there is none."""
        with self._client("asked for models") as client:
            found = [_version(it) for it in client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")]
        found = [it for it in found if tags.items() <= it.tags.items()]
        return max(found, key=lambda it: int(it.number), default=None)

    def add(self, name: str, run_id: str, folder: Path, tags: Mapping[str, str], description: str) -> Version:
        """Return a new version that holds the files of the folder; it appears when all of them are there."""
        with self._client("written to", writes=True) as client:
            _make_model(client, name)
            experiment = client.get_run(run_id).info.experiment_id
            model = client.create_logged_model(experiment, name=name, source_run_id=run_id, tags=dict(tags))
            client.log_model_artifacts(model.model_id, str(folder))
            client.finalize_logged_model(model.model_id, "READY")
            source = f"models:/{model.model_id}"
            made = client.create_model_version(
                name, source, run_id, dict(tags), description=description, model_id=model.model_id
            )
        return _version(made)

    def promote(self, version: Version) -> str:
        """Let `champion` point at the version and `previous-champion` at its predecessor; return what was done.

        A version that has been champion is left as it is: somebody may have crowned another since.
        """
        with self._client("written to", writes=True) as client:
            holder = _holder(client, version.name, CHAMPION)
            if CROWNED in version.tags:
                return f"@{CHAMPION} is version {holder}" if holder else f"nothing is @{CHAMPION}"
            if holder and holder != version.number:
                client.set_registered_model_alias(version.name, PREVIOUS, holder)
            client.set_registered_model_alias(version.name, CHAMPION, version.number)
            client.set_model_version_tag(version.name, version.number, CROWNED, "true")
        before = f", after version {holder}" if holder and holder != version.number else ""
        return f"@{CHAMPION} is version {version.number}{before}"

    def leave(self, version: Version) -> str:
        """Return that the version is not crowned, and which one is `champion`."""
        with self._client("asked for models") as client:
            holder = _holder(client, version.name, CHAMPION)
        stays = f"@{CHAMPION} stays version {holder}" if holder else f"nothing is @{CHAMPION}"
        return f"not made @{CHAMPION}, since the verdict is undecided: {stays}"

    def fetch(self, name: str, at: str, folder: Path) -> Path:
        """Return a copy, in the folder, of the weights of a version, named by an alias, its number or its sweep.

        Raises:
            ModelError: when there is no such version, or its files are not where ours are.
        """
        with self._client("asked for models") as client:
            source = _found(client, name, at).source or ""
            match = SOURCE.fullmatch(source)
            if not match:
                raise ModelError(f"{name} at {at} lies at {source[:80]!r}, but must be a version that --register made")
            if BEST not in [item.path for item in client.list_logged_model_artifacts(match[1])]:
                raise ModelError(f"{name} at {at} has no {BEST}, but must be a version that --register made")
            place = client.get_logged_model(match[1]).artifact_location
            return self._download(f"{place}/{BEST}", folder)

    def _download(self, address: str, folder: Path) -> Path:
        from mlflow.artifacts import download_artifacts

        path = Path(download_artifacts(address, dst_path=str(folder), tracking_uri=mlflow_uri(self._store.opened_uri)))
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
        raise ModelError(f"{address[:80]!r} gave no file: the store may be damaged")


def check_name(name: str) -> str:
    """Return the name of a registered model.

    Raises:
        ModelError: when it holds what has a meaning in a query, a path or an address.
    """
    if not IDENTITY.fullmatch(name) or set(name) == {"."} or len(name) > LONGEST_NAME:
        raise ModelError(f"the model name {name[:80]!r} must be of 1 to {LONGEST_NAME} letters, digits and . _ - only")
    return name


@contextmanager
def _as_default(tracking_uri: str) -> Iterator[None]:
    """Make a store MLflow's default for a while: where models lie its registry asks that one, whatever it was told."""
    import mlflow

    before = os.environ.get(VARIABLE)
    mlflow.set_tracking_uri(mlflow_uri(tracking_uri))
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)
        if before is not None:
            os.environ[VARIABLE] = before


def _make_model(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description="U-Nets for street scenes, each the best of a sweep.")
    except MlflowException as error:
        if code_of(error) != "RESOURCE_ALREADY_EXISTS":
            raise


def _holder(client: "MlflowClient", name: str, alias: str) -> str:
    """Return the number of the version that an alias points at, "" where there is none."""
    return str(client.get_registered_model(name).aliases.get(alias, ""))


def _found(client: "MlflowClient", name: str, at: str) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(name, at) if at.isdigit() else client.get_model_version_by_alias(name, at)
    except MlflowException as error:
        if code_of(error) not in MISSING:
            raise
        if of_sweep := _of_sweep(client, name, at):
            return of_sweep
        what = f"no version {at}" if at.isdigit() else f"no @{at}"
        raise ModelError(
            f"{what} of model {name} is registered; python report.py SWEEP --register makes one"
        ) from error


def _of_sweep(client: "MlflowClient", name: str, sweep_id: str) -> "ModelVersion | None":
    """Return the newest version that was made from a sweep; None where there is none."""
    found = [it for it in client.search_model_versions(f"name = '{name}'") if it.tags.get(SWEEP_ID) == sweep_id]
    return max(found, key=lambda it: int(it.version), default=None)


def _version(found: "ModelVersion") -> Version:
    return Version(found.name, str(found.version), dict(found.tags))

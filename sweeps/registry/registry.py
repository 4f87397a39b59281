"""MLflow's model registry: versions of a model, each a folder of files, and two aliases for them."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bddseg.checkpoint import BEST
from sweeps.errors import ModelError
from sweeps.paths import REPORT, command
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
"""Name of the models of BDD100K and of the streets, and of every record without a dataset."""
CHAMPION, PREVIOUS = "champion", "previous-champion"

SOURCE = re.compile(r"models:/(m-[0-9a-f]{32})")
"""Source of our versions: a logged model. Other writers of the registry may use any other address."""

MLMODEL = "MLmodel"
"""File that tells MLflow how to load a model; versions that 0.1.0 registered have none."""

MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's error codes for a model, version or alias that does not exist."""


def default_name(dataset: str) -> str:
    """Return the name under which models of a dataset are registered unless another is given.

    Models of different datasets are never versions of one model: one could become the champion of the other's users.
    """
    if dataset in ("", "bdd100k", "streets"):
        return DEFAULT_NAME
    return re.sub(r"[^\w.-]+", "-", dataset)[: LONGEST_NAME - len("-unet")] + "-unet"


@dataclass(frozen=True)
class Version:
    """One version of a registered model."""

    name: str
    number: str
    tags: Mapping[str, str]

    @property
    def label(self) -> str:
        return f"version {self.number} of {self.name}"


class Registry:
    """Reads and writes the registry of one MLflow store.

    Raises:
        NoSweepError, TrackingError: from every method, as the store does.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @contextmanager
    def _client(self, purpose: str, *, writes: bool = False) -> Iterator["MlflowClient"]:
        with self._store.client(purpose, writes=writes) as client, _as_default(self._store.opened_uri):
            yield client

    def find(self, name: str, run_id: str, tags: Mapping[str, str]) -> Version | None:
        """Return the newest version of a run that has the tags; None when there is none."""
        with self._client("asked for models") as client:
            found_versions = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
        versions = [version for version in map(_version, found_versions) if tags.items() <= version.tags.items()]
        return max(versions, key=lambda version: int(version.number), default=None)

    def registered_sweeps(self) -> set[str]:
        """Return the ids of all sweeps that have a version of any model."""
        sweep_ids: set[str] = set()
        with self._client("asked for models") as client:
            token = None
            while True:
                page = client.search_model_versions("", page_token=token)
                sweep_ids |= {version.tags[SWEEP_ID] for version in page if version.tags.get(SWEEP_ID)}
                if not (token := page.token):
                    return sweep_ids

    def add(self, name: str, run_id: str, folder: Path, tags: Mapping[str, str], description: str) -> Version:
        """Return a new version with the files of the folder; it appears when all of them have been uploaded."""
        with self._client("written to", writes=True) as client:
            _make_model(client, name)
            experiment = client.get_run(run_id).info.experiment_id
            model = client.create_logged_model(experiment, name=name, source_run_id=run_id, tags=dict(tags))
            _name_model(folder, model.model_id, run_id)
            client.log_model_artifacts(model.model_id, str(folder))
            client.finalize_logged_model(model.model_id, "READY")
            source = f"models:/{model.model_id}"
            version = client.create_model_version(
                name, source, run_id, dict(tags), description=description, model_id=model.model_id
            )
        return _version(version)

    def promote(self, version: Version) -> str:
        """Make the version `champion`, and its predecessor `previous-champion`; return what was done.

        A version that has been champion before is not promoted again: someone may have promoted another since.
        """
        with self._client("written to", writes=True) as client:
            holder = _holder(client, version.name, CHAMPION)
            if CROWNED in version.tags:
                return f"@{CHAMPION} is version {holder}" if holder else f"no version is @{CHAMPION}"
            if holder and holder != version.number:
                client.set_registered_model_alias(version.name, PREVIOUS, holder)
            client.set_registered_model_alias(version.name, CHAMPION, version.number)
            client.set_model_version_tag(version.name, version.number, CROWNED, "true")
        before = f", after version {holder}" if holder and holder != version.number else ""
        return f"@{CHAMPION} is version {version.number}{before}"

    def leave(self, version: Version) -> str:
        """Return in words that the version was not promoted, and which version is `champion`."""
        with self._client("asked for models") as client:
            holder = _holder(client, version.name, CHAMPION)
        stays = f"@{CHAMPION} stays version {holder}" if holder else f"no version is @{CHAMPION}"
        return f"not made @{CHAMPION}, since the verdict is undecided: {stays}"

    def fetch(self, name: str, key: str, folder: Path) -> Path:
        """Return a copy, in the folder, of the weights of a version; `key` is an alias, a number or a sweep's id.

        Raises:
            ModelError: when there is no such version, or --register has not made it.
        """
        with self._client("asked for models") as client:
            source = _find_version(client, name, key).source or ""
            match = SOURCE.fullmatch(source)
            if not match:
                raise ModelError(f"{name} at {key} lies at {source[:80]!r}, but must be a version that --register made")
            if BEST not in [item.path for item in client.list_logged_model_artifacts(match[1])]:
                raise ModelError(f"{name} at {key} has no {BEST}, but must be a version that --register made")
            location = client.get_logged_model(match[1]).artifact_location
            return self._download(f"{location}/{BEST}", folder)

    def _download(self, address: str, folder: Path) -> Path:
        from mlflow.artifacts import download_artifacts

        path = Path(download_artifacts(address, dst_path=str(folder), tracking_uri=mlflow_uri(self._store.opened_uri)))
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
        raise ModelError(f"{address[:80]!r} gave no file: the store may be damaged")


def check_name(name: str) -> str:
    """Return the name of a registered model.

    Raises:
        ModelError: when it has characters with a meaning in a query, a path or an address.
    """
    if not IDENTITY.fullmatch(name) or set(name) == {"."} or len(name) > LONGEST_NAME:
        raise ModelError(f"the model name {name[:80]!r} must be of 1 to {LONGEST_NAME} letters, digits and . _ - only")
    return name


@contextmanager
def _as_default(tracking_uri: str) -> Iterator[None]:
    """Make a store MLflow's default while the context lasts.

    MLflow's registry looks up the files of models in the default store, whichever store its client was opened for.
    """
    import mlflow

    before = os.environ.get(VARIABLE)
    mlflow.set_tracking_uri(mlflow_uri(tracking_uri))
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)
        if before is not None:
            os.environ[VARIABLE] = before


def _name_model(folder: Path, model_id: str, run_id: str) -> None:
    """Write into a folder's MLmodel, where it has one, which logged model and run it belongs to."""
    from mlflow.models import Model

    if (folder / MLMODEL).exists():
        described = Model.load(folder / MLMODEL)
        described.model_id, described.run_id = model_id, run_id
        described.save(folder / MLMODEL)


def _make_model(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description="U-Nets for street scenes, each the best of a sweep.")
    except MlflowException as error:
        if code_of(error) != "RESOURCE_ALREADY_EXISTS":
            raise


def _holder(client: "MlflowClient", name: str, alias: str) -> str:
    """Return the number of the version with an alias; "" where there is none."""
    return str(client.get_registered_model(name).aliases.get(alias, ""))


def _find_version(client: "MlflowClient", name: str, key: str) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(name, key) if key.isdigit() else client.get_model_version_by_alias(name, key)
    except MlflowException as error:
        if code_of(error) not in MISSING:
            raise
        if of_sweep := _of_sweep(client, name, key):
            return of_sweep
        version = f"no version {key}" if key.isdigit() else f"no @{key}"
        raise ModelError(
            f"{version} of model {name} is registered; {command(REPORT)} SWEEP --register makes one"
        ) from error


def _of_sweep(client: "MlflowClient", name: str, sweep_id: str) -> "ModelVersion | None":
    """Return the newest version of a sweep; None where there is none."""
    versions = client.search_model_versions(f"name = '{name}'")
    of_sweep = [version for version in versions if version.tags.get(SWEEP_ID) == sweep_id]
    return max(of_sweep, key=lambda version: int(version.version), default=None)


def _version(version: "ModelVersion") -> Version:
    return Version(version.name, str(version.version), dict(version.tags))

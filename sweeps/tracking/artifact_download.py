"""Files of runs, downloaded with one request each.

MLflow's client asks for the run, for its logged models and for the folder before it downloads a file: eight requests
for two files of a trial. The addresses of runs are known from the search, and a file is only looked for in its folder
where it cannot be downloaded.
"""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sweeps.tracking.uri import folder_of, scheme_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repo import ArtifactRepository


class ArtifactDownloads:
    """Downloads files of the runs of one MLflow store."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        """Run -> address of its artifacts, as far as they are known from a search."""
        self._repositories: dict[str, ArtifactRepository] = {}
        """By the folder that the runs have in common: each asks its server once what it can do."""

    def address(self, client: "MlflowClient", run_id: str) -> str:
        """Return the address of a run's artifacts."""
        if run_id not in self.addresses:
            self.addresses[run_id] = client.get_run(run_id).info.artifact_uri or ""
        return self.addresses[run_id]

    def download(self, client: "MlflowClient", run_id: str, name: PurePosixPath, folder: Path) -> Path | None:
        """Return a copy, in the folder, of a file of a run; None when the run has none of that name.

        Raises whatever a store of files raises that cannot be used.
        """
        address = self.address(client, run_id)
        if folder_of(address) is None and scheme_of(client.tracking_uri) != "databricks":
            return self._fetch(client, run_id, name, folder)
        siblings = client.list_artifacts(run_id, None if len(name.parts) == 1 else str(name.parent))
        if not any(item.path == str(name) and not item.is_dir for item in siblings):
            return None
        return Path(client.download_artifacts(run_id, str(name), str(folder)))

    def _fetch(self, client: "MlflowClient", run_id: str, name: PurePosixPath, folder: Path) -> Path | None:
        root, separator, inside = self.addresses[run_id].partition(f"/{run_id}/")
        repository = self._repository(root, client.tracking_uri)
        path = PurePosixPath(run_id, inside, name) if separator else name
        copy = folder / name.name
        try:
            # `download_artifacts` is public, and lists the folder first. In a version of MLflow without this method
            # every download fails, and with it the tests of reading from a server.
            repository._download_file(str(path), str(copy))
        except Exception:
            siblings = repository.list_artifacts(str(path.parent) if path.parent.name else None)
            if any(item.path == str(path) and not item.is_dir for item in siblings):
                raise
            return None
        return copy

    def _repository(self, root: str, tracking_uri: str) -> "ArtifactRepository":
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        if root not in self._repositories:
            self._repositories[root] = get_artifact_repository(root, tracking_uri=tracking_uri)
        return self._repositories[root]

"""Files of runs, downloaded with one request each.

MLflow's client asks for the run, for its logged models and for the folder before it downloads a file: eight requests
for two files of a trial. The addresses of runs are known from the search, and a file is only looked for in its folder
where it cannot be downloaded.
"""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository


class ArtifactDownloads:
    """Downloads files from the stores of files of one MLflow store.

    Args:
        tracking_uri: of the store, as MLflow takes it.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = tracking_uri
        self._repositories: dict[str, ArtifactRepository] = {}
        """By the folder that the runs have in common: each asks its server once what it can do."""

    def fetch(self, run_id: str, artifact_uri: str, name: PurePosixPath, folder: Path) -> Path | None:
        """Return a copy, in the folder, of a file of a run; None when the run has none of that name.

        Raises whatever a store of files raises that cannot be used.
        """
        root, separator, inside = artifact_uri.partition(f"/{run_id}/")
        repository = self._repository(root)
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

    def _repository(self, root: str) -> "ArtifactRepository":
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        if root not in self._repositories:
            self._repositories[root] = get_artifact_repository(root, tracking_uri=self._tracking_uri)
        return self._repositories[root]

"""Artifacts of MLflow runs: read in place on this machine, else from a copy. Anyone may have written them: checked.

A name that leads out of its folder is not followed, and a file that is too large or of another form counts as missing.
"""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from bddseg.data.folders import is_folder, is_there, names_in
from bddseg.errors import DataError
from bddseg.evidence import Evidence, load_evidence
from bddseg.files import read_json
from sweeps.storage.album import FOLDER, INDEX, PredictionPanels, read_album
from sweeps.storage.artifacts import EVIDENCE_FOLDER, evidence_file
from sweeps.storage.records import TrialRow
from sweeps.storage.tiles import MOST_BYTES
from sweeps.tracking.access import Access
from sweeps.tracking.artifact_download import ArtifactDownloads
from sweeps.tracking.uri import folder_of, hide_password

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

log = logging.getLogger(__name__)

READERS = 4
"""Evidence files that are read at once."""


def local_root(artifact_uri: str) -> Path | None:
    """Return the folder of a run's artifacts where it is on this machine; None where they have to be downloaded."""
    path = folder_of(artifact_uri)
    return path if path is not None and is_folder(path) else None


class ArtifactStore:
    """Reads the artifacts of runs in an MLflow store; creates no database, and needs no right to write.

    A database in a folder that is read-only, or was moved, is read from a copy; nothing is written.

    Args:
        tracking_uri: its address.
        experiment: the only one whose sweeps are read; None for all of them.

    Raises:
        NoSweepError: from every reading method, when nothing has been recorded there.
        TrackingError: from every reading method, when the store cannot be read.
    """

    def __init__(self, tracking_uri: str, experiment: str | None = None) -> None:
        self.tracking_uri, self.experiment = tracking_uri, experiment
        self._access = Access(tracking_uri)
        self._downloads = ArtifactDownloads()

    @property
    def opened_uri(self) -> str:
        """Return the address that is read: that of a copy, where the database's folder is read-only or was moved."""
        return self._access.opened_uri

    @contextmanager
    def client(self, purpose: str, *, writes: bool = False) -> Iterator["MlflowClient"]:
        """Give MLflow's client to a caller that does more than read sweeps; what it raises becomes one line.

        Args:
            purpose: completes "cannot be" in the message.
            writes: whether the database itself must be opened, and no copy of it.

        Raises:
            TrackingError: "cannot be" with `purpose`, the reason and the cure.
        """
        if writes:
            self._access.open_for_writing(purpose)
        with self._reading(purpose) as client:
            yield client

    def evidence(self, row: TrialRow, part: str) -> Evidence | None:
        """Return the evidence of the trial's best weights on a part ("val" or "test"); None when none was recorded.

        Raises:
            DataError: when the file is damaged.
        """
        with self._opened(row.run_id, row.artifact_uri, f"{EVIDENCE_FOLDER}/{evidence_file(part)}") as path:
            return load_evidence(path) if path else None

    def read_evidence(self, rows: Sequence[TrialRow], part: str) -> dict[str, Evidence | DataError | None]:
        """Return the evidence of many trials by trial id, several read at once; the error where one is damaged."""
        with ThreadPoolExecutor(READERS) as pool:
            evidence = pool.map(lambda row: self._evidence_or_error(row, part), rows)
            return {row.trial_id: answer for row, answer in zip(rows, evidence, strict=True)}

    def _evidence_or_error(self, row: TrialRow, part: str) -> Evidence | DataError | None:
        try:
            return self.evidence(row, part)
        except DataError as error:
            return error

    def json_artifact(self, run_id: str, name: str) -> dict[str, Any] | None:
        """Return a run's artifact that is a JSON object; None when it is missing, or something else."""
        with self._downloaded(run_id, name) as path:
            if path is None:
                return None
            try:
                content = read_json(path)
            except ValueError as error:
                log.warning("artifact %s of run %s is no JSON: %s", name, run_id, error)
                return None
        return content if isinstance(content, dict) else None

    def has_artifact(self, row: TrialRow, name: str) -> bool:
        """Return whether a trial's run has an artifact of that name; nothing is downloaded."""
        path = PurePosixPath(name)
        root = folder_of(row.artifact_uri)
        if root is not None:
            return is_there(root / path)
        with self._reading() as client:
            siblings = client.list_artifacts(row.run_id, None if len(path.parts) == 1 else str(path.parent))
        return any(item.path == str(path) and not item.is_dir for item in siblings)

    def download(self, run_id: str, name: str, folder: Path) -> Path | None:
        """Return a copy, in the folder, of a run's artifact; None when the run has none of that name."""
        return self._download(run_id, PurePosixPath(name), folder)

    def album(self, run_id: str) -> PredictionPanels | None:
        """Return the prediction panels among the artifacts of a sweep's run; None when it has none."""
        index = self.json_artifact(run_id, f"{FOLDER}/{INDEX}")
        return read_album(index, partial(self._pictures, run_id)) if index else None

    def _pictures(self, run_id: str, names: Sequence[str]) -> dict[str, bytes]:
        """Return the contents of those files that exist and are not too large."""
        with self._reading() as client:
            artifact_uri = self._downloads.address(client, run_id)
        contents: dict[str, bytes] = {}
        for name in names:
            with self._opened(run_id, artifact_uri, f"{FOLDER}/{name}") as path, suppress(OSError):
                if path is not None and path.stat().st_size <= MOST_BYTES:
                    contents[name] = path.read_bytes()
        return contents

    def files_of(self, run: "Run", folder: str) -> dict[str, int | None]:
        """Return the files in a folder of a run's artifacts, by name, with their sizes where those are known."""
        root = local_root(run.info.artifact_uri or "")
        if root is not None:
            paths = [root / folder / name for name in names_in(root / folder)]
            return {path.name: path.stat().st_size for path in paths if path.is_file()}
        if folder_of(run.info.artifact_uri or "") is not None:
            return {}
        with self._reading() as client:
            listed = client.list_artifacts(run.info.run_id, folder or None)
        return {PurePosixPath(item.path).name: item.file_size for item in listed if not item.is_dir}

    @property
    def _shown(self) -> str:
        return hide_password(self.tracking_uri)

    @contextmanager
    def _reading(self, purpose: str = "read") -> Iterator["MlflowClient"]:
        with self._access.reading(purpose) as client:
            yield client

    @contextmanager
    def _opened(self, run_id: str, artifact_uri: str, name: str) -> Iterator[Path | None]:
        """Give an artifact: the file itself where it is on this machine, else a copy; None when there is none."""
        root = local_root(artifact_uri)
        if root is None:
            with self._downloaded(run_id, name) as copy:
                yield copy
            return
        path = root / name
        yield path if is_there(path) and path.is_file() and path.resolve().is_relative_to(root.resolve()) else None

    @contextmanager
    def _downloaded(self, run_id: str, name: str) -> Iterator[Path | None]:
        """Give a copy of an artifact for as long as the context lasts; None when the run has none of that name."""
        with tempfile.TemporaryDirectory() as folder:
            yield self._download(run_id, PurePosixPath(name), Path(folder))

    def _download(self, run_id: str, name: PurePosixPath, folder: Path) -> Path | None:
        if name.is_absolute() or ".." in name.parts:
            return None
        with self._reading() as client:
            path = self._downloads.download(client, run_id, name, folder)
        if path is None or (path.is_file() and path.resolve().is_relative_to(folder.resolve())):
            return path
        log.warning("artifact %s of run %s lies outside the download folder; it is not read", name, run_id)
        return None

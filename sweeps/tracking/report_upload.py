"""Upload of a report into MLflow, to the sweep's run: its files, and tags that record openings of the test part."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bddseg.data.folders import is_visible
from sweeps.errors import TrackingError
from sweeps.tracking.access import make_writable
from sweeps.tracking.client import open_client
from sweeps.tracking.failures import reason
from sweeps.tracking.uri import database_file, hide_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

REPORT = "report"
"""Folder of a report among the sweep's artifacts."""


class ReportUpload:
    """Writes to a store that exists.

    Raises:
        TrackingError: from every method, when the store cannot be written.
    """

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri

    def write_tag(self, run_id: str, key: str, value: str) -> None:
        """Set a tag of a run."""
        with self._writing() as client:
            client.set_tag(run_id, key, value)

    def upload_report(self, run_id: str, folder: Path) -> None:
        """Upload the files of a report, in place of those of an older report."""
        self.upload_folder(run_id, folder, REPORT)

    def upload_folder(self, run_id: str, folder: Path, name: str) -> None:
        """Upload the files of a folder into one of that name, in place of older ones."""
        with self._writing() as client:
            client.log_artifacts(run_id, str(folder), name)

    @contextmanager
    def _writing(self) -> "Iterator[MlflowClient]":
        shown, database = hide_password(self.tracking_uri), database_file(self.tracking_uri)
        if database is not None and is_visible(database):
            make_writable(database, f"{shown} cannot be written")
        try:
            yield open_client(self.tracking_uri)
        except Exception as error:  # each database, server and artifact store fails in its own way
            raise TrackingError(f"{shown} cannot be written ({reason(error, self.tracking_uri)})") from error

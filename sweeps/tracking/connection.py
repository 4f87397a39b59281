"""The way to the experiment in an MLflow store, for recording: opened late, and again where the store was replaced."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sweeps.errors import TrackingError
from sweeps.tracking.client import forget_database, open_client
from sweeps.tracking.failures import GONE, code_of
from sweeps.tracking.store import PROBE, check_active, experiment_id
from sweeps.tracking.uri import check_uri, database_file

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Connection:
    """MLflow's client, and the id of the experiment.

    Args:
        tracking_uri: the store.
        on_loss: called when everything that was known of the store has to be looked up again.
    """

    def __init__(self, tracking_uri: str, on_loss: Callable[[], None]) -> None:
        self.uri = check_uri(tracking_uri)
        self.experiment = ""
        self._on_loss = on_loss
        self._client: MlflowClient | None = None
        self._file: tuple[int, int] | None = None
        """Device and number of the database file."""

    def client(self) -> "MlflowClient":
        """Return the client.

        Raises:
            TrackingError: when the database, or the experiment in it, is missing or deleted.
        """
        self._look_for_database()
        if self._client is None:
            client = open_client(self.uri)
            self.experiment = experiment_id(client, self.uri, may_create=database_file(self.uri) is None)
            self._client = client
        return self._client

    def check_experiment(self) -> None:
        """Check that the experiment is there: while it is deleted, MLflow refuses everything.

        Raises:
            TrackingError: when it is deleted.
        """
        try:
            check_active(self.client().get_experiment(self.experiment), self.uri)
        except Exception as error:
            if code_of(error) == GONE:
                self.forget()
            raise

    def takes_writes(self) -> bool:
        """Return whether the store takes anything: one that is full or read-only still answers questions."""
        try:
            self.client().set_experiment_tag(self.experiment, PROBE, str(int(time.time() * 1000)))
        except Exception:  # noqa: BLE001 - stores raise what they like; the answer is no
            return False
        return True

    def forget(self) -> None:
        """Open the store again when it is asked next."""
        self._client = self._file = None
        forget_database(self.uri)
        self._on_loss()

    def _look_for_database(self) -> None:
        """Start again where the database file was removed or replaced: MLflow would go on writing into the old one."""
        path = database_file(self.uri)
        if path is None:
            return
        try:
            status = path.stat()
        except FileNotFoundError as error:
            self.forget()
            raise TrackingError(f"the database {path} is missing: --sync makes it again") from error
        if self._file not in (None, (status.st_dev, status.st_ino)):
            self.forget()
        self._file = (status.st_dev, status.st_ino)

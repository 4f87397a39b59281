"""The connection to an MLflow store for recording: opened when needed, and again when the store was replaced."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sweeps.errors import TrackingError
from sweeps.storage.tags import PROBE
from sweeps.tracking.client import forget_database, open_client
from sweeps.tracking.experiment import check_active, experiment_id
from sweeps.tracking.failures import GONE, code_of
from sweeps.tracking.uri import check_uri, database_file

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Connection:
    """MLflow's client, and the id of the experiment.

    Args:
        tracking_uri: the store.
        on_loss: called when every run has to be looked up again.
        name: of the experiment.
    """

    def __init__(self, tracking_uri: str, on_loss: Callable[[], None], name: str) -> None:
        self.uri = check_uri(tracking_uri)
        self._name = name
        self.experiment = ""
        self._on_loss = on_loss
        self._client: MlflowClient | None = None
        self._file: tuple[int, int] | None = None
        """Device and inode of the database file."""

    def client(self) -> "MlflowClient":
        """Return the client.

        Raises:
            TrackingError: when the database, or the experiment in it, is missing or deleted.
        """
        self._look_for_database()
        if self._client is None:
            client, may_create = open_client(self.uri), database_file(self.uri) is None
            self.experiment = experiment_id(client, self.uri, self._name, may_create=may_create)
            self._client = client
        return self._client

    def check_experiment(self) -> None:
        """Check that the experiment exists: while it is deleted, MLflow refuses everything.

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
        """Return whether the store takes writes: one that is full or read-only still answers queries."""
        try:
            self.client().set_experiment_tag(self.experiment, PROBE, str(int(time.time() * 1000)))
        except Exception:  # noqa: BLE001 - stores raise what they like; the answer is no
            return False
        return True

    def forget(self) -> None:
        """Forget the open store; the next call opens it again."""
        self._client = self._file = None
        forget_database(self.uri)
        self._on_loss()

    def _look_for_database(self) -> None:
        """Reconnect where the database file was removed or replaced: MLflow would write on into the old one."""
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

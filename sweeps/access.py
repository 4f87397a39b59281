"""A way into an MLflow store for those who read: no database is made, and no leave to write is needed."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bddseg.errors import UserError
from sweeps.address import check_server, database_file, database_uri, hide_password, start_command
from sweeps.artifact_root import ARTIFACTS, settle
from sweeps.cures import cure_of
from sweeps.errors import NoSweepError, TrackingError
from sweeps.failures import reason
from sweeps.mlflow_client import open_client
from sweeps.snapshot import copy_database, is_writable

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Access:
    """Opens a store when it is first asked.

    A database in a read-only folder is read from a copy. In any other folder the addresses of files are put right where
    the folder was moved; nothing else is written.

    Raises:
        NoSweepError: from every method, when nothing has been recorded there.
        TrackingError: from every method, when the store cannot be read.
    """

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        """Holds the copy of the database for as long as it is read."""

    @cached_property
    def opened_uri(self) -> str:
        """The address that is read: that of a copy, where the database is in a read-only folder."""
        database = database_file(self.tracking_uri)
        if database is None:
            self._check_kind()
            return self.tracking_uri
        try:
            if not database.exists():
                raise self._nothing()
            opened = database if is_writable(database) else self._copied(database)
            self._open(opened, database.parent / ARTIFACTS)
        except (OSError, sqlite3.Error) as error:
            raise TrackingError(f"{self._shown} cannot be read ({error}): choose another --tracking-uri") from error
        return self.tracking_uri if opened == database else database_uri(opened)

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's client, imported under our environment; it would make a database where there is none."""
        check_server(self.tracking_uri)
        return open_client(self.opened_uri)

    @contextmanager
    def reading(self, what: str = "read") -> Iterator["MlflowClient"]:
        """Give MLflow's client, and turn what it raises within the context into one line."""
        try:
            yield self.client
        except UserError:
            raise
        except Exception as error:  # each database, server and store of files fails in its own way
            why = reason(error, self.tracking_uri)
            cure = cure_of(error, self.tracking_uri, "check --tracking-uri and that its server runs")
            raise TrackingError(f"{self._shown} cannot be {what} ({why}): {cure}") from error

    @property
    def _shown(self) -> str:
        return hide_password(self.tracking_uri)

    def _check_kind(self) -> None:
        if self.tracking_uri.startswith("file:") or "://" not in self.tracking_uri:
            raise TrackingError(
                f"{self._shown} is a folder, but must be a database (sqlite:////path/mlflow.db) or a server"
            )

    def _copied(self, database: Path) -> Path:
        self._copy = copy_database(database)
        return Path(self._copy.name) / database.name

    def _open(self, database: Path, artifacts: Path) -> None:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            has_runs = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone()
        if not has_runs:
            raise self._nothing()
        settle(database, artifacts)

    def _nothing(self) -> NoSweepError:
        return NoSweepError(f"no sweep recorded yet in {self._shown}; run {start_command(self.tracking_uri)}")

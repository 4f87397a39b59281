"""Read access to an MLflow store: no database is created, and no right to write is needed."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bddseg.errors import UserError
from sweeps.errors import NoSweepError, TrackingError
from sweeps.tracking.artifact_root import ARTIFACTS, is_settled, repair_artifact_root, rewrite_addresses
from sweeps.tracking.client import open_client
from sweeps.tracking.failures import reason
from sweeps.tracking.hints import cure_of
from sweeps.tracking.reachability import check_answers, check_version
from sweeps.tracking.snapshot import copy_database, is_writable
from sweeps.tracking.uri import database_file, database_uri, hide_password, start_command

if TYPE_CHECKING:
    from mlflow import MlflowClient


def make_writable(database: Path, complaint: str) -> None:
    """Check that a database can be written, and correct the addresses of its artifacts.

    Raises:
        TrackingError: `complaint` and the reason, when the database is read-only, or a running sweep has it under
            another path.
    """
    if not is_writable(database):
        raise TrackingError(f"{complaint} (it is read-only): use a copy of its folder")  # MLflow would try for an hour
    try:
        repair_artifact_root(database, database.parent / ARTIFACTS)
    except (OSError, sqlite3.Error) as error:
        raise TrackingError(f"{complaint} ({error}): choose another --tracking-uri") from error


class Access:
    """Opens a store when it is first read.

    A database in a folder that is read-only, or was moved, is read from a copy; nothing is written.

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
        """The address that is read: that of a copy, where the folder of the database is read-only or was moved."""
        database = database_file(self.tracking_uri)
        if database is None:
            self._check_kind()
            return self.tracking_uri
        try:
            if not database.exists():
                raise self._nothing()
            opened = self._opened(database, database.parent / ARTIFACTS)
        except (OSError, sqlite3.Error) as error:
            raise TrackingError(f"{self._shown} cannot be read ({error}): choose another --tracking-uri") from error
        return self.tracking_uri if opened == database else database_uri(opened)

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's client, imported under our environment; it would create a database where there is none."""
        check_answers(self.tracking_uri)
        check_version(self.tracking_uri)
        return open_client(self.opened_uri)

    def open_for_writing(self, purpose: str) -> None:
        """Open the database itself, and no copy of it, with the present addresses of its artifacts.

        Raises:
            TrackingError: "cannot be" with `purpose`: it is read-only, or a running sweep has it under another path.
        """
        database = database_file(self.tracking_uri)
        if database is None or self.opened_uri == self.tracking_uri:
            return
        make_writable(database, f"{self._shown} cannot be {purpose}")
        vars(self).pop("client", None)
        vars(self).pop("opened_uri", None)

    @contextmanager
    def reading(self, purpose: str = "read") -> Iterator["MlflowClient"]:
        """Give MLflow's client, and turn what it raises within the context into one line."""
        try:
            yield self.client
        except UserError:
            raise
        except Exception as error:  # each database, server and store of files fails in its own way
            why = reason(error, self.tracking_uri)
            cure = cure_of(error, self.tracking_uri, "check --tracking-uri and that its server runs")
            raise TrackingError(f"{self._shown} cannot be {purpose} ({why}): {cure}") from error

    @property
    def _shown(self) -> str:
        return hide_password(self.tracking_uri)

    def _check_kind(self) -> None:
        if self.tracking_uri.startswith("file:") or "://" not in self.tracking_uri:
            raise TrackingError(
                f"{self._shown} is a folder, but must be a database (sqlite:////path/mlflow.db) or a server"
            )

    def _opened(self, database: Path, artifacts: Path) -> Path:
        """Return the database, or a copy of it with the present addresses of its artifacts."""
        if is_writable(database):
            self._check_runs(database)
            if is_settled(database, artifacts):
                return database
        self._copy = copy_database(database)
        copy = Path(self._copy.name) / database.name
        self._check_runs(copy)
        rewrite_addresses(copy, artifacts)
        return copy

    def _check_runs(self, database: Path) -> None:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            has_runs = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone()
        if not has_runs:
            raise self._nothing()

    def _nothing(self) -> NoSweepError:
        return NoSweepError(f"no sweep recorded yet in {self._shown}; run {start_command(self.tracking_uri)}")

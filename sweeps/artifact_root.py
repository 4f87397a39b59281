"""Where a database says that files lie, made true again after the folder with both was moved or copied.

MLflow writes absolute addresses of files into its database. A storage folder has its database and its files beside each
other: as soon as one of our commands opens a database whose files were moved with it, their addresses are rewritten,
once. MLflow's own pages show the files from then on, too.
"""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sweeps.address import folder_of
from sweeps.mlflow_client import EXPERIMENT, forget_artifacts

ARTIFACTS = "artifacts"
"""Folder of the files in a storage folder."""

COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
"""Where MLflow keeps addresses of files."""


def settle(database: Path, root: Path) -> None:
    """Rewrite addresses of files that lie below `root` now and are recorded as lying elsewhere.

    Nothing is changed where the database is of something else, or the files were never here.

    Raises:
        sqlite3.Error, OSError: when the database has to be changed and cannot be.
    """
    root = Path(root).absolute()
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=20)) as connection:
        recorded = _location(connection)
        before = folder_of(recorded) if recorded else None
        if before is None or before == root or not _was_moved(connection, before, root):
            return
        with locked(database), connection:
            connection.execute("BEGIN IMMEDIATE")
            for table, column in COLUMNS:
                _rewrite(connection, table, column, recorded, root)
    forget_artifacts()


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold the database's lock file: two processes that fill a new database at once break it."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f"{database.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _location(connection: sqlite3.Connection) -> str:
    """Return where our experiment keeps its files; "" where there is no such experiment."""
    try:
        query = "SELECT artifact_location FROM experiments WHERE name = ?"
        found = connection.execute(query, (EXPERIMENT,)).fetchone()
    except sqlite3.OperationalError:  # the tables are not there yet, or are another version's
        return ""
    return str(found[0] or "") if found else ""


def _was_moved(connection: sqlite3.Connection, before: Path, root: Path) -> bool:
    """Return whether what was recorded beside `before` lies beside `root` now: files of a run, or a sweep's folder."""
    folders = {path.name for path in root.iterdir()} if root.is_dir() else set()
    if any(run_id in folders for (run_id,) in connection.execute("SELECT run_uuid FROM runs")):
        return True
    recorded = connection.execute("SELECT value FROM tags WHERE key = 'sweep.folder'")
    sweeps = (Path(value) for (value,) in recorded)
    return any(path.parent == before.parent and (root.parent / path.name).is_dir() for path in sweeps)


def _rewrite(connection: sqlite3.Connection, table: str, column: str, recorded: str, root: Path) -> None:
    """Put the new root in place of the old one, but where files are at the old place alone."""
    try:
        rows = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall()  # noqa: S608 - names of ours
    except sqlite3.OperationalError:  # a version of MLflow without this table
        return
    for rowid, address in rows:
        if address != recorded and not str(address).startswith(f"{recorded}/"):
            continue
        moved = root.as_uri() + str(address)[len(recorded) :]
        if _exists(moved) or not _exists(str(address)):
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (moved, rowid))  # noqa: S608


def _exists(address: str) -> bool:
    folder = folder_of(address)
    return folder is not None and folder.exists()

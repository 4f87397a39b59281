"""Addresses of artifacts in MLflow's database, rewritten after the storage folder was moved or copied.

MLflow writes absolute addresses into its database, which lies beside the artifacts in a storage folder. A process that
writes to a database whose artifacts were moved with it rewrites the addresses first, once; MLflow's own pages show the
artifacts from then on, too. A process that only reads rewrites a copy, because a running sweep may see the folder under
its old path: in a container, or on another machine.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bddseg.data.folders import is_visible
from bddseg.file_locks import locked
from sweeps.errors import TrackingError
from sweeps.storage.heartbeat import FILE as HEARTBEAT
from sweeps.storage.heartbeat import read_pulse
from sweeps.storage.tags import FOLDER
from sweeps.tracking.client import EXPERIMENT, forget_artifacts
from sweeps.tracking.experiment import OUR_TAG, OUR_VALUE
from sweeps.tracking.uri import folder_of

ARTIFACTS = "artifacts"
"""Folder of the artifacts in a storage folder."""

COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
"""Table and column of every address of artifacts."""


OURS = """SELECT DISTINCT artifact_location FROM experiments WHERE name = ? OR experiment_id IN
          (SELECT experiment_id FROM experiment_tags WHERE key = ? AND value = ?)"""
"""Locations of the experiments in which sweeps are recorded."""


def is_settled(database: Path, root: Path) -> bool:
    """Return whether the database has the present addresses of the artifacts below `root`, or none of them.

    Raises:
        sqlite3.Error, OSError: when the database or the folder cannot be read.
    """
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return not _recorded_elsewhere(connection, Path(root).absolute())


def repair_artifact_root(database: Path, root: Path) -> None:
    """Rewrite the addresses of artifacts that lie below `root` now and are recorded elsewhere.

    Raises:
        TrackingError: when that is needed, and a running sweep sees the folder under another path.
        sqlite3.Error, OSError: when the database cannot be read or changed.
    """
    root = Path(root).absolute()
    if is_settled(database, root):
        return
    if running := _running_sweep(root.parent):
        raise TrackingError(f"{running} records into {database} under another path: wait for its end")
    rewrite_addresses(database, root)


def rewrite_addresses(database: Path, root: Path) -> None:
    """Replace the addresses of artifacts with those below `root`; see `repair_artifact_root`."""
    with locked_database(database), closing(sqlite3.connect(database, timeout=20, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        recorded = _recorded_elsewhere(connection, root)
        for table, column in COLUMNS if recorded else ():
            _rewrite(connection, table, column, recorded, root)
        connection.execute("COMMIT")
    forget_artifacts()


@contextmanager
def locked_database(database: Path) -> Iterator[None]:
    """Hold the database's lock file: two processes that fill a new database at once break it."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with locked(database.with_name(f"{database.name}.lock")):
        yield


def _recorded_elsewhere(connection: sqlite3.Connection, root: Path) -> str:
    """Return the recorded address of the artifacts below `root` where that is another one; "" otherwise."""
    try:
        rows = connection.execute(OURS, (EXPERIMENT, OUR_TAG, OUR_VALUE)).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return ""
        raise
    for recorded in (str(location) for (location,) in rows if location):
        before = folder_of(recorded)
        if before is None or before == root or (is_visible(before) and is_visible(root) and before.samefile(root)):
            continue
        if _was_moved(connection, before, root):
            return recorded
    return ""


def _running_sweep(storage: Path) -> str:
    """Return which sweep of a storage folder is running in another process; "" when none is."""
    for path in sorted(storage.glob(f"*/{HEARTBEAT}")):
        pulse = read_pulse(path.parent)
        if pulse is not None and pulse.is_alive() and not pulse.is_own():
            return f"sweep {path.parent.name} ({pulse.driver})"
    return ""


def _was_moved(connection: sqlite3.Connection, before: Path, root: Path) -> bool:
    """Return whether a run or a sweep that was recorded at `before` is at `root` now."""
    folders = {path.name for path in root.iterdir()} if root.is_dir() else set()
    if any(run_id in folders for (run_id,) in connection.execute("SELECT run_uuid FROM runs")):
        return True
    recorded = connection.execute("SELECT value FROM tags WHERE key = ?", [FOLDER])
    sweeps = (Path(value) for (value,) in recorded)
    return any(path.parent == before.parent and is_visible(root.parent / path.name) for path in sweeps)


def _rewrite(connection: sqlite3.Connection, table: str, column: str, recorded: str, root: Path) -> None:
    """Replace the old root with the new one, except where files exist only at the old one."""
    try:
        rows = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall()  # noqa: S608 - our own names
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
    return folder is not None and is_visible(folder)

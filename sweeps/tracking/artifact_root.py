"""Where a database says that files lie, made true again after the folder with both was moved or copied.

MLflow writes absolute addresses of files into its database. A storage folder has its database and its files beside each
other: whoever writes to a database whose files were moved with it rewrites their addresses first, once. MLflow's own
pages show the files from then on, too. Whoever only reads does so in a copy, for a sweep may run that sees the folder
under its old path: in a container, or on another machine.
"""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bddseg.data.folders import is_visible
from sweeps.errors import TrackingError
from sweeps.storage.heartbeat import FILE as HEARTBEAT
from sweeps.storage.heartbeat import read_pulse
from sweeps.storage.tags import FOLDER
from sweeps.tracking.client import EXPERIMENT, forget_artifacts
from sweeps.tracking.uri import folder_of

ARTIFACTS = "artifacts"
"""Folder of the files in a storage folder."""

COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
"""Where MLflow keeps addresses of files."""


def is_settled(database: Path, root: Path) -> bool:
    """Return whether the files below `root` are recorded as lying there, or are not those of the database.

    Raises:
        sqlite3.Error, OSError: when the database or the folder cannot be read.
    """
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return not _recorded_elsewhere(connection, Path(root).absolute())


def repair_artifact_root(database: Path, root: Path) -> None:
    """Rewrite addresses of files that lie below `root` now and are recorded as lying elsewhere.

    Raises:
        TrackingError: when that has to be done, and a sweep runs that sees the folder under another path.
        sqlite3.Error, OSError: when the database cannot be read or changed.
    """
    root = Path(root).absolute()
    if is_settled(database, root):
        return
    if running := _running_sweep(root.parent):
        raise TrackingError(f"{running} records into {database} under another path: wait for its end")
    rewrite_addresses(database, root)


def rewrite_addresses(database: Path, root: Path) -> None:
    """Let the addresses of files be those below `root`; see `repair_artifact_root`."""
    with locked(database), closing(sqlite3.connect(database, timeout=20, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        recorded = _recorded_elsewhere(connection, root)
        for table, column in COLUMNS if recorded else ():
            _rewrite(connection, table, column, recorded, root)
        connection.execute("COMMIT")
    forget_artifacts()


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold the database's lock file: two processes that fill a new database at once break it."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f"{database.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _recorded_elsewhere(connection: sqlite3.Connection, root: Path) -> str:
    """Return the address under which files below `root` are recorded, where it is another one; "" otherwise."""
    try:
        query = "SELECT artifact_location FROM experiments WHERE name = ?"
        found = connection.execute(query, (EXPERIMENT,)).fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return ""
        raise
    recorded = str(found[0] or "") if found else ""
    before = folder_of(recorded) if recorded else None
    if before is None or before == root or (is_visible(before) and is_visible(root) and before.samefile(root)):
        return ""
    return recorded if _was_moved(connection, before, root) else ""


def _running_sweep(storage: Path) -> str:
    """Return which sweep of a storage folder another process drives; "" when none is driven."""
    for path in sorted(storage.glob(f"*/{HEARTBEAT}")):
        pulse = read_pulse(path.parent)
        if pulse is not None and pulse.is_alive() and not pulse.is_own():
            return f"sweep {path.parent.name} ({pulse.driver})"
    return ""


def _was_moved(connection: sqlite3.Connection, before: Path, root: Path) -> bool:
    """Return whether what was recorded beside `before` lies beside `root` now: files of a run, or a sweep's folder."""
    folders = {path.name for path in root.iterdir()} if root.is_dir() else set()
    if any(run_id in folders for (run_id,) in connection.execute("SELECT run_uuid FROM runs")):
        return True
    recorded = connection.execute("SELECT value FROM tags WHERE key = ?", [FOLDER])
    sweeps = (Path(value) for (value,) in recorded)
    return any(path.parent == before.parent and is_visible(root.parent / path.name) for path in sweeps)


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
    return folder is not None and is_visible(folder)

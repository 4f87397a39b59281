"""Check whether a database can be used, before anything slow and without leaving a trace."""

import sqlite3
from contextlib import closing

from sweeps.errors import TrackingError
from sweeps.storage.folder import try_writing
from sweeps.tracking.client import EXPERIMENT
from sweeps.tracking.hints import restore_cure
from sweeps.tracking.snapshot import is_writable
from sweeps.tracking.uri import database_file

STAGE = "SELECT experiment_id, lifecycle_stage FROM experiments WHERE name = ?"


def check_database(tracking_uri: str, experiment: str = EXPERIMENT) -> None:
    """Refuse a file that is no database, a deleted experiment, and a folder in which no database can be created.

    Servers are not checked.

    Raises:
        TrackingError: with address, reason and cure.
    """
    database = database_file(tracking_uri)
    if database is None:
        return
    try:
        if not database.exists():
            try_writing(database.absolute().parent)
        elif not is_writable(database):
            raise TrackingError(f"{tracking_uri} cannot be written: choose another --tracking-uri, or --offline")
        else:
            with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                _check_experiment(connection, tracking_uri, experiment)
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise TrackingError(f"{tracking_uri} cannot be used ({why}): choose another --tracking-uri") from error


def _check_experiment(connection: sqlite3.Connection, tracking_uri: str, experiment: str) -> None:
    """Read a database, which fails for any other file; see `check_database`."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone():
        return
    for experiment_id, stage in connection.execute(STAGE, (experiment,)):
        if stage != "active":
            cure = restore_cure(str(experiment_id), tracking_uri)
            raise TrackingError(f"experiment {experiment} is deleted in {tracking_uri}: {cure}")

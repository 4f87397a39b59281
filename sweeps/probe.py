"""Whether a database can be used, asked before anything takes time and without writing anything."""

import os
import sqlite3
from contextlib import closing

from sweeps.address import database_file
from sweeps.errors import TrackingError


def check_database(tracking_uri: str) -> None:
    """Refuse a file that is no database, and a place in which none can be made; servers are not asked.

    Raises:
        TrackingError: with address and reason.
    """
    database = database_file(tracking_uri)
    if database is None:
        return
    cure = "choose another --tracking-uri"
    try:
        beside = next(path for path in database.absolute().parents if path.exists())
        if not database.exists() and not (beside.is_dir() and os.access(beside, os.W_OK)):
            raise TrackingError(f"{tracking_uri} cannot be made: {beside} is no folder that can be written; {cure}")
        if database.exists():
            with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                connection.execute("PRAGMA schema_version")
    except (OSError, sqlite3.Error) as error:
        raise TrackingError(f"{tracking_uri} cannot be used ({error}): {cure}") from error

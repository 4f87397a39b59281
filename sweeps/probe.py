"""Whether a database can be used, asked before anything takes time and without leaving anything."""

import sqlite3
from contextlib import closing

from sweeps.address import database_file
from sweeps.errors import TrackingError
from sweeps.folder import try_writing


def check_database(tracking_uri: str) -> None:
    """Refuse a file that is no database, and a place in which none can be made; servers are not asked.

    Raises:
        TrackingError: with address and reason.
    """
    database = database_file(tracking_uri)
    if database is None:
        return
    try:
        if not database.exists():
            try_writing(database.absolute().parent)
        else:
            with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                connection.execute("PRAGMA schema_version")
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise TrackingError(f"{tracking_uri} cannot be used ({why}): choose another --tracking-uri") from error

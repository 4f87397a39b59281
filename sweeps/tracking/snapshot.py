"""A private copy of a database whose folder is read-only.

SQLite writes beside a database even in order to read it. The copy is made from the files alone, including the
write-ahead log beside the database, and is removed with the process.
"""

import os
import shutil
import tempfile
from pathlib import Path

from sweeps.errors import TrackingError

ATTEMPTS = 5


def is_writable(database: Path) -> bool:
    """Return whether the database can be opened in its own folder."""
    return os.access(database.parent, os.W_OK) and os.access(database, os.W_OK)


def copy_database(database: Path) -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder with a copy of the database under its own name.

    Raises:
        TrackingError: when it cannot be read, or is being written to.
    """
    folder = tempfile.TemporaryDirectory(prefix="bddseg-database-")
    log = database.with_name(f"{database.name}-wal")
    try:
        for _ in range(ATTEMPTS):
            before = database.stat()
            shutil.copyfile(database, Path(folder.name) / database.name)
            (Path(folder.name) / log.name).unlink(missing_ok=True)
            if log.exists():
                shutil.copyfile(log, Path(folder.name) / log.name)
            after = database.stat()
            if (before.st_mtime_ns, before.st_size) == (
                after.st_mtime_ns,
                after.st_size,
            ):  # nothing was moved out of the log meanwhile
                return folder
    except OSError as error:
        raise TrackingError(f"{database} cannot be copied in order to be read ({error.strerror})") from error
    raise TrackingError(f"{database} is being written to and cannot be read in a read-only folder: try again")

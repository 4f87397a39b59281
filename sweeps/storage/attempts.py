"""Attempts at a sweep: each process that drives it takes the next number, and stops once a later number is taken.

A number is taken by the exclusive creation of a file, which holds on every file system, also between machines whose
file locks do not reach each other. No clock is asked.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from bddseg.data.folders import is_visible
from bddseg.files import make_folder, sync_folder
from sweeps.errors import FencedError, StorageError
from sweeps.storage.append_file import READABLE
from sweeps.storage.heartbeat import this_pulse

FOLDER = "attempts"


@dataclass(frozen=True)
class Attempt:
    """A number that a process, and the trials that it starts, hold for one sweep."""

    sweep: Path
    """The sweep's folder."""
    number: int

    def is_over(self) -> bool:
        """Return whether a later number is taken; one stat(2), since numbers have no gaps."""
        return is_visible(_file(self.sweep, self.number + 1))

    def check(self) -> None:
        """Check that no later number is taken.

        Raises:
            FencedError: naming the attempt that has taken over.
        """
        if self.is_over():
            number = newest_number(self.sweep)
            raise FencedError(
                f"sweep {self.sweep.name}: attempt {number} ({_holder(self.sweep, number)}) has taken over; "
                f"attempt {self.number} ends"
            )


def take_number(sweep: Path) -> Attempt:
    """Take the next number; a process that holds an earlier one ends.

    Raises:
        StorageError: when the folder cannot be written.
    """
    pulse = this_pulse()
    content = json.dumps({"driver": pulse.driver, "host": pulse.host, "pid": pulse.pid}) + "\n"
    try:
        make_folder(sweep / FOLDER)
        number = newest_number(sweep)
        while True:
            number += 1
            try:
                handle = os.open(_file(sweep, number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, READABLE)
            except FileExistsError:  # another process was faster
                continue
            try:
                os.write(handle, content.encode())
                os.fsync(handle)
            finally:
                os.close(handle)
            sync_folder(sweep / FOLDER)
            return Attempt(sweep, number)
    except OSError as error:
        raise StorageError(f"{sweep / FOLDER} cannot be written: {error.strerror}") from error


def newest_number(sweep: Path) -> int:
    """Return the highest number that is taken; 0 when none is."""
    try:
        names = [path.name for path in (sweep / FOLDER).iterdir()]
    except FileNotFoundError:
        return 0
    return max((int(name) for name in names if name.isdecimal()), default=0)


def _file(sweep: Path, number: int) -> Path:
    return sweep / FOLDER / f"{number:04d}"


def _holder(sweep: Path, number: int) -> str:
    """Return which process holds a number; its file may still be empty, or damaged."""
    try:
        return str(json.loads(_file(sweep, number).read_bytes())["driver"])
    except (OSError, ValueError, TypeError, LookupError):
        return "an unknown process"

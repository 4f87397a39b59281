"""Paths in the folder of a sweep: passes, checkpoints, logs and marks; and the checks of a storage folder."""

import contextlib
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bddseg.data.folders import is_visible
from sweeps.errors import StorageError

CHECKPOINT = re.compile(r"checkpoint_(\d+)")
PROBE_BYTES = 1 << 18
"""About what a sweep writes before its first trial trains."""

REMOVALS = 5

UNUSABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that no database takes in an address of a file, and no terminal prints as they are."""

PASS = re.compile(r"pass-(\d+)")


@dataclass(frozen=True)
class SweepFolder:
    """Paths within one sweep's folder; trial processes on other machines see the same ones."""

    path: Path

    @property
    def outbox(self) -> Path:
        return self.path / "outbox"

    @property
    def spool(self) -> Path:
        """Return the folder of files that MLflow gets, one folder a trial."""
        return self.outbox / "spool"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log(self, trial_id: str) -> Path:
        """Return the path of a trial's log."""
        return self.logs / f"{trial_id}.log"

    def next_pass(self, last_elsewhere: int = 0) -> str:
        """Return a name for the next pass that no earlier pass has, so that it overwrites nothing of theirs.

        Args:
            last_elsewhere: the last pass that has checkpoints outside this folder.
        """
        return f"pass-{1 + max(self.last_pass(), last_elsewhere)}"

    def last_pass(self) -> int:
        """Return the highest number of a pass, 0 without one."""
        return max((number(PASS, path.name) for path in self.path.glob("pass-*")), default=0)

    def checkpoints(self, trial_id: str) -> list[Path]:
        """Return the checkpoint folders of a trial, the newest first, over all passes."""
        folders = self.path.glob(f"pass-*/{trial_id}/checkpoint_*")
        return sorted(
            folders,
            key=lambda path: (number(PASS, path.parents[1].name), number(CHECKPOINT, path.name)),
            reverse=True,
        )

    def cancel(self, trial_id: str) -> None:
        """Mark a trial as cancelled; it ends itself after its current epoch, or as soon as it starts.

        Raises:
            StorageError: when the mark cannot be written.
        """
        mark = self._mark(trial_id)
        try:
            mark.parent.mkdir(exist_ok=True)
            mark.touch()
        except OSError as error:
            raise StorageError(f"{mark.parent} cannot be written: {error.strerror}") from error

    def is_cancelled(self, trial_id: str) -> bool:
        """Return whether the user has cancelled the trial."""
        return is_visible(self._mark(trial_id))

    def ask_to_save(self) -> None:
        """Mark the sweep as ending: a running trial saves its state with its next epoch."""
        self._ending.touch()

    def is_asked_to_save(self) -> bool:
        """Return whether the sweep is ending."""
        return self._ending.exists()

    def go_on(self) -> None:
        """Remove the mark that the sweep is ending."""
        self._ending.unlink(missing_ok=True)

    @property
    def _ending(self) -> Path:
        return self.path / "ending"

    def _mark(self, trial_id: str) -> Path:
        return self.path / "cancelled" / trial_id


def remove_folder(folder: Path) -> None:
    """Remove the folder of a sweep that is refused.

    The heartbeat may write a file while the folder is being emptied: then it is emptied again.
    """
    for _ in range(REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


@contextlib.contextmanager
def making(folder: Path) -> Iterator[Path]:
    """Create a folder and its parents; an error within the context removes those that are new and empty."""
    new_folders = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        for path in new_folders:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def check_storage(folder: Path) -> Path:
    """Return the absolute storage folder; it is not created yet, so that a command that is refused leaves nothing.

    Raises:
        StorageError: when it cannot be recorded, created or written, or has no room for a sweep's first files.
    """
    if UNUSABLE.search(str(folder)):
        raise StorageError(f"--storage {str(folder)!r} has control characters, or is no UTF-8: choose another folder")
    folder = folder.absolute()
    try:
        try_writing(folder)
    except OSError as error:
        raise StorageError(f"--storage {folder} cannot be written: {error.strerror}; choose another folder") from error
    return folder


def nearest_folder(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def try_writing(folder: Path) -> None:
    """Write a file into a folder, or into the nearest one above it that exists, and remove it.

    Raises:
        OSError: when that cannot be done.
    """
    probe = nearest_folder(folder) / f".probe-{secrets.token_hex(4)}"
    try:
        probe.write_bytes(bytes(PROBE_BYTES))
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def number(pattern: re.Pattern[str], name: str) -> int:
    """Return the number in the name of a pass or a checkpoint, -1 for another name."""
    match = pattern.fullmatch(name)
    return int(match[1]) if match else -1

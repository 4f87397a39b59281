"""The storage folder, and in it the folder of a sweep: where its passes, checkpoints, logs and marks lie."""

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
"""What a sweep writes before anything is trained."""

REMOVALS = 5

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/")
"""How an address begins, `s3://bucket`, as a path has it."""

UNUSABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""What no database takes in an address of a file, and no terminal prints as it is."""

PASS = re.compile(r"pass-(\d+)")


@dataclass(frozen=True)
class SweepFolder:
    """Paths within one sweep's folder; trial processes on other machines see the same ones."""

    path: Path

    @property
    def outbox(self) -> Path:
        return self.path / "outbox"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log(self, trial_id: str) -> Path:
        """Return the path of a trial's log."""
        return self.logs / f"{trial_id}.log"

    def next_pass(self) -> str:
        """Return a name for the next pass: no earlier one has it, so that nothing of theirs is overwritten."""
        return f"pass-{1 + max((_number(PASS, path) for path in self.path.glob('pass-*')), default=0)}"

    def checkpoints(self, trial_id: str) -> list[Path]:
        """Return the checkpoint folders of a trial, the newest first, over all passes."""
        found = self.path.glob(f"pass-*/{trial_id}/checkpoint_*")
        return sorted(found, key=lambda path: (_number(PASS, path.parents[1]), _number(CHECKPOINT, path)), reverse=True)

    def cancel(self, trial_id: str) -> None:
        """Mark a trial as not wanted any more; it ends itself at its next epoch, or as soon as it starts.

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
        """Return whether the user does not want the trial any more."""
        return is_visible(self._mark(trial_id))

    def ask_to_save(self) -> None:
        """Mark the sweep as ending: a trial that runs saves what it has with its next epoch."""
        self._ending.touch()

    def is_asked_to_save(self) -> bool:
        """Return whether the sweep is ending."""
        return self._ending.exists()

    def go_on(self) -> None:
        """Take the mark away that the sweep is ending."""
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
    """Make a folder, with those it lies in; an error within the context leaves none of them that was not there before.

    Those that something has been put into stay.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True)
    try:
        yield folder
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def check_storage(folder: Path) -> Path:
    """Return the absolute output folder; it is not made yet: a command that is refused leaves nothing behind.

    Raises:
        StorageError: when it is an address, cannot be made or written, or has no room for a sweep's first files.
    """
    if address := ADDRESS.match(str(folder)):
        rest = f": give the path {str(folder)[5:]}" if address[1] == "file" else ""
        raise StorageError(f"--storage {folder} is an address, but must be a folder that every node sees{rest}")
    if UNUSABLE.search(str(folder)):
        raise StorageError(f"--storage {str(folder)!r} has control characters, or is no UTF-8: choose another folder")
    folder = folder.absolute()
    try:
        try_writing(folder)
    except OSError as error:
        raise StorageError(f"--storage {folder} cannot be written: {error.strerror}; choose another folder") from error
    return folder


def try_writing(folder: Path) -> None:
    """Write a file into a folder, or into the nearest one above it that exists, and remove it.

    Raises:
        OSError: when that cannot be done.
    """
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    probe = nearest / f".probe-{secrets.token_hex(4)}"
    try:
        probe.write_bytes(bytes(PROBE_BYTES))
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def _number(pattern: re.Pattern[str], path: Path) -> int:
    found = pattern.fullmatch(path.name)
    return int(found[1]) if found else -1

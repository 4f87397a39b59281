"""Checkpoints of a sweep, in its own folder or in an object store: listed, read, copied and removed.

A checkpoint has the same name in both, `pass-1/<trial>/checkpoint_000003`: the path that Ray gives it below the sweep.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol, TypeVar

from sweeps.storage.folder import CHECKPOINT, PASS, SweepFolder, number

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

T = TypeVar("T")

OF_OTHERS = "pass-0"
"""Holds the checkpoints that were trained by other sweeps."""


class Checkpoints(Protocol):
    """The checkpoints of one sweep."""

    @property
    def filesystem(self) -> "FileSystem | None":
        """Return where Ray writes them; None is this machine."""

    @property
    def root(self) -> str:
        """Return the path of the sweep in that filesystem."""

    @property
    def waits(self) -> tuple[int, ...]:
        """Return the seconds between attempts to write while the storage fails."""

    def ask(self, action: Callable[[], T]) -> T:
        """Return the result of an action of the store; one that fails in an object store is tried again.

        Raises:
            StorageError: when an object store does not answer for minutes.
        """

    def await_answer(self) -> None:
        """Return once the store can be written and read; raises as `ask` does."""

    def last_pass(self) -> int:
        """Return the highest number of a pass that has files, 0 without one."""

    def of_trial(self, trial_id: str) -> list[str]:
        """Return the names of a trial's checkpoints over all passes, the newest first."""

    def newest(self, trial_ids: Iterable[str], having: str = "") -> dict[str, str]:
        """Return the newest checkpoint of each trial that has one; a store skips those without the file `having`."""

    def name_of(self, path: str) -> str:
        """Return the name of a checkpoint from the path that Ray has for it."""

    def opened(self, name: str, files: Iterable[str]) -> AbstractContextManager[Path]:
        """Give a local folder with the files of a checkpoint; a file that is missing is missing there too."""

    def copy(self, name: str, file: str, target: Path) -> bool:
        """Copy a file of a checkpoint; return whether it has that file. Raises as `ask` does."""

    def folders(self, names: Mapping[str, str], copies: Path, files: tuple[str, ...]) -> Mapping[str, Path]:
        """Return trial -> local folder with the files of its checkpoint; what is elsewhere is copied when it is read.

        Args:
            names: trial -> checkpoint.
            copies: folder for the copies, one folder a trial.
            files: the names of the files.
        """

    def add(self, name: str, source: "Checkpoints", source_name: str, files: Iterable[str]) -> None:
        """Copy a checkpoint of another sweep."""

    def tidy(self, kept: Collection[str], stripped: Collection[str], file: str) -> None:
        """Delete Ray's own files and all checkpoints that are not kept; of the stripped ones also one file."""


@dataclass(frozen=True)
class NewestCheckpoints:
    """The newest checkpoint of each trial."""

    store: Checkpoints
    names: Mapping[str, str]
    folders: Mapping[str, Path]
    """Trial -> local folder with its files."""

    def tidy(self, kept_ids: Collection[str], stripped_ids: Collection[str], file: str) -> None:
        """Delete all checkpoints but those of the kept trials; of the stripped trials also one file."""
        kept, stripped = ({self.names[trial_id] for trial_id in ids} for ids in (kept_ids, stripped_ids))
        self.store.tidy(kept, stripped, file)


@dataclass(frozen=True)
class FolderCheckpoints:
    """Checkpoints in the sweep's own folder."""

    folder: Path
    filesystem = None
    waits = (1, 2, 4, 8, 15)

    @property
    def root(self) -> str:
        return str(self.folder)

    def ask(self, action: Callable[[], T]) -> T:
        return action()

    def await_answer(self) -> None:
        """Return at once: the events in the same folder are written first, and report a fault."""

    def last_pass(self) -> int:
        return SweepFolder(self.folder).last_pass()

    def of_trial(self, trial_id: str) -> list[str]:
        return [self.name_of(str(path)) for path in SweepFolder(self.folder).checkpoints(trial_id)]

    def newest(self, trial_ids: Iterable[str], having: str = "") -> dict[str, str]:
        by_trial = {trial_id: self.of_trial(trial_id) for trial_id in trial_ids}
        return {trial_id: names[0] for trial_id, names in by_trial.items() if names}

    def name_of(self, path: str) -> str:
        is_below = Path(path).is_relative_to(self.folder)
        return Path(path).relative_to(self.folder).as_posix() if is_below else path

    @contextlib.contextmanager
    def opened(self, name: str, files: Iterable[str]) -> Iterator[Path]:
        yield self.folder / name

    def copy(self, name: str, file: str, target: Path) -> bool:
        source = self.folder / name / file
        if is_file := source.is_file():
            link(source, target)
        return is_file

    def folders(self, names: Mapping[str, str], copies: Path, files: tuple[str, ...]) -> Mapping[str, Path]:
        return {trial_id: self.folder / name for trial_id, name in names.items()}

    def add(self, name: str, source: Checkpoints, source_name: str, files: Iterable[str]) -> None:
        with source.opened(source_name, files) as folder:
            (self.folder / name).mkdir(parents=True)
            for file in folder.iterdir():
                link(file, self.folder / name / file.name)

    def tidy(self, kept: Collection[str], stripped: Collection[str], file: str) -> None:
        kept_paths = {self.folder / name for name in kept}
        for path in (*self.folder.glob("pass-*/*"), *self.folder.glob("pass-*/*/*")):
            if not any(checkpoint.is_relative_to(path) for checkpoint in kept_paths) and path.parent not in kept_paths:
                _delete(path)
        for name in stripped:
            _delete(self.folder / name / file)
        for empty in self.folder.glob("pass-*"):
            with contextlib.suppress(OSError):
                empty.rmdir()


def sort_checkpoints(names: Iterable[str]) -> list[str]:
    """Return names of checkpoints, the newest first; other names are left out."""
    parts = {name: PurePosixPath(name).parts for name in names}
    order = {
        name: (number(PASS, of_pass), number(CHECKPOINT, last))
        for name, (of_pass, *_, last) in parts.items()
        if CHECKPOINT.fullmatch(last)
    }
    return sorted(order, key=lambda name: order[name], reverse=True)


def link(source: Path, target: Path) -> None:
    """Link a file, or copy it to another disk. Links are safe: files are replaced whole, never modified."""
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _delete(path: Path) -> None:
    """Delete a file or a folder; one that cannot be deleted stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()

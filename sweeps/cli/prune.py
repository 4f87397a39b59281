"""`tune_main.py --prune`: shows what is no longer needed, with its size, asks, and removes exactly that."""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache as remembered
from pathlib import Path

from bddseg.errors import UserError
from bddseg.file_locks import locked
from bddseg.words import count
from sweeps.cli.console import FINE, INCOMPLETE
from sweeps.cli.tables import print_table
from sweeps.environment import cache_folder
from sweeps.errors import StorageError
from sweeps.notes import notes
from sweeps.storage import removable
from sweeps.storage.attempts import take_number
from sweeps.storage.checkpoint_store import recorded_checkpoints
from sweeps.storage.checkpoints import FolderCheckpoints
from sweeps.storage.event_file import OUTBOX
from sweeps.storage.outbox import LOCK
from sweeps.storage.removable import Removable


def prune(arguments: argparse.Namespace) -> int:
    """Show, ask and remove; return 0, or 1 when something could not be removed.

    Raises:
        UserError: when nobody can be asked, or a sweep that is to be kept does not exist.
    """
    from sweeps.storage.sweeps import find_sweep

    for name in arguments.keep:
        find_sweep(arguments.storage, name)
    is_asking = not (arguments.dry_run or arguments.yes)
    if is_asking and not sys.stdin.isatty():
        raise UserError(
            "--prune asks before it removes, but there is no terminal: add --yes, or --dry-run to look only"
        )
    rows = find_all(arguments)
    if not rows:
        notes.info(f"nothing in {arguments.storage} or {cache_folder()} is older than {arguments.older_than} days")
        return FINE
    show(rows)
    going = [row for row in rows if not row.stays]
    if not going or arguments.dry_run:
        notes.info(f"{_sum(going)} may go" if going else "nothing may go")
        return FINE
    if is_asking and not _is_confirmed(going):
        notes.info("nothing was removed")
        return FINE
    return remove_all(going)


def find_all(arguments: argparse.Namespace) -> list[Removable]:
    """Return what may go, and what is old and stays."""
    from sweeps.execution.ray_session import abandoned_sessions

    cache, days = cache_folder(), arguments.older_than
    rows = removable.find_in_storage(arguments.storage, days, arguments.keep, registered_models(arguments.tracking_uri))
    rows += removable.find_frames(cache, arguments.storage, days)
    sessions = abandoned_sessions(cache)
    why = "its process was killed"
    return rows + [Removable(removable.SESSION, path, why, removable.freed_bytes([path])) for path in sessions]


def registered_models(tracking_uri: str | None) -> Callable[[Path], str]:
    """Return a function that tells why the models of a sweep need it; a store that does not answer holds its sweeps."""
    from sweeps.tracking.sync import recorded_in

    @remembered
    def registered_in(uri: str) -> frozenset[str]:
        from sweeps.registry.registry import Registry
        from sweeps.tracking.reader import Store

        return frozenset(Registry(Store(uri)).registered_sweeps())

    def why_registered(folder: Path) -> str:
        try:
            return (
                "a registered model is from it"
                if folder.name in registered_in(recorded_in(folder, tracking_uri))
                else ""
            )
        except UserError as error:
            return f"its registered models are not known: {error}"

    return why_registered


def show(rows: Sequence[Removable]) -> None:
    """Print the table: what may go first, the largest at the top."""
    ordered = sorted(rows, key=lambda row: (bool(row.stays), -row.size_bytes))
    print_table(
        ("what", "name", "why", "MB", ""),
        [
            (row.kind, row.path.name, row.why, _mb(row.size_bytes), f"stays: {row.stays}" if row.stays else "may go")
            for row in ordered
        ],
    )


def remove_all(rows: Sequence[Removable]) -> int:
    """Remove each row, unless something has changed since; print what stays and why."""
    removed, failures = [], []
    for row in rows:
        try:
            REMOVERS[row.kind](row)
            removed.append(row)
        except (UserError, OSError) as error:
            failures.append(f"{row.path.name} stays: {error}")
    print(f"removed {_sum(removed)}")
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    return INCOMPLETE if failures else FINE


def _remove_sweep(row: Removable) -> None:
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(row.path / OUTBOX / LOCK, waits=False))
        except BlockingIOError as error:
            raise StorageError("another process uses it") from error
        if stays := removable.check_again(row.path):
            raise StorageError(stays)
        checkpoints = recorded_checkpoints(row.path)
        take_number(row.path)  # a driver that was only cut off ends itself
        if not isinstance(checkpoints, FolderCheckpoints):
            checkpoints.tidy((), (), "")
            if checkpoints.last_pass():
                raise StorageError(f"checkpoints in {checkpoints.root} could not be removed")
        removable.remove_part(removable.move_aside(row.path))
    _drop_empty(row.path.parent / removable.REMOVED)


def _remove_checkpoints(row: Removable) -> None:
    with locked(row.path / OUTBOX / LOCK, waits=False):
        if stays := removable.check_again(row.path):
            raise StorageError(stays)
        for path in row.parts:
            removable.remove_part(path)


def _remove_frames(row: Removable) -> None:
    with locked(Path(f"{row.path}.lock"), waits=False):
        aside = row.path.with_name(f"{row.path.name}.part")  # the next build removes one that was left
        row.path.rename(aside)
        removable.remove_part(aside)


def _remove_session(row: Removable) -> None:
    from sweeps.execution.ray_session import remove_abandoned

    if not remove_abandoned(row.path):
        raise StorageError("a process uses it, or it cannot be deleted")


def _remove_rest(row: Removable) -> None:
    removable.remove_part(row.path)
    _drop_empty(row.path.parent)


REMOVERS = {
    removable.SWEEP: _remove_sweep,
    removable.CHECKPOINTS: _remove_checkpoints,
    removable.FRAMES: _remove_frames,
    removable.SESSION: _remove_session,
    removable.REST: _remove_rest,
}


def _drop_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _is_confirmed(rows: Sequence[Removable]) -> bool:
    try:
        return input(f"remove {_sum(rows)}? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _sum(rows: Sequence[Removable]) -> str:
    return f"{count(len(rows), 'thing')}, {sum(row.size_bytes for row in rows) / 1e9:.2f} GB"


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f}"

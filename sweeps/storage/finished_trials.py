"""The completed trials of a storage folder, read from the events of every sweep in it.

Nothing is cached: 5,000 completed trials are read in about half a second (benchmarks/RESULTS.md, Store).
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from bddseg.errors import UserError
from sweeps.storage.event_file import EventFile
from sweeps.storage.folder import SweepFolder
from sweeps.storage.outcomes import OWN_ENDS
from sweeps.storage.sweep_json import read_manifest
from sweeps.storage.sweeps import changed_at, sweep_folders
from sweeps.storage.trial_history import read_histories

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinishedTrial:
    """A completed trial of a recorded sweep."""

    sweep: Path
    """Folder of the sweep."""
    trial_id: str
    fingerprint: str
    """Of the data that it was trained on."""
    budget: int
    """Epochs that it might train."""
    epochs: int
    """Epochs that it trained."""
    reason: str


def find_finished(storage: Path, but: Path | None = None) -> list[FinishedTrial]:
    """Return the completed trials of every sweep in a storage folder, those of the newest sweep first.

    A sweep that cannot be read is named in a warning, and the others count.

    Args:
        storage: the folder.
        but: a sweep that is left out.

    Raises:
        StorageError: when the storage folder cannot be listed.
    """
    folders = [folder for folder in sweep_folders(storage) if folder != but]
    trials: list[FinishedTrial] = []
    for folder in sorted(folders, key=changed_at, reverse=True):
        try:
            trials += _read_finished(folder)
        except (UserError, OSError, KeyError, TypeError, ValueError) as error:
            why = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else error
            log.warning("the trials of %s are not reused: %s", folder.name, why)
    return trials


def _read_finished(folder: Path) -> list[FinishedTrial]:
    """Return the completed trials of a sweep.

    Raises:
        StorageError: when its manifest or its events cannot be read.
    """
    manifest = read_manifest(folder)
    budgets = {trial.trial_id: trial.epochs for trial in manifest.trials}
    fingerprint = manifest.data["fingerprint"]
    histories = read_histories(EventFile(SweepFolder(folder).outbox).events(budgets, epochs=False))
    return [
        FinishedTrial(folder, trial_id, fingerprint, budgets[trial_id], history.ended_after, history.reason)
        for trial_id, history in histories.items()
        if history.reason in OWN_ENDS
    ]

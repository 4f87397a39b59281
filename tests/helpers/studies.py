"""Recorded trials of a study."""

from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from sweeps.planning.optuna_study import FILE, NAME


def recorded(folder: Path) -> list[FrozenTrial]:
    """Return the trials as anybody reads them from the file."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / FILE)))
    return optuna.load_study(study_name=NAME, storage=storage).get_trials(deepcopy=False)

"""Drill: the driver of a sweep whose trials are suggested meanwhile is killed; no trial and no suggestion is lost."""

import random
import time
from collections import Counter

import optuna
import pytest
from drills import Site, survived

from sweeps.planning.optuna_study import FILE, NAME, TRIAL
from sweeps.schedulers.state_file import FILE as MEMORY
from sweeps.storage.sweep_json import read_manifest

pytestmark = pytest.mark.drill

SUGGESTED = ("--space", "optuna_wide", "--profile", "quick", "--samples", "10", "--replicates", "0",
             "--set", "model.base_filters=4", "--set", "data.size=32", "--set", "data.max_images=120",
             "--set", "train.epochs=9", "--set", "train.precision=fp32", "--checkpoint-every", "1")  # fmt: skip
KILLS = 3
STATES = {"max_epochs": "COMPLETE", "plateau": "COMPLETE", "asha": "PRUNED", "diverged": "PRUNED"}


def test_a_sweep_whose_trials_are_suggested_loses_nothing_when_its_driver_is_killed(place: Site) -> None:
    moments, words = random.Random(20261127), SUGGESTED
    for _ in range(KILLS):
        driver, known = place.start(*words), len(place.epochs())
        place.await_epochs(known + 2)
        time.sleep(moments.uniform(0, 1.5))
        assert driver.poll() is None, "the sweep was done too soon"
        driver.kill()
        driver.wait()
        tear(place)
        words = ("--resume",)
    assert place.run("--resume") == 0
    found = survived("kill9_suggesting", place, KILLS, repeated_at_most=KILLS * 2 * 6)
    assert found.planned == 10
    told = {trial.user_attrs[TRIAL]: trial.state.name for trial in study(place) if TRIAL in trial.user_attrs}
    assert "is set aside, the rungs are filled from what the trials reported" in place.said()
    assert told == {trial_id: STATES[reasons[-1]] for trial_id, reasons in found.reasons.items()}


def tear(place: Site) -> None:
    """Leave half a line in the study's file, and half of what the scheduler remembers."""
    with (place.folder / FILE).open("ab") as file:
        file.write(b'{"op_code": 6, "tri')
    if (memory := place.folder / MEMORY).exists():
        memory.write_bytes(memory.read_bytes()[:-20])


def study(place: Site) -> list[optuna.trial.FrozenTrial]:
    """Return the study's trials, each of the sweep's once."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(place.folder / FILE)))
    trials = optuna.load_study(study_name=NAME, storage=storage).get_trials(deepcopy=False)
    noted = Counter(trial.user_attrs.get(TRIAL) for trial in trials)
    planned = [trial.trial_id for trial in read_manifest(place.folder).trials]
    assert noted == Counter(planned) | Counter({None: noted[None]}) and "RUNNING" not in {
        it.state.name for it in trials
    }
    return trials

"""Verdicts on recorded seeds: real trainings, whose noise nobody made up."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.record_seeds import FOLDER, load_seeds
from benchmarks.verdict_seeds import candidate
from sweeps.statistics.verdict import Verdict, screen


def recorded_screening(table: str, seeds: Sequence[int], setting: str = "lr 1e-3") -> Verdict:
    """Return the verdict on recorded seeds of one setting after 24 epochs, each posed as a setting of its own."""
    recorded = load_seeds(FOLDER / f"seeds_{table}.npz")
    number = recorded.settings.index(setting)
    trials = [replace(candidate(recorded, number, seed, 24), trial_id=f"seed{seed}") for seed in seeds]
    return screen(trials, draws=500)


def unlucky_last(table: str) -> list[int]:
    """Return the recorded seeds at a learning rate of 1e-3, the one that did not learn a class last."""
    recorded = load_seeds(FOLDER / f"seeds_{table}.npz")
    return [int(seed) for seed in np.argsort(-recorded.curves[recorded.settings.index("lr 1e-3")].max(1))]


@pytest.mark.parametrize("table", ["real", "streets"])
def test_a_recorded_seed_that_did_not_learn_a_class_excludes_no_setting(table: str) -> None:
    best, *_, unlucky = unlucky_last(table)
    verdict = recorded_screening(table, [best, unlucky])
    assert verdict.rivals[1].score.estimate < verdict.rivals[0].score.estimate - 0.12
    assert verdict.rivals[1].is_tied


@pytest.mark.parametrize("table", ["real", "streets"])
def test_recorded_settings_40_points_apart_are_told_apart_by_one_seed_each(table: str) -> None:
    recorded = load_seeds(FOLDER / f"seeds_{table}.npz")
    numbers = {name: recorded.settings.index(name) for name in ("lr 3e-3", "lr 3e-5")}
    trials = [replace(candidate(recorded, number, 0, 24), trial_id=name) for name, number in numbers.items()]
    verdict = screen(trials, draws=500)
    assert (verdict.outcome, verdict.leader) == ("leader", "lr 3e-3")

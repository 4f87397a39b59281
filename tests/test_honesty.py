"""Simulated sweeps whose truth is known, few of each: `benchmarks/verdict.py` has many.

Each bound is the count that a machine just good enough would miss once in a hundred times; seeds are fixed.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from bddseg.confusion import miou
from benchmarks.simulated import World
from benchmarks.verdict import Tally, confirm_many, difference_to_torchmetrics, screen_many

SWEEPS = 40
WORLD = World(drives=40)
FOLD = World(drives=12)


def at_least(share: float) -> float:
    """Return the percentage below which 40 sweeps fall once in a hundred times, when the share is the true one."""
    return 100 * float(binom.ppf(0.01, SWEEPS, share)) / SWEEPS


def at_most(share: float) -> float:
    return 100 - at_least(1 - share)


@pytest.fixture(scope="module")
def screened() -> Tally:
    return screen_many(WORLD, SWEEPS, "screening")


@pytest.fixture(scope="module")
def confirmed() -> Tally:
    return confirm_many(FOLD, SWEEPS, "confirmation")


def test_bounds_are_those_of_the_binomial() -> None:
    assert (at_most(0.05), at_least(0.8)) == (15.0, 65.0)  # 6 and 26 of 40


def test_the_noise_of_runs_is_what_a_screening_assumes() -> None:
    runs = World(own_sd=0.0).evidence([0.0] * 200, 0)
    assert np.std([miou(run.counts.sum(0)) for run in runs]) == pytest.approx(0.006, rel=0.15)


def test_copies_are_rarely_told_apart_in_a_screening(screened: Tally) -> None:
    assert screened.crowned <= at_most(0.05)


def test_copies_are_rarely_crowned_in_a_confirmation(confirmed: Tally) -> None:
    assert confirmed.crowned <= at_most(0.05)


def test_twice_the_noise_is_no_danger_where_seeds_show_it() -> None:
    noisy = replace(WORLD, run_sd=2 * WORLD.run_sd)
    assert screen_many(noisy, SWEEPS, "seeds", knows_seeds=True).crowned <= at_most(0.05)


def test_a_lead_of_the_detection_limit_is_found_in_a_screening(screened: Tally) -> None:
    assert screen_many(WORLD, SWEEPS, "better", lead=screened.limit).found >= at_least(0.8)


def test_a_lead_of_the_detection_limit_is_found_in_a_confirmation(confirmed: Tally) -> None:
    assert confirm_many(FOLD, SWEEPS, "better", lead=confirmed.limit).found >= at_least(0.8)


@pytest.mark.parametrize("stage", ["screened", "confirmed"])
@pytest.mark.parametrize("what", ["differences_held", "scores_held", "gaps_held"])
def test_intervals_hold_the_truth(stage: str, what: str, request: pytest.FixtureRequest) -> None:
    assert getattr(request.getfixturevalue(stage), what) >= at_least(0.95)


def test_the_corrected_score_flatters_less(screened: Tally) -> None:
    counted, corrected = screened.flattery
    assert corrected < counted


def test_the_planted_skill_has_the_planted_lead() -> None:
    wide = World(drives=2000, run_sd=0.0)
    better, plain = (miou(wide.evidence([skill], 7)[0].counts.sum(0)) for skill in (WORLD.skill_for(0.02), 0.0))
    assert better - plain == pytest.approx(0.02, abs=1e-4)


def test_scores_are_those_of_torchmetrics() -> None:
    assert difference_to_torchmetrics() < 1e-6

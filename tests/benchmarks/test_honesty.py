"""Simulated sweeps whose truth is known, few of each: `benchmarks/verdict.py` has many.

Each bound is the count that a machine just good enough would miss once in a hundred times; seeds are fixed.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from bddseg.confusion import miou
from benchmarks.simulated_evidence import World, logit_of
from benchmarks.verdict import difference_to_torchmetrics, gaps_held
from benchmarks.verdict_rounds import FOLD as FOLD_OF_FEW
from benchmarks.verdict_rounds import confirm_until
from benchmarks.verdict_simulated import EVEN, FOLD, UNEVEN, allowed, confirm_many, of_fold, screen_many, spread
from sweeps.statistics.power import Design
from sweeps.statistics.rounds import FIRST_LOOK, Rounds

SWEEPS = 40
NOISY = (0.6, 10.0)
SHORT = replace(EVEN, drives=40)
SMALL = replace(FOLD, drives=12)


def at_least(share: float, sweeps: int = SWEEPS) -> float:
    """Return the percentage below which sweeps fall once in a hundred times, when the share is the true one."""
    return 100 * float(binom.ppf(0.01, sweeps, share)) / sweeps


def at_most(share: float, sweeps: int = SWEEPS) -> float:
    return 100 - at_least(1 - share, sweeps)


def with_noise(world: World, points: float) -> World:
    return replace(world, run_sd=logit_of(points))


def test_bounds_are_those_of_the_binomial() -> None:
    assert (at_most(0.05), at_least(0.8)) == (15.0, 65.0)  # 6 and 26 of 40


def test_a_target_allows_for_two_standard_errors() -> None:
    assert allowed(475) == pytest.approx(7.0)  # 5 % of 475: one standard error is 1 %


@pytest.mark.parametrize("points", [0.2, 0.6, 4.0])
def test_runs_differ_by_the_noise_that_was_asked_for(points: float) -> None:
    runs = replace(with_noise(World(), points), own_sd=0.0).evidence([0.0] * 200, 0)
    assert 100 * np.std([miou(run.counts.sum(0)) for run in runs]) == pytest.approx(points, rel=0.15)


@pytest.mark.parametrize("noise", NOISY)
@pytest.mark.parametrize("world", [SHORT, UNEVEN], ids=["even", "uneven"])
def test_no_copy_is_excluded_from_a_screening_whatever_the_noise(world: World, noise: float) -> None:
    assert screen_many(with_noise(world, noise), [0.0] * 6, SWEEPS).false <= at_most(0.05)


@pytest.mark.parametrize("noise", NOISY)
def test_no_copy_is_excluded_from_a_confirmation_whatever_the_noise(noise: float) -> None:
    assert confirm_many(with_noise(SMALL, noise), [0.0] * 4, SWEEPS).false <= at_most(0.05)


@pytest.mark.parametrize("noise", NOISY)
def test_intervals_of_a_screening_hold_the_truth(noise: float) -> None:
    tally = screen_many(with_noise(SHORT, noise), spread(4), SWEEPS)
    assert min(tally.differences_held, tally.scores_held) >= at_least(0.95)


def test_intervals_hold_the_truth_where_names_carry_no_drive() -> None:
    tally = screen_many(replace(SHORT, carries_drives=False), spread(4), SWEEPS)
    assert min(tally.differences_held, tally.scores_held) >= at_least(0.9)


def test_intervals_of_a_confirmation_hold_the_truth() -> None:
    tally = confirm_many(SMALL, spread(4), SWEEPS)
    assert min(tally.differences_held, tally.scores_held) >= at_least(0.95)


@pytest.mark.parametrize("noise", [0.6, 4.0])
def test_the_gap_of_a_setting_lies_in_its_interval(noise: float) -> None:
    assert gaps_held(noise, SWEEPS) >= at_least(0.95)


@pytest.mark.parametrize("noise", [0.6, 4.0])
def test_two_settings_40_points_apart_are_always_told_apart(noise: float) -> None:
    assert screen_many(with_noise(SHORT, noise), [0.0, -0.4], SWEEPS).found == 100


def test_five_runs_of_two_finalists_find_a_lead_of_three_points() -> None:
    assert confirm_many(FOLD, [0.03, 0.0], SWEEPS).found >= at_least(0.8)


@pytest.mark.parametrize("finalists", [2, 4])
def test_the_lead_that_a_design_names_is_found_as_often_as_it_says(finalists: int) -> None:
    lead = Design(finalists, 5, 0.006, 0.0031, rise=0.0).smallest_lead()
    share = confirm_many(FOLD, [lead, *[0.0] * (finalists - 1)], SWEEPS).found
    assert at_least(0.8) <= share <= at_most(0.8)


@pytest.mark.parametrize("noise", [0.6, 4.0])
def test_looking_again_and_again_excludes_no_copy(noise: float) -> None:
    world = replace(with_noise(of_fold(FOLD_OF_FEW, 10), noise), rise=1.5)
    ended = [confirm_until(world, [0.0, 0.0], seed, Rounds(most=12)) for seed in range(15)]
    assert 100 * np.mean([bool(ended_sweep.excluded) for ended_sweep in ended]) <= at_most(0.05, 15)
    assert {ended_sweep.runs for ended_sweep in ended if not ended_sweep.excluded} == {12.0}


def test_looks_have_the_levels_that_decide_soonest() -> None:
    assert [Rounds().level(runs) for runs in (2, 3, 6, 7, 30)] == [0.01, 0.02, 0.02, 0.005, 0.005]


def test_a_confirmation_that_began_with_one_level_keeps_it() -> None:
    rounds = Rounds.recorded({"rounds": {"folds": 10, "most": 30, "alpha": 0.0125}})
    assert rounds is not None and {rounds.level(runs) for runs in (2, 5, 20)} == {0.0125}


def test_a_large_lead_is_decided_at_the_first_looks() -> None:
    world = replace(of_fold(FOLD_OF_FEW, 10), rise=1.5)
    ended = confirm_until(world, [world.skill_for(0.08), 0.0, 0.0], 0)
    assert (ended.ending, ended.remaining) == ("decided", ("trial0",))
    assert FIRST_LOOK <= ended.runs <= 4


def test_runs_beyond_the_folds_score_the_same_images_on_another_cut() -> None:
    (finalist,) = replace(SMALL, drives=3).confirmation([0.0], 0, runs=8, folds=4)
    cuts = finalist.runs[:4], finalist.runs[4:]
    first, second = (sorted(name for run in cut for name in run.names) for cut in cuts)
    assert first == second and len(set(first)) == 60
    assert set(finalist.runs[0].names) != set(finalist.runs[4].names)


def test_the_planted_skill_has_the_planted_lead() -> None:
    wide = World(drives=2000, run_sd=0.0)
    better, plain = (miou(wide.evidence([skill], 7)[0].counts.sum(0)) for skill in (World().skill_for(0.02), 0.0))
    assert better - plain == pytest.approx(0.02, abs=2e-4)


def test_scores_are_those_of_torchmetrics() -> None:
    assert difference_to_torchmetrics() < 1e-6

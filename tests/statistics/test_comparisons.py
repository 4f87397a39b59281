"""Scores and their scatter -> intervals and outcome: by hand where chance has a closed form."""

import math

import numpy as np
import pytest
from scipy.stats import norm, studentized_range
from scipy.stats import t as student

from sweeps.statistics.comparisons import (
    Comparisons,
    compare_settings,
    decide,
    describe_rivals,
    detectable,
    optimism,
    own_intervals,
    recommend,
)

SD = 0.01


def contest(*scores: float, sd: float = SD, draws: int = 40_000) -> Comparisons:
    """Return a contest of scores whose runs all have the same noise; images have none."""
    shape = (len(scores), draws)
    luck = np.random.default_rng(0).normal(0, sd, shape).astype(np.float32)
    return compare_settings(np.array(scores), np.zeros(shape, dtype=np.float32), luck, np.full(len(scores), sd**2))


def of_images(*scores: float, sd: float = SD, draws: int = 40_000) -> Comparisons:
    """Return a contest of scores that other images would change, each independently."""
    images = np.random.default_rng(0).normal(0, sd, (len(scores), draws)).astype(np.float32)
    return compare_settings(np.array(scores), images, np.zeros_like(images), np.zeros(len(scores)))


@pytest.mark.parametrize("make", [contest, of_images])
def test_two_are_compared_as_by_a_two_sided_test(make: type[Comparisons]) -> None:
    assert make(0.5, 0.4).reach[1] == pytest.approx(norm.ppf(0.975) * SD * math.sqrt(2), rel=0.02)


@pytest.mark.parametrize("settings", [3, 6, 20])
def test_the_reach_is_that_of_tukeys_range(settings: int) -> None:
    reach = contest(*np.linspace(0.5, 0.4, settings)).reach[1]
    assert reach == pytest.approx(studentized_range.ppf(0.95, settings, np.inf) * SD, rel=0.03)


def test_an_estimated_noise_widens_the_reach_to_student_s_t() -> None:
    generator = np.random.default_rng(0)
    scale = np.sqrt(4 / generator.chisquare(4, 40_000))
    luck = (generator.normal(0, SD, (2, 40_000)) * scale).astype(np.float32)
    reach = compare_settings(np.array([0.5, 0.4]), np.zeros_like(luck), luck, np.full(2, SD**2)).reach[1]
    assert reach == pytest.approx(student.ppf(0.975, 4) * SD * math.sqrt(2), rel=0.03)


def test_what_images_do_to_all_alike_does_not_count() -> None:
    images = np.tile(np.random.default_rng(0).normal(0, SD, (1, 500)), (2, 1)).astype(np.float32)
    assert compare_settings(np.array([0.5, 0.4]), images, np.zeros_like(images), np.zeros(2)).reach.tolist() == [0, 0]


def test_the_leader_differs_from_itself_by_nothing() -> None:
    made = contest(0.4, 0.5)
    assert (made.leader, made.low[1], made.high[1]) == (1, 0.0, 0.0)


def test_a_rival_far_behind_is_excluded() -> None:
    assert contest(0.5, 0.49, 0.4).tied == [0, 1]


def test_a_smaller_alpha_makes_intervals_wider() -> None:
    luck = np.random.default_rng(0).normal(0, SD, (2, 40_000)).astype(np.float32)
    strict = compare_settings(np.array([0.5, 0.4]), np.zeros_like(luck), luck, np.full(2, SD**2), alpha=0.01)
    assert strict.reach[1] == pytest.approx(norm.ppf(0.995) * SD * math.sqrt(2), rel=0.03)


def test_whoever_is_alone_ahead_surpasses_all() -> None:
    assert decide(contest(0.5, 0.4), 0.005, surpassing="winner") == "winner"


def test_rivals_within_narrow_bounds_tie() -> None:
    assert decide(contest(0.5, 0.5, sd=0.001), 0.005, surpassing="leader") == "tie"


def test_bounds_wider_than_the_margin_both_ways_leave_it_undecided() -> None:
    assert decide(contest(0.5, 0.5), 0.005, surpassing="leader") == "undecided"


def test_a_single_one_wins_nothing() -> None:
    assert decide(contest(0.5), 0.005, surpassing="winner") == "leader"


def test_scores_no_further_apart_than_their_noise_have_equal_probabilities() -> None:
    assert contest(0.5, 0.501, 0.499, 0.5).p_best == pytest.approx([0.25] * 4)


def test_the_probability_of_being_best_comes_from_shrunken_scores() -> None:
    made = contest(0.52, 0.50, 0.48)  # variance of scores 0.0004, of noise 0.0001: shrunk by a quarter
    apart, spread = 0.75 * 0.02, math.sqrt(0.75 * 2) * SD
    assert made.p_best[0] == pytest.approx(norm.cdf(apart / spread), abs=0.02)
    assert made.p_best.sum() == pytest.approx(1.0)


def test_identical_ones_share_every_win_and_tie() -> None:
    images = np.tile(np.random.default_rng(0).normal(0, SD, (1, 500)), (3, 1)).astype(np.float32)
    made = compare_settings(np.array([0.5, 0.5, 0.5]), images, np.zeros_like(images), np.zeros(3))
    assert (made.p_best.tolist(), made.reach.tolist()) == (pytest.approx([1 / 3] * 3), [0.0, 0.0, 0.0])
    assert decide(made, 0.005, surpassing="winner") == "tie"


def test_the_detection_limit_is_found_in_80_of_100() -> None:
    sd = SD * math.sqrt(2)
    assert detectable(contest(0.5, 0.5)) == pytest.approx((norm.ppf(0.975) + norm.ppf(0.8)) * sd, rel=0.03)


def test_too_few_units_exclude_nobody() -> None:
    nothing = np.zeros((2, 100), dtype=np.float32)
    made = compare_settings(np.array([0.9, 0.1]), nothing, nothing, np.zeros(2), is_blind=True)
    assert (made.tied, detectable(made)) == ([0, 1], math.inf)
    assert decide(made, 0.005, surpassing="winner") == "undecided"


def test_too_few_units_give_no_probability_of_being_best() -> None:
    luck = np.random.default_rng(0).normal(0, SD, (2, 100)).astype(np.float32)
    made = compare_settings(np.array([0.9, 0.1]), np.zeros_like(luck), luck, np.full(2, SD**2), is_blind=True)
    rivals = describe_rivals(made, "ab", 0.005, [None] * 2, [None] * 2, own_intervals(made), [np.zeros(1)] * 2)
    assert [rival.p_best for rival in rivals] == [None, None]


def test_among_many_settings_those_that_could_lead_are_enough() -> None:
    assert contest(0.5, 0.499, *[0.1] * 98, draws=2000).tied == [0, 1]


def test_choosing_the_highest_of_two_flatters_by_the_mean_of_their_maximum() -> None:
    assert optimism(contest(0.5, 0.5)) == pytest.approx(SD / math.sqrt(math.pi), rel=0.02)


def test_a_leader_far_ahead_is_not_flattered() -> None:
    assert optimism(contest(0.9, 0.5)) == pytest.approx(0.0, abs=1e-4)


def test_what_all_replicates_lie_off_the_scores_is_not_owed_to_choosing() -> None:
    few = np.array([[-0.03, -0.01], [-0.01, -0.03]], dtype=np.float32)  # by its mean, -0.02: 0.01 below and above
    made = compare_settings(np.array([0.5, 0.5]), few, np.zeros_like(few), np.zeros(2))
    assert optimism(made) == pytest.approx(0.01, abs=1e-6)  # each leads where it is 0.01 above


def test_a_leader_that_leads_in_every_replicate_is_not_raised_by_their_bias() -> None:
    few = np.array([[-0.03, -0.01], [-0.01, -0.03]], dtype=np.float32)
    made = compare_settings(np.array([0.9, 0.5]), few, np.zeros_like(few), np.zeros(2))
    assert optimism(made) == pytest.approx(0.0, abs=1e-6)
    assert optimism(made) >= 0


def test_the_interval_of_a_score_is_its_own() -> None:
    interval = own_intervals(contest(0.5, 0.4))[0]
    assert (interval.low, interval.high) == pytest.approx((0.5 - 1.96 * SD, 0.5 + 1.96 * SD), abs=2e-4)


def test_the_cheapest_within_the_margin_is_recommended() -> None:
    made = contest(0.5, 0.4999, 0.4998, sd=0.0005)
    assert recommend(made, 0.005, ([3.0, 2.0, 2.0], [9, 9, 8])) == 2


def test_the_cheapest_within_one_standard_error_is_recommended() -> None:
    made = contest(0.50, 0.49, 0.48)  # one standard error is 1.41 points
    assert recommend(made, 0.005, ([3.0, 2.0, 1.0],)) == 1


def test_a_cost_that_is_not_known_of_all_decides_nothing() -> None:
    assert recommend(contest(0.5, 0.5, sd=0.0005), 0.005, ([3.0, None], [7, 8])) == 0


def test_nobody_cheap_but_far_is_recommended() -> None:
    assert recommend(contest(0.5, 0.4), 0.005, ([3.0, 1.0],)) == 0


def test_shares_of_ranks_add_up_to_one() -> None:
    made = contest(0.5, 0.49, 0.48)
    nothing = [None] * 3
    rivals = describe_rivals(made, "abc", 0.005, nothing, nothing, own_intervals(made), [np.zeros(1)] * 3)
    assert [rival.trial_id for rival in rivals] == ["a", "b", "c"]
    assert [sum(rival.rank_shares) for rival in rivals] == pytest.approx([1.0] * 3)


def allowed(allowance: float, classes: int = 0) -> Comparisons:
    """Return the comparison of two settings 20 standard errors apart, with an allowance for the second."""
    noise = np.random.default_rng(0).normal(0, SD, (2, 4000)).astype(np.float32)
    scores, variance = np.array([0.9, 0.6]), np.full(2, SD**2)
    allowances = np.array([0.0, allowance])
    return compare_settings(scores, np.zeros_like(noise), noise, variance, allowance=allowances, classes=classes)


def test_an_allowance_keeps_a_rival_that_would_be_excluded() -> None:
    assert allowed(0.0).tied == [0]
    assert allowed(0.3).tied == [0, 1]
    assert (allowed(0.0).spared, allowed(0.3).spared) == (0, 1)


def test_an_allowance_moves_the_upper_end_of_the_interval_alone() -> None:
    without, with_allowance = allowed(0.0), allowed(0.1)
    assert with_allowance.low[1] == without.low[1]
    assert with_allowance.high[1] == pytest.approx(without.high[1] + 0.1)


def test_an_allowance_adds_to_the_detectable_lead() -> None:
    assert detectable(allowed(0.1)) == pytest.approx(detectable(allowed(0.0)) + 0.1)


def test_an_allowance_of_one_in_five_classes_takes_a_fifth_of_the_lead() -> None:
    evenly = 0.3 / 5  # the second is 0.3 behind
    assert detectable(allowed(evenly, classes=5)) == pytest.approx(detectable(allowed(0.0)) / (1 - 1 / 5))


def test_what_a_class_is_behind_beyond_its_share_must_be_exceeded_too() -> None:
    assert detectable(allowed(0.1, classes=5)) == pytest.approx((detectable(allowed(0.0)) + 0.04) / (1 - 1 / 5))

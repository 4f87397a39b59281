"""Scores and their scatter -> intervals and outcome: by hand where chance has a closed form."""

import math

import numpy as np
import pytest
from scipy.stats import norm, studentized_range

from sweeps.statistics.contest import (
    Contest,
    decide,
    describe_rivals,
    detectable,
    hold_contest,
    plain_intervals,
    recommend,
    widen,
)

SD = 0.01


def contest(*scores: float, sd: float = SD, draws: int = 40_000) -> Contest:
    """Return a contest of independent scores that all scatter alike."""
    scatter = np.random.default_rng(0).normal(0, sd, (len(scores), draws))
    return hold_contest(np.array(scores), scatter.astype(np.float32))


def test_two_are_told_apart_as_by_a_two_sided_test() -> None:
    found = contest(0.5, 0.4)
    assert found.reach[1] == pytest.approx(norm.ppf(0.975) * SD * math.sqrt(2), rel=0.02)


@pytest.mark.parametrize("trials", [3, 6, 20])
def test_the_reach_is_that_of_tukeys_range(trials: int) -> None:
    found = contest(*np.linspace(0.5, 0.4, trials))
    assert found.reach[1] == pytest.approx(studentized_range.ppf(0.95, trials, np.inf) * SD, rel=0.03)


def test_the_leader_differs_from_itself_by_nothing() -> None:
    found = contest(0.4, 0.5)
    assert (found.leader, found.low[1], found.high[1]) == (1, 0.0, 0.0)


def test_a_rival_far_behind_is_excluded() -> None:
    found = contest(0.5, 0.49, 0.4)
    assert found.tied == [0, 1]


def test_whoever_is_alone_ahead_surpasses_all() -> None:
    assert decide(contest(0.5, 0.4), 0.005, surpassing="winner") == "winner"


def test_rivals_within_narrow_bounds_tie() -> None:
    assert decide(contest(0.5, 0.5, sd=0.001), 0.005, surpassing="leader") == "tie"


def test_bounds_wider_than_the_margin_both_ways_leave_it_undecided() -> None:
    assert decide(contest(0.5, 0.5), 0.005, surpassing="leader") == "undecided"


def test_a_single_one_wins_nothing() -> None:
    assert decide(contest(0.5), 0.005, surpassing="winner") == "leader"


def test_equal_chances_win_equally_often() -> None:
    assert contest(0.5, 0.5, 0.5, 0.5).p_best == pytest.approx([0.25] * 4, abs=0.01)


def test_identical_ones_share_every_win_and_tie() -> None:
    scatter = np.tile(np.random.default_rng(0).normal(0, SD, (1, 500)), (3, 1))
    found = hold_contest(np.array([0.5, 0.5, 0.5]), scatter)
    assert (found.p_best.tolist(), found.reach.tolist()) == (pytest.approx([1 / 3] * 3), [0.0, 0.0, 0.0])
    assert decide(found, 0.005, surpassing="winner") == "tie"


def test_what_is_found_in_85_of_100_is_the_detection_limit() -> None:
    found = contest(0.5, 0.5)
    sd = SD * math.sqrt(2)
    assert detectable(found) == pytest.approx((norm.ppf(0.975) + norm.ppf(0.85)) * sd, rel=0.03)


def test_too_few_units_exclude_nobody() -> None:
    found = hold_contest(np.array([0.9, 0.1]), np.zeros((2, 100)), is_blind=True)
    assert (found.tied, detectable(found)) == ([0, 1], math.inf)
    assert decide(found, 0.005, surpassing="winner") == "undecided"


def test_the_more_cautious_of_two_intervals_counts() -> None:
    found = widen(contest(0.5, 0.4), np.array([0.0, -0.2]), np.array([0.0, 0.1]))
    assert (found.low[1], found.high[1], found.tied) == (-0.2, 0.1, [0, 1])


def test_among_many_trials_those_that_could_lead_are_enough() -> None:
    scores = np.concatenate([[0.5, 0.499], np.full(98, 0.1)])
    scatter = np.random.default_rng(0).normal(0, SD, (100, 2000))
    assert hold_contest(scores, scatter).tied == [0, 1]


def test_the_cheapest_that_is_surely_close_is_recommended() -> None:
    found = contest(0.5, 0.5, 0.5, sd=0.0005)
    assert recommend(found, 0.005, ([3.0, 2.0, 2.0], [9, 9, 8])) == 2


def test_a_cost_that_is_not_known_of_all_decides_nothing() -> None:
    found = contest(0.5, 0.5, sd=0.0005)
    assert recommend(found, 0.005, ([3.0, None], [7, 8])) == 0


def test_nobody_cheap_but_far_is_recommended() -> None:
    assert recommend(contest(0.5, 0.4), 0.005, ([3.0, 1.0],)) == 0


def test_shares_of_ranks_add_up_to_one() -> None:
    made = contest(0.5, 0.49, 0.48)
    rivals = describe_rivals(made, "abc", 0.005, [None] * 3, [None] * 3, plain_intervals(made))
    assert [rival.trial_id for rival in rivals] == ["a", "b", "c"]
    assert [sum(rival.rank_shares) for rival in rivals] == pytest.approx([1.0] * 3)
    assert rivals[0].rank_shares[0] == pytest.approx(rivals[0].p_best)

"""Noise between runs: pooled from repeats, bounded by curves, unknown without either."""

import itertools
import math

import numpy as np
import pytest

from sweeps.statistics.seed_noise import (
    BOUND_FREEDOM,
    FLOOR,
    PRIOR_SHARE,
    SHRINKAGE,
    Noise,
    estimate_noise,
    known_noise,
    rise_of,
    setting_of,
    unlearned_class,
)

FLAT = [[0.7, 0.7, 0.7]]


def scores(*groups: list[float]) -> list[np.ndarray]:
    return [np.array(group) for group in groups]


def rising(points: float) -> list[list[float]]:
    """Return a curve that rises by so many points in its last third."""
    return [[0.5, 0.6, 0.6 + points / 100]]


def test_without_repeats_and_curves_nothing_is_known() -> None:
    noise = estimate_noise(scores([0.5], [0.6]), [])
    assert noise.is_unknown and math.isnan(noise.sd)
    assert not noise.draw(10, 0).any()


def test_without_repeats_the_rise_of_the_curves_is_the_bound() -> None:
    noise = estimate_noise(scores([0.5], [0.6]), rising(5))
    assert (noise.sd, noise.freedom, noise.is_measured) == (pytest.approx(0.05), BOUND_FREEDOM, False)


def test_flat_curves_bound_it_by_the_floor() -> None:
    assert estimate_noise(scores([0.5], [0.6]), FLAT).sd == pytest.approx(FLOOR)


def test_without_curves_repeats_alone_count() -> None:
    noise = estimate_noise(scores([0.50, 0.52, 0.54], [0.7]), [])
    assert (noise.sd, noise.freedom, noise.repeats) == (pytest.approx(0.02), 2, 2)


def test_enough_repeats_turn_the_bound_into_an_estimate() -> None:
    noise = estimate_noise(scores([0.50, 0.52, 0.54], [0.60, 0.62, 0.64]), rising(5))
    expected = (2 * (PRIOR_SHARE * 0.05) ** 2 + 4 * 0.02**2) / 6
    assert (noise.sd, noise.freedom) == (pytest.approx(math.sqrt(expected)), 6)


def test_one_repeat_moves_the_bound_by_a_quarter_of_the_way() -> None:
    noise = estimate_noise(scores([0.50, 0.52]), rising(5))
    scale = (1 + (PRIOR_SHARE - 1) / 4) * 0.05
    assert (noise.sd, noise.freedom) == (pytest.approx(math.sqrt((6.5 * scale**2 + 0.0002) / 7.5)), 7.5)


def test_each_repeat_changes_the_freedom_by_little() -> None:
    groups = [[0.5 + 0.006 * (n % 2) for n in range(runs)] for runs in range(1, 9)]
    freedoms = [estimate_noise(scores(group), FLAT).freedom for group in groups]
    assert max(abs(after - before) for before, after in itertools.pairwise(freedoms)) <= 1


def test_repeats_that_spread_more_than_the_prior_says_outweigh_it() -> None:
    noise = estimate_noise(scores([0.50, 0.54, 0.58], [0.60, 0.64, 0.68]), FLAT)
    assert noise.sd == pytest.approx(0.04, rel=0.01)
    assert 4 <= noise.freedom < 4.1


def test_seeds_that_collapsed_to_one_score_measure_nothing() -> None:
    assert estimate_noise(scores([0.5, 0.5, 0.5]), []).is_unknown


def test_a_setting_s_own_repeats_are_shrunk_towards_the_pooled_noise() -> None:
    noise = estimate_noise(scores([0.50, 0.50 + 0.02 * math.sqrt(2)], [0.6]), [])
    assert noise.run_variance[0] == pytest.approx((SHRINKAGE * 0.02**2 + 0.02**2) / (SHRINKAGE + 1))
    assert noise.run_variance[1] == pytest.approx(0.02**2)


def test_the_variance_of_a_mean_is_divided_by_its_runs() -> None:
    noise = known_noise(0.02, np.array([1, 4]))
    assert noise.variance == pytest.approx([0.0004, 0.0001])


def test_a_known_noise_is_normal() -> None:
    assert known_noise(0.01, np.ones(2)).draw(20_000, 0).std() == pytest.approx(0.01, rel=0.02)


def test_a_measured_noise_has_the_tails_of_t() -> None:
    noise = Noise(0.01, 4, 4, None, np.zeros(1), np.zeros(1), np.ones(1))
    assert np.quantile(noise.draw(40_000, 0)[0] / 0.01, 0.975) == pytest.approx(2.776, rel=0.05)


def test_all_settings_share_the_uncertainty_of_the_pooled_noise() -> None:
    noise = Noise(0.01, 1, 1, None, np.zeros(2), np.zeros(2), np.ones(2))
    size = np.log(np.abs(noise.draw(20_000, 0)))
    assert np.corrcoef(size)[0, 1] > 0.3


def test_the_same_seed_draws_the_same_noise() -> None:
    noise = estimate_noise(scores([0.50, 0.52], [0.6]), FLAT)
    assert np.array_equal(noise.draw(9, 5), noise.draw(9, 5))


def test_the_rise_is_that_of_the_best_value_over_the_last_third() -> None:
    assert rise_of([[0.1, 0.5, 0.4, 0.6, 0.3, 0.7]]) == pytest.approx(0.1)  # best of four 0.6, of all six 0.7


def test_rises_of_several_curves_are_a_root_mean_square() -> None:
    assert rise_of([*rising(3), *rising(4)]) == pytest.approx(math.sqrt((0.03**2 + 0.04**2) / 2))


def test_a_curve_without_a_second_epoch_says_nothing() -> None:
    assert rise_of([[0.5], []]) is None


def test_a_diverged_end_is_no_rise() -> None:
    assert rise_of([[0.5, 0.6, 0.6, 0.6, math.nan, math.nan]]) == pytest.approx(0.0)


def test_of_unknown_settings_each_is_one_of_its_own() -> None:
    assert (setting_of({}), setting_of({"train.seed": 3})) == ("", "")


def test_a_setting_is_all_but_its_seed() -> None:
    assert setting_of({"train.seed": 1, "optim.lr": 0.1}) == setting_of({"optim.lr": 0.1, "train.seed": 2})
    assert setting_of({"optim.lr": 0.1}) != setting_of({"optim.lr": 0.2})


SHARES = np.array([[0.2, 0.2, 0.2], [0.2, 0.18, 0.05], [0.1, 0.1, 0.1]])
"""Of three classes; the leader is the first."""


def test_the_class_that_a_single_seed_may_not_have_learned_is_allowed_for() -> None:
    assert unlearned_class(SHARES, np.array([1, 1, 1])).tolist() == pytest.approx([0.0, 0.15, 0.1])


def test_settings_with_two_seeds_have_no_allowance() -> None:
    assert unlearned_class(SHARES, np.array([1, 2, 3])).tolist() == [0.0, 0.0, 0.0]


def test_a_setting_behind_in_no_class_has_no_allowance() -> None:
    assert unlearned_class(np.array([[0.3, 0.3], [0.3, 0.3]]), np.array([1, 1])).tolist() == [0.0, 0.0]

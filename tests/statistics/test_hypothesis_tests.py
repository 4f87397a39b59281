"""Small samples and many questions, against tables and reference libraries."""

import math

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from sweeps.statistics.hypothesis_tests import holm, holm_levels, overlap, p_above, t_quantile, widening


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])  # 3 x 0.01, 2 x 0.03, at least that


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_that_of_statsmodels(seed: int) -> None:
    p = np.random.default_rng(seed).random(9) ** 4
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


@pytest.mark.parametrize("seed", range(5))
def test_a_p_value_below_its_level_is_one_that_holm_rejects(seed: int) -> None:
    p = np.random.default_rng(seed).random(9) ** 4
    assert (p <= holm_levels(p)).tolist() == (holm(p) <= 0.05).tolist()


def test_nothing_has_no_p_value() -> None:
    assert holm([]).tolist() == []


def test_four_degrees_of_freedom_have_the_quantile_of_the_table() -> None:
    assert t_quantile(0.975, 4) == pytest.approx(2.776, abs=1e-3)


def test_without_a_degree_of_freedom_nothing_is_known() -> None:
    assert (t_quantile(0.975, 0), p_above(3.0, 0)) == (math.inf, 0.5)


def test_a_bootstrap_of_five_is_widened_by_loss_and_by_t() -> None:
    assert widening(5) == pytest.approx(math.sqrt(5 / 4) * 2.776 / 1.960, abs=1e-3)


def test_a_bootstrap_of_one_says_nothing() -> None:
    assert widening(1) == math.inf


def test_five_folds_have_a_quarter_of_their_variance_in_common() -> None:
    assert overlap(5, 5) == pytest.approx(1 / 5 + 1 / 4)


def test_three_of_five_folds_have_the_overlap_of_five() -> None:
    assert overlap(3, 5) == pytest.approx(1 / 3 + 1 / 4)


def test_more_cuts_of_the_same_images_leave_what_they_have_in_common() -> None:
    assert overlap(1000, 5) == pytest.approx(1 / 4, abs=2e-3)


def test_one_fold_is_all_in_common() -> None:
    assert overlap(1, 1) == math.inf

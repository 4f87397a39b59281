"""Small samples and many questions, against tables and reference libraries."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_rel
from statsmodels.stats.multitest import multipletests

from sweeps.statistics.significance import corrected_t, holm, holm_levels, overlap_factor, p_above, t_quantile, widening


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


def test_five_folds_in_common_make_the_error_half_as_large_again() -> None:
    assert overlap_factor(5) == pytest.approx(1.5)  # 1/5 + 1/4 is 2.25 times 1/5


def test_the_corrected_t_is_the_paired_t_with_a_larger_error() -> None:
    a, b = np.random.default_rng(0).normal(0, 1, (2, 5))
    mean, error, _ = corrected_t(a - b)
    assert mean / error == pytest.approx(ttest_rel(a, b).statistic / 1.5)


def test_equal_runs_are_no_evidence() -> None:
    assert corrected_t(np.zeros((1, 5)))[2].tolist() == [1.0]


def test_one_run_is_no_evidence() -> None:
    assert corrected_t(np.array([[0.3]]))[2].tolist() == [1.0]

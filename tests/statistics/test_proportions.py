"""Tests of counts: by hand, and the figures of the original study."""

import math

import numpy as np
import pytest

from sweeps.statistics.proportions import associate, fit_equal_frequencies

ORIGINAL = (2010, 820, 552, 25, 12, 6, 1)
"""Scenes of the original study's 3,426 images."""


def test_the_scenes_of_the_original_have_its_effect_size() -> None:
    fit = fit_equal_frequencies(ORIGINAL)
    assert fit is not None
    assert f"{fit.cohens_w:.2f}" == "1.41"
    assert (fit.freedom, fit.power) == (6, pytest.approx(1.0))


def test_three_against_one_has_a_chi_square_of_one() -> None:
    fit = fit_equal_frequencies([3, 1])
    assert fit is not None
    assert fit.chi_square == pytest.approx(1.0)  # (3 - 2)^2 / 2 + (1 - 2)^2 / 2
    assert fit.cohens_w == pytest.approx(0.5)
    assert fit.residuals == pytest.approx((1 / math.sqrt(2), -1 / math.sqrt(2)))
    assert fit.z == pytest.approx((1.0, -1.0))  # (3/4 - 1/2) / sqrt(1/4 / 4)


def test_equal_counts_have_no_effect_and_the_power_of_chance() -> None:
    fit = fit_equal_frequencies([5, 5, 5])
    assert fit is not None
    assert (fit.cohens_w, fit.p, fit.power) == (0.0, 1.0, 0.05)


@pytest.mark.parametrize("counts", [[], [7], [0, 0]])
def test_one_category_or_no_image_is_not_tested(counts: list[int]) -> None:
    assert fit_equal_frequencies(counts) is None


def test_one_attribute_that_decides_the_other_has_a_v_of_one() -> None:
    result = associate(np.array([[10, 0], [0, 20]]))
    assert result is not None
    assert result.cramers_v == pytest.approx(1.0)


def test_independent_attributes_have_a_v_of_zero() -> None:
    result = associate(np.array([[10, 20], [20, 40]]))
    assert result is not None
    assert (result.cramers_v, result.p) == (pytest.approx(0.0), pytest.approx(1.0))


def test_a_table_with_one_row_that_has_counts_is_not_tested() -> None:
    assert associate(np.array([[10, 20], [0, 0]])) is None

"""Intervals and tests of one figure: by its units, and by its runs where there are several."""

import math

import numpy as np
import pytest

from sweeps.statistics.sample import Sample


def test_equivalence_is_a_90_percent_interval_within_the_margin() -> None:
    sample = Sample(0.01, np.random.default_rng(0).normal(0.01, 0.005, 4000), 30)
    bounds = sample.interval(0.1)
    assert bounds is not None
    assert sample.tests(bounds.high + 1e-6)[0] < 0.05 < sample.tests(bounds.high - 1e-6)[0]


def test_of_several_runs_the_more_cautious_judge_counts() -> None:
    draws = np.random.default_rng(0).normal(0.0, 0.001, 4000)
    alone = Sample(0.0, draws, 50).interval()
    apart = Sample(0.0, draws, 50, np.array([-0.02, 0.0, 0.02])).interval()  # sd 0.02 of 3 runs, t is 4.303
    assert alone is not None and apart is not None
    assert alone.high == pytest.approx(2.01 * 0.001, rel=0.05)
    assert apart.high == pytest.approx(4.303 * 0.02 / 3**0.5, rel=1e-3)


def test_runs_that_agree_do_not_make_up_for_few_images() -> None:
    draws = np.random.default_rng(0).normal(0.0, 0.01, 4000)
    found = Sample(0.0, draws, 50, np.zeros(5)).interval()
    assert found is not None and found.high == pytest.approx(2.01 * 0.01, rel=0.05)
    assert Sample(0.0, draws, 50, np.zeros(5)).tests(0.001)[0] > 0.05


def test_a_figure_that_draws_often_lack_has_no_interval() -> None:
    draws = np.where(np.arange(100) < 10, math.nan, 0.5)
    assert Sample(0.5, draws, 50).interval() is None
    assert Sample(0.5, draws, 50).tests(0.1) == (0.5, 1.0)


def test_one_unit_has_no_interval() -> None:
    assert Sample(0.5, np.full(100, 0.5), 1).interval() is None


def test_one_run_of_several_that_has_a_figure_is_too_few() -> None:
    assert Sample(0.5, np.full(100, 0.5), 9, np.array([0.5, math.nan])).interval() is None


def test_differences_are_paired() -> None:
    draws, runs = np.random.default_rng(0).normal(0.5, 0.1, 100), np.array([0.4, 0.6])
    found = Sample(0.5, draws, 9, runs).minus(Sample(0.4, draws - 0.1, 8, runs - 0.1)).interval()
    assert found is not None and (found.low, found.high) == (pytest.approx(0.1), pytest.approx(0.1))

"""Intervals and tests of one figure: by its units, with the noise of runs."""

import math

import numpy as np
import pytest
from scipy.stats import t as student

from sweeps.statistics.estimates import ResampledFigure


def draws(sd: float, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(0).normal(mean, sd, 40_000)


def test_equivalence_is_a_90_percent_interval_within_the_margin() -> None:
    sample = ResampledFigure(0.01, draws(0.005, 0.01), 30)
    bounds = sample.interval(0.1)
    assert bounds is not None
    assert sample.tests(bounds.high + 1e-6)[0] < 0.05 < sample.tests(bounds.high - 1e-6)[0]


def test_a_few_units_have_the_quantile_of_their_number() -> None:
    interval = ResampledFigure(0.0, draws(0.01), 5).interval()
    assert interval is not None
    assert interval.high == pytest.approx(student.ppf(0.975, 4) * 0.01 * math.sqrt(5 / 4), rel=0.02)


def test_the_noise_of_runs_adds_to_that_of_units() -> None:
    error, freedom = ResampledFigure(0.0, draws(0.03), 1000, run_variance=0.04**2, run_freedom=8).error()
    assert error == pytest.approx(0.05, rel=0.01)
    assert freedom == pytest.approx(0.05**4 / (0.03**4 / 999 + 0.04**4 / 8), rel=0.05)  # Satterthwaite


def test_a_run_noise_that_is_not_known_has_no_interval() -> None:
    sample = ResampledFigure(0.0, draws(0.01), 50, run_variance=math.nan, run_freedom=0.0)
    assert sample.interval() is None and sample.tests(0.1) == (0.5, 1.0)


def test_a_figure_that_draws_often_lack_has_no_interval() -> None:
    sample = ResampledFigure(0.5, np.where(np.arange(100) < 10, math.nan, 0.5), 50)
    assert sample.interval() is None and sample.tests(0.1) == (0.5, 1.0)


def test_one_unit_has_no_interval() -> None:
    assert ResampledFigure(0.5, np.full(100, 0.5), 1).interval() is None


def test_differences_are_paired_by_units_and_add_by_runs() -> None:
    first = ResampledFigure(0.5, draws(0.1, 0.5), 9, run_variance=0.0009, run_freedom=6)
    difference = first.minus(ResampledFigure(0.4, first.draws - 0.1, 8, run_variance=0.0016, run_freedom=4))
    assert difference.error()[0] == pytest.approx(0.05)
    assert (difference.estimate, difference.units, difference.run_freedom) == (pytest.approx(0.1), 8, 4)

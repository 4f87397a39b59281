"""What runs and images can show, against the power of the t test reckoned another way."""

import math

import pytest
from scipy.stats import nct, t

from sweeps.power import image_difference, joint_difference, run_difference, smallest_difference


@pytest.mark.parametrize(
    ("runs", "sd", "points"), [(3, 0.3, 1.38), (5, 0.3, 0.71), (5, 0.6, 1.43), (10, 0.6, 0.85), (15, 1.2, 1.32)]
)
def test_runs_show_what_the_table_says(runs: int, sd: float, points: float) -> None:
    assert run_difference(runs, sd) == pytest.approx(points, abs=0.006)


@pytest.mark.parametrize("pairs", [2, 5, 47, 400])
def test_the_difference_is_found_with_the_stated_power(pairs: int) -> None:
    noncentrality = smallest_difference(pairs, 1.0) * math.sqrt(pairs)
    critical = t.ppf(0.975, pairs - 1)
    power = nct.sf(critical, pairs - 1, noncentrality) + nct.cdf(-critical, pairs - 1, noncentrality)
    assert power == pytest.approx(0.8, abs=1e-3)


def test_many_images_show_what_the_normal_distribution_says() -> None:
    assert image_difference(343) == pytest.approx((1.960 + 0.842) * 3 / math.sqrt(343), rel=0.01)


def test_one_run_shows_nothing() -> None:
    assert run_difference(1) == math.inf


def test_runs_and_images_add_in_squares() -> None:
    assert joint_difference(5, 100) == pytest.approx(math.hypot(run_difference(5), image_difference(100)))

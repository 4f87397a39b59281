"""What runs and images can show, against the power of the t test reckoned another way."""

import math

import pytest
from scipy.stats import nct, t

from sweeps.statistics.power import (
    image_difference,
    images_needed,
    joint_difference,
    lead_over,
    run_difference,
    runs_needed,
    runs_to_lead,
    smallest_difference,
)


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


def test_a_lead_over_one_rival_is_that_of_the_corrected_t() -> None:
    points = smallest_difference(
        5, math.sqrt(2)
    )  # of a plain paired t; the correction raises the critical value by 1.5
    critical, runs = 1.5 * t.ppf(0.975, 4), math.sqrt(5 / 2)
    assert nct.sf(critical, 4, lead_over(1, 5) * runs) == pytest.approx(0.8, abs=0.03)
    assert lead_over(1, 5) > points


def test_more_rivals_take_a_larger_lead_and_more_runs_a_smaller_one() -> None:
    assert lead_over(5, 5) > lead_over(1, 5) > lead_over(1, 10)


def test_one_run_shows_no_lead() -> None:
    assert lead_over(1, 1) == math.inf


def test_the_runs_needed_are_the_fewest_that_show_the_lead() -> None:
    runs = runs_to_lead(1.0, 0.6, 1)
    assert runs is not None
    assert 0.6 * lead_over(1, runs) <= 1.0 < 0.6 * lead_over(1, runs - 1)


def test_some_leads_take_more_runs_than_anybody_has() -> None:
    assert runs_to_lead(0.01, 0.6, 1) is None


def test_images_needed_grow_with_what_the_runs_leave_over() -> None:
    assert images_needed(100, 4.0, 1.0, 2.0) == 400  # 4 x 100 / 400 + 1 is 2
    assert images_needed(100, 4.0, 2.0, 2.0) is None


def test_runs_needed_grow_with_what_the_images_leave_over() -> None:
    assert runs_needed(1, 1.0, 4.0, 2.0) == 4  # 1 + 4 / 4 is 2
    assert runs_needed(1, 2.0, 4.0, 2.0) is None

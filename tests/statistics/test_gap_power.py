"""The smallest gap between groups, by hand and against the verdict's own equivalence test."""

import math

import pytest
from scipy.stats import nct, norm, t

from sweeps.statistics.gap_power import GAP_UNIT_SD, gap_error, smallest_gap, smallest_margin
from sweeps.statistics.seed_noise import FLOOR

MANY = 10_000


def test_the_error_adds_the_drives_of_both_groups_and_the_runs() -> None:
    error, _ = gap_error((100, 300), (25, 100))
    assert error == pytest.approx(math.sqrt(GAP_UNIT_SD**2 * (1 / 25 + 1 / 100) + FLOOR**2 * (4 + 4 / 3)))


def test_with_many_drives_only_the_noise_of_runs_remains() -> None:
    assert gap_error((MANY, MANY), (10**9, 10**9))[0] == pytest.approx(2 * FLOOR, rel=1e-3)


def test_fewer_than_ten_drives_tell_nothing() -> None:
    assert smallest_gap((900, 900), (9, 500)) == smallest_margin((900, 900), (9, 500)) == math.inf


def test_a_group_without_images_tells_nothing() -> None:
    assert smallest_gap((0, 10), (0, 10)) == math.inf


def test_the_smallest_gap_is_found_with_a_power_of_80_percent() -> None:
    images, drives = (200, 400), (150, 300)
    (error, freedom), gap = gap_error(images, drives), smallest_gap(images, drives)
    power = nct.sf(t.ppf(0.975, freedom), freedom, gap / error)
    assert power == pytest.approx(0.8, abs=0.02)


def test_more_runs_tell_a_smaller_gap() -> None:
    assert smallest_gap((200, 200), (200, 200), 0.45) < smallest_gap((200, 200), (200, 200))


def test_the_smallest_gap_of_one_of_three_comparisons_is_found_at_its_level() -> None:
    images, drives, alpha = (200, 400), (150, 300), 0.05 / 3
    (error, freedom), gap = gap_error(images, drives), smallest_gap(images, drives, alpha=alpha)
    assert nct.sf(t.ppf(1 - alpha / 2, freedom), freedom, gap / error) == pytest.approx(0.8, abs=0.02)


def test_the_smallest_margin_has_a_power_of_80_percent_at_any_level() -> None:
    images, drives = (10**6, 10**6), (150, 300)
    for alpha in (0.05, 0.01):
        errors = smallest_margin(images, drives, 0.0, alpha) / gap_error(images, drives, 0.0)[0]
        assert 2 * norm.cdf(errors - norm.ppf(1 - alpha)) - 1 == pytest.approx(0.8, abs=0.001)

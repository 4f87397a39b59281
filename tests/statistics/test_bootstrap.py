"""Draws and what they weigh: sums by hand, exact in single precision, deviations widened class by class."""

import numpy as np
import pytest

from bddseg.confusion import miou
from sweeps.statistics.bootstrap import EXACT, draw_units, resample_deviations, weigh


def test_a_draw_takes_as_many_units_as_there_are() -> None:
    draws = draw_units(7, 300, seed=0)
    assert (draws.shape, set(draws.sum(1))) == ((300, 7), {7})


def test_every_unit_is_drawn_once_on_average() -> None:
    assert draw_units(5, 4000, seed=0).mean(0) == pytest.approx(np.ones(5), abs=0.06)


def test_the_same_seed_draws_the_same() -> None:
    assert np.array_equal(draw_units(5, 50, seed=3), draw_units(5, 50, seed=3))
    assert not np.array_equal(draw_units(5, 50, seed=3), draw_units(5, 50, seed=4))


def test_sums_are_weighted() -> None:
    ((chosen, sums),) = weigh(np.array([[1, 10, 100]]), np.array([[1, 1, 1], [3, 0, 0]], dtype=np.int16))
    assert (chosen, sums.tolist()) == (slice(0, 2), [[111.0, 3.0]])


@pytest.mark.parametrize("largest", [100, EXACT // 100, 20 * EXACT])
def test_sums_are_exact_whatever_their_size(largest: int) -> None:
    generator = np.random.default_rng(0)
    table = generator.integers(0, largest, (3, 400))
    draws = draw_units(400, 20, seed=1)
    ((_, sums),) = weigh(table, draws)
    assert np.array_equal(sums, table @ draws.T.astype(np.int64))


def test_a_deviation_is_the_miou_of_summed_counts_less_that_of_all() -> None:
    counts = np.random.default_rng(0).integers(1, 50, (2, 6, 3, 3))  # (T, U, C, C)
    draws = draw_units(6, 10, seed=0)
    above = np.moveaxis(np.diagonal(counts, axis1=2, axis2=3), 1, 2)
    truth = np.moveaxis(counts.sum(3), 1, 2)  # (T, C, U)
    below = np.moveaxis(counts.sum(2), 1, 2) + truth - above
    expected = miou(np.einsum("bn,tnij->tbij", draws, counts)) - miou(counts.sum(1))[:, None]
    assert resample_deviations(above, below, truth[0], draws, np.ones(3)) == pytest.approx(expected, abs=1e-6)


ABOVE, BELOW = np.array([[[2, 2], [0, 3]]]), np.array([[[4, 2], [0, 4]]])  # IoU 4/6 and, on unit 1 only, 3/4
TRUTH = np.array([[3, 2], [0, 3]])


def test_a_class_that_a_draw_leaves_without_truth_deviates_by_nothing() -> None:
    draws = np.array([[2, 0]], dtype=np.int16)
    assert resample_deviations(ABOVE, BELOW, TRUTH, draws, np.ones(2))[0, 0] == pytest.approx((2 / 4 - 4 / 6) / 2)


def test_each_class_is_widened_by_itself() -> None:
    draws = np.array([[0, 2]], dtype=np.int16)
    deviation = resample_deviations(ABOVE, BELOW, TRUTH, draws, np.array([3.0, 1.0]))[0, 0]
    assert deviation == pytest.approx(3 * (1 - 4 / 6) / 2)


def test_a_class_that_no_mask_has_leaves_the_mean() -> None:
    draws = np.array([[2, 0]], dtype=np.int16)
    truth = np.array([[3, 2], [0, 0]])
    assert resample_deviations(ABOVE, BELOW, truth, draws, np.ones(2))[0, 0] == pytest.approx(2 / 4 - 4 / 6)

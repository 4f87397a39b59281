"""Draws and what they weigh: sums by hand, exact in single precision, the left-out units of a chosen trial."""

import numpy as np
import pytest

from bddseg.confusion import miou
from sweeps.statistics.resampling import EXACT, draw_units, resample_miou, score_left_out, weigh


def test_a_draw_of_one_run_takes_as_many_units_as_there_are() -> None:
    draws = draw_units(np.zeros(7, dtype=int), 300, seed=0)
    assert (draws.shape, set(draws.sum(1))) == ((300, 7), {7})


def test_every_unit_is_drawn_once_on_average() -> None:
    assert draw_units(np.zeros(5, dtype=int), 4000, seed=0).mean(0) == pytest.approx(np.ones(5), abs=0.06)


def test_a_draw_of_runs_takes_whole_runs() -> None:
    draws = draw_units(np.array([0, 0, 0, 1, 1]), 500, seed=0)  # a run of 3 units and one of 2
    assert {(int(d[:3].sum()), int(d[3:].sum())) for d in draws} == {(6, 0), (3, 2), (0, 4)}


def test_the_same_seed_draws_the_same() -> None:
    runs = np.array([0, 0, 1, 1, 1])
    assert np.array_equal(draw_units(runs, 50, seed=3), draw_units(runs, 50, seed=3))
    assert not np.array_equal(draw_units(runs, 50, seed=3), draw_units(runs, 50, seed=4))


def test_sums_are_weighted() -> None:
    ((chosen, sums),) = weigh(np.array([[1, 10, 100]]), np.array([[1, 1, 1], [3, 0, 0]], dtype=np.int16))
    assert (chosen, sums.tolist()) == (slice(0, 2), [[111.0, 3.0]])


@pytest.mark.parametrize("largest", [100, EXACT // 100, 20 * EXACT])
def test_sums_are_exact_whatever_their_size(largest: int) -> None:
    generator = np.random.default_rng(0)
    table = generator.integers(0, largest, (3, 400))
    draws = draw_units(np.zeros(400, dtype=int), 20, seed=1)
    ((_, sums),) = weigh(table, draws)
    assert np.array_equal(sums, table @ draws.T.astype(np.int64))


def test_the_score_of_a_draw_is_that_of_its_summed_counts() -> None:
    counts = np.random.default_rng(0).integers(0, 50, (2, 6, 3, 3))
    draws = draw_units(np.zeros(6, dtype=int), 10, seed=0)
    above = np.moveaxis(np.diagonal(counts, axis1=2, axis2=3), 1, 2)
    below = np.moveaxis(counts.sum(2) + counts.sum(3), 1, 2) - above
    expected = miou(np.einsum("bn,tnij->tbij", draws, counts))
    assert resample_miou(above, below, draws) == pytest.approx(expected, rel=1e-6)


def test_a_class_that_a_draw_leaves_empty_leaves_its_mean() -> None:
    above, below = np.array([[[2, 0], [0, 3]]]), np.array([[[4, 0], [0, 4]]])  # class 1 on unit 1 only
    scores = resample_miou(above, below, np.array([[1, 1], [2, 0], [0, 2]], dtype=np.int16))
    assert scores.tolist() == [[(0.5 + 0.75) / 2, 0.5, 0.75]]


def test_a_draw_without_any_class_has_no_score() -> None:
    scores = resample_miou(np.array([[[1, 0]]]), np.array([[[2, 0]]]), np.array([[0, 2]], dtype=np.int16))
    assert np.isnan(scores).all()


def test_the_chosen_trial_is_scored_on_what_was_left_out() -> None:
    above = np.array([[[1, 2, 3]], [[4, 4, 4]]])
    below = np.array([[[4, 4, 4]], [[4, 4, 4]]])
    draws = np.array([[3, 0, 0], [0, 1, 2], [1, 1, 1]], dtype=np.int16)
    found = score_left_out(above, below, draws, np.array([0, 0, 1]))
    assert found[:2].tolist() == [5 / 8, 1 / 4]
    assert np.isnan(found[2])  # nothing was left out

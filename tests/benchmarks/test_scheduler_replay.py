"""Replays of tables small enough to be computed by hand, and the recorded ones as they are shipped."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import replay
from benchmarks.record_curves import FOLDER, GRIDS, Table, load_table, save_table
from benchmarks.replay import Curves, Driver, Figure
from sweeps.schedulers.asha_promote import AshaPromote
from sweeps.schedulers.rungs import Schedule
from sweeps.schedulers.scheduler import Asha, RunAll

R, A, B = range(3)
VALUES = [
    [0.10, 0.10, 0.10, 0.10],  # the reference
    [0.15, 0.30, 0.40, 0.50],  # slow, and the best
    [0.30, 0.35, 0.35, 0.35],
]
CURVES = Curves("by hand", np.array(VALUES), ("vanilla_unet",) * 3, reference=R, winners=frozenset({A}))
EVERY_OTHER = 0.25, 2
"""Grace of one epoch of four, and rungs at epochs 1 and 2."""


def driven(kind: type, order: list[int], slots: int = 1, curves: Curves = CURVES) -> Driver:
    """Return the driver after a replay."""
    make = replay.halving(kind, Schedule("asha", *EVERY_OTHER))
    driver = Driver(make(curves, order, slots), curves, order, slots)
    driver.run()
    return driver


def spent(driver: Driver) -> tuple[int, set[int], float]:
    return driver.epochs, driver.finished, driver.time


def test_without_stopping_the_whole_grid_is_spent() -> None:
    driver = Driver(RunAll(), CURVES, [R, A, B], 1)
    driver.run()
    assert spent(driver) == (12, {R, A, B}, 12)


def test_a_slow_trial_that_comes_early_is_kept() -> None:
    assert spent(driven(Asha, [R, A, B])) == (12, {R, A, B}, 12)


def test_a_slow_trial_that_comes_late_is_stopped_at_the_first_rung() -> None:
    assert spent(driven(Asha, [R, B, A])) == (9, {R, B}, 9)  # 0.15 is below 0.2, the median of 0.1 and 0.3


def test_two_slots_take_less_time_for_the_same_epochs() -> None:
    assert spent(driven(Asha, [R, B, A], slots=2)) == (9, {R, B}, 5)


def test_promotion_continues_the_best_half_of_each_rung() -> None:
    for order in ([R, A, B], [R, B, A]):  # of 0.1, 0.15 and 0.3 one goes on, whoever comes first
        assert spent(driven(AshaPromote, order)) == (9, {R, B}, 9)


def test_a_trial_that_diverges_costs_the_epochs_until_then() -> None:
    curves = Curves("c", np.array([VALUES[R], [0.1, np.nan, np.nan, np.nan]]), ("unet",) * 2, 0, frozenset({0}))
    driver = driven(Asha, [0, 1], curves=curves)
    assert (curves.full, *spent(driver)) == (6, 6, {0}, 6)


def test_a_slower_trial_takes_longer() -> None:
    driver = Driver(RunAll(), CURVES, [R, A, B], 3, [1.0, 1.25, 0.8])
    driver.run()
    assert driver.time == 5.0


def test_means_are_taken_over_orders() -> None:
    makers = {True: replay.halving(Asha, Schedule("asha", *EVERY_OTHER))}
    figure = replay.measure("by hand", [CURVES], "asha", makers[True], 1, 40)
    first = [order[1] for order, _ in replay.orders(CURVES, 40)]
    share = first.count(A) / 40
    assert (figure.kept_share, figure.epochs) == (share, pytest.approx(share * 1 + (1 - share) * 0.75))


def test_orders_have_the_reference_first_and_repeat() -> None:
    scores = replay.orders(CURVES, 20)
    assert {order[0] for order, _ in scores} == {R} and scores == replay.orders(CURVES, 20)
    assert {tuple(order[1:]) for order, _ in scores} == {(A, B), (B, A)}


def test_rays_own_asha_runs_in_the_same_driver() -> None:
    driver = Driver(replay.rays()(CURVES, [R, B, A], 1), CURVES, [R, B, A], 1)
    driver.run()
    assert spent(driver) == (9, {R, B}, 9)  # rung 1: 0.15 is below 0.25, three quarters of the way from 0.1 to 0.3


def test_a_target_needs_both_halves() -> None:
    figures = [
        Figure("t", "asha", 2, epochs, kept_share, 1, 200)
        for epochs, kept_share in ((0.3, 0.95), (0.31, 1), (0.2, 0.94))
    ]
    assert [figure.is_met for figure in figures] == [True, False, False]


def test_the_target_has_to_be_met_on_every_table_with_every_number_of_slots() -> None:
    good, bad = (0.2, 1.0), (0.4, 1.0)
    cells = {("asha", "a", 2): good, ("asha", "a", 4): bad, ("median", "a", 2): good, ("median", "synthetic", 2): bad}
    figures = [Figure(table, mode, slots, *cell, 1, 9) for (mode, table, slots), cell in cells.items()]
    assert "median" in replay.met(figures, ["a"]) and "asha" not in replay.met(figures, ["a"])


def make_table(best: list[list[int]]) -> Table:
    """Return trials of one class with so many of 10 pixels right in each image."""
    intersection = np.array(best)[:, :, None]
    curves = intersection.sum((1, 2))[:, None] / (10 * intersection.shape[1])
    settings = tuple({"optim.lr": 1e-3} for _ in best)
    return Table("tiny", settings, 0, {}, curves, intersection, np.full_like(intersection, 10))


def winners(best: list[list[int]]) -> set[int]:
    table = make_table(best)
    return set(replay.tied(table.curves, replay.resampled(table)))


def test_a_draw_of_images_is_the_same_for_all_trials() -> None:
    scores = replay.resampled(make_table([[9, 5, 7], [8, 4, 6]]))  # the second is a tenth behind on every image
    assert scores[:, 0] - scores[:, 1] == pytest.approx(0.1)


def test_equals_are_tied_and_the_worse_on_every_image_is_not() -> None:
    assert winners([[9, 9, 9, 9], [9, 9, 9, 9], [8, 8, 8, 8]]) == {0, 1}


def test_one_that_is_better_on_some_images_and_worse_on_others_is_tied() -> None:
    assert winners([[9, 5, 9, 5, 9], [5, 9, 5, 9, 8]]) == {0, 1}


def test_a_table_survives_its_file(tmp_path: Path) -> None:
    table = make_table([[9, 8], [7, 6]])
    save_table(tmp_path / "t.npz", table)
    again = load_table(tmp_path / "t.npz")
    assert (again.settings, again.reference, again.models) == (table.settings, 0, ("vanilla_unet",) * 2)
    assert all(np.array_equal(getattr(again, key), getattr(table, key)) for key in ("curves", "intersection", "union"))


def test_synthetic_families_repeat_and_cross() -> None:
    curves = replay.synthetic(3)
    assert np.array_equal(curves.values, replay.synthetic(3).values)
    assert curves.values[:, 1].argmax() not in curves.winners or len(curves.winners) > 1
    assert int(curves.values.max(1).argmax()) in curves.winners


@pytest.mark.parametrize("name", GRIDS)
def test_a_recorded_table_is_a_full_grid(name: str) -> None:
    table = load_table(FOLDER / f"curves_{name}.npz")
    assert table.curves.shape >= (48, 20) and table.curves.shape[1] >= 20
    assert len({tuple(sorted(point.items())) for point in table.settings}) == len(table.curves)
    assert table.settings[table.reference]["optim.lr"] == 1e-4


@pytest.mark.parametrize("name", GRIDS)
def test_a_half_has_the_reference_and_a_winner_of_its_own(name: str) -> None:
    table = load_table(FOLDER / f"curves_{name}.npz")
    for half in replay.halves(name, 3):
        assert len(half.values) == 24 and np.array_equal(half.values[0], table.curves[table.reference])
        assert int(np.nanmax(half.values, axis=1).argmax()) in half.winners


@pytest.mark.parametrize("name", GRIDS)
def test_promotion_meets_the_target(name: str) -> None:
    figure = replay.measure(name, [replay.recorded(name)], "asha_promote", replay.OURS["asha_promote"], 2, 10)
    assert figure.is_met


@pytest.mark.parametrize("name", GRIDS)
def test_recorded_counts_give_the_recorded_best(name: str) -> None:
    table = load_table(FOLDER / f"curves_{name}.npz")
    over, under = table.intersection.sum(1), table.union.sum(1)  # (T, C)
    scores = np.nanmean(np.where(under > 0, over / np.maximum(under, 1), np.nan), axis=1)
    assert scores == pytest.approx(np.nanmax(table.curves, axis=1), abs=1e-5)


def test_the_recorded_tables_are_small() -> None:
    assert sum((FOLDER / f"curves_{name}.npz").stat().st_size for name in GRIDS) < 1_000_000

"""Noise between runs: measured on seeds of one setting, else assumed."""

import numpy as np
import pytest

from sweeps.statistics.noise import ASSUMED, Noise, measure_noise, setting_of


def test_without_seeds_the_noise_is_assumed() -> None:
    assert measure_noise(np.array([0.5, 0.6, 0.7]), ["", "", ""]) == Noise(ASSUMED)


def test_five_seeds_of_one_setting_measure_it() -> None:
    found = measure_noise(np.array([0.50, 0.51, 0.52, 0.53, 0.54, 0.9]), ["a"] * 5 + ["b"])
    assert (found.sd, found.freedom) == (pytest.approx(0.0158, abs=1e-4), 4)  # sd of 50 to 54 in points is 1.58


def test_seeds_of_several_settings_count_together() -> None:
    found = measure_noise(np.array([0.5, 0.52] * 4), list("aabbccdd"))
    assert (found.sd, found.freedom) == (pytest.approx(0.01414, abs=1e-5), 4)  # half of 0.02 squared, of each pair


def test_four_seeds_are_too_few_to_measure() -> None:
    assert measure_noise(np.array([0.5, 0.6, 0.7, 0.8]), ["a"] * 4) == Noise(ASSUMED)


def test_seeds_that_collapsed_to_one_score_measure_nothing() -> None:
    assert measure_noise(np.array([0.5] * 5 + [0.6]), ["a"] * 5 + ["b"]) == Noise(ASSUMED)


def test_of_unknown_settings_each_is_one_of_its_own() -> None:
    assert (setting_of({}), setting_of({"train.seed": 3})) == ("", "")


def test_a_setting_is_all_but_its_seed() -> None:
    assert setting_of({"train.seed": 1, "optim.lr": 0.1}) == setting_of({"optim.lr": 0.1, "train.seed": 2})
    assert setting_of({"optim.lr": 0.1}) != setting_of({"optim.lr": 0.2})


def test_an_assumed_noise_is_normal() -> None:
    assert Noise(0.01).draw((2, 20_000), 0).std() == pytest.approx(0.01, rel=0.02)


def test_a_measured_noise_has_the_tails_of_t() -> None:
    drawn = Noise(0.01, 4).draw((1, 40_000), 0)[0] / 0.01
    assert np.quantile(drawn, 0.975) == pytest.approx(2.776, rel=0.05)


def test_the_same_seed_draws_the_same_noise() -> None:
    assert np.array_equal(Noise(0.01, 4).draw((2, 9), 5), Noise(0.01, 4).draw((2, 9), 5))

"""Learning-rate schedules: numbers by hand, then what holds for all of them."""

import pytest

from bddseg.schedule import SCHEDULES, learning_rate_factor


def factors(name: str, steps: int, warmup: float = 0.0) -> list[float]:
    return [learning_rate_factor(name, step, steps, warmup) for step in range(steps)]


def test_constant_never_changes() -> None:
    assert factors("constant", 5) == [1.0] * 5


def test_cosine_of_four_steps() -> None:
    assert factors("cosine", 4) == pytest.approx([1.0, 0.85355, 0.5, 0.14645], abs=1e-5)


def test_poly_of_four_steps() -> None:
    assert factors("poly", 4) == pytest.approx([1.0, 0.75**0.9, 0.5**0.9, 0.25**0.9])


def test_the_warm_up_rises_to_one_in_equal_steps() -> None:
    assert factors("constant", 10, warmup=0.4) == pytest.approx([0.25, 0.5, 0.75, 1.0, *[1.0] * 6])


def test_the_schedule_starts_after_the_warm_up() -> None:
    assert factors("cosine", 6, warmup=1 / 3)[2:] == pytest.approx(factors("cosine", 4))


@pytest.mark.parametrize("name", SCHEDULES)
def test_no_step_is_without_effect(name: str) -> None:
    assert all(0 < factor <= 1 for factor in factors(name, 100, warmup=0.05))


@pytest.mark.parametrize("name", SCHEDULES)
def test_after_the_warm_up_the_rate_never_rises(name: str) -> None:
    after = factors(name, 100, warmup=0.1)[10:]
    assert after == sorted(after, reverse=True)


def test_a_single_step_has_the_whole_rate() -> None:
    assert factors("cosine", 1, warmup=0.5) == [1.0]

"""Lists and ranges: what is drawn from them by hand-checkable numbers, and what is refused."""

import math
import random
from typing import Any

import pytest

from sweeps.errors import ExperimentError
from sweeps.planning.axes import Axis, Range, build_axes, build_axis, first_value, name_axis, record_axis, recorded_axis

RATE = Range(1e-5, 1e-2, log=True)
WIDTH = Range(4, 16, step=4)


def drawn(axis: Range, number: int = 2000) -> list[float]:
    chance = random.Random(0)
    return [axis.draw(chance) for _ in range(number)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"low": 1e-5, "high": 1e-2, "log": True}, RATE),
        ({"low": 0, "high": 0.5, "step": 0.1}, Range(0.0, 0.5, step=0.1)),
        ([1e-4, 1], (1e-4, 1.0)),
    ],
)
def test_an_axis_is_a_list_or_a_range(values: Any, expected: Axis) -> None:
    assert build_axis("optim.weight_decay", values, "here") == expected


def test_axes_may_be_nested_or_dotted() -> None:
    nested = {"optim": {"lr": {"low": 1e-5, "high": 1e-2, "log": True}}, "model.base_filters": [4, 8]}
    assert build_axes(nested, "here") == {"optim.lr": RATE, "model.base_filters": (4, 8)}


def test_both_ends_of_a_range_are_drawn_and_nothing_beyond() -> None:
    assert set(drawn(WIDTH)) == {4, 8, 12, 16}
    assert set(drawn(Range(1, 3))) == {1, 2, 3}
    assert set(drawn(Range(1, 4, log=True))) == {1, 2, 3, 4}
    assert set(drawn(Range(0.0, 0.5, step=0.1))) == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5}


def test_a_logarithmic_range_gives_each_decade_a_third() -> None:
    values = drawn(RATE)
    assert all(1e-5 <= value <= 1e-2 for value in values)
    assert sum(value < 1e-4 for value in values) == pytest.approx(667, abs=60)
    assert sum(value > 1e-3 for value in values) == pytest.approx(667, abs=60)


def test_a_drawn_number_has_four_digits_and_never_leaves_its_range() -> None:
    assert RATE.settle(3.16227766e-4) == 3.162e-4
    assert Range(1.00004, 2.0).settle(1.00004) == 1.00004


@pytest.mark.parametrize(("axis", "inside", "outside"), [(RATE, 1e-2, 2e-2), (WIDTH, 12, 13), (WIDTH, 4.0, True)])
def test_a_range_knows_what_is_in_it(axis: Range, inside: float, outside: float) -> None:
    assert inside in axis and outside not in axis and "text" not in axis


@pytest.mark.parametrize("axis", [RATE, WIDTH, (1, 2), ("a", "b")])
def test_an_axis_is_recorded_and_read_again(axis: Axis) -> None:
    assert recorded_axis(record_axis(axis)) == axis


def test_an_axis_is_named_by_its_values_or_its_ends() -> None:
    assert name_axis((1e-4, 1e-3)) == "0.0001, 0.001"
    assert (str(RATE), str(WIDTH)) == ("1e-05 to 0.01, log", "4 to 16, step 4")


def test_a_range_is_represented_by_the_usual_value_or_its_low_end() -> None:
    assert (first_value(RATE, 1e-4), first_value(RATE, 1.0), first_value((3, 4), 4)) == (1e-4, 1e-5, 3)


@pytest.mark.parametrize(
    ("key", "values", "expected"),
    [
        ("optim.lr", {"low": 1e-5}, "here has no high, but must have both ends: low and high"),
        ("optim.lr", {}, "here has no low"),
        ("optim.lr", {"low": 1, "high": 2, "lgo": True}, "here has an unknown key 'lgo'; known: low, high, log, step"),
        ("optim.lr", {"low": "1e-5", "high": 1e-2}, "here.low: optim.lr is '1e-5', but must be a number; write 1.0e-5"),
        ("optim.lr", {"low": 0.0, "high": 1e-2}, "here.low: optim.lr is 0.0, but must be > 0"),
        ("optim.lr", {"low": 1e-2, "high": 1e-5}, "here.high is 1e-05, but must be > low, which is 0.01"),
        (
            "optim.weight_decay",
            {"low": 0, "high": 1, "log": True},
            "here.low is 0.0, but must be > 0 where log is true",
        ),
        ("optim.lr", {"low": 1, "high": 2, "log": "yes"}, "here.log is 'yes', but must be true or false"),
        ("optim.lr", {"low": 1, "high": 2, "log": True, "step": 1}, "but must not be given where log is true"),
        ("model.base_filters", {"low": 4, "high": 9, "step": 4}, "must be low plus a whole number of steps of 4"),
        ("model.base_filters", {"low": 4, "high": 8, "step": 0.5}, "here.step is 0.5, but must be a whole number > 0"),
        ("optim.lr", {"low": 1, "high": 2, "step": math.nan}, "here.step is nan, but must be a number > 0"),
        ("optim.lr", {"low": 1, "high": 2, "step": math.inf}, "here.step is inf, but must be a number > 0"),
        (
            "optim.lr",
            {"low": 1, "high": 2, "step": 1e12},
            "must be low plus a whole number of steps of 1000000000000.0",
        ),
        ("model.base_filters", {"low": 4.0, "high": 8}, "model.base_filters is 4.0, but must be a whole number"),
        ("model.name", {"low": 1, "high": 2}, "here is a range, but model.name is no number: give a list"),
        ("optim.lrate", {"low": 1, "high": 2}, "optim.lrate is not a setting; did you mean optim.lr?"),
    ],
)
def test_a_mistake_in_a_range_is_refused_with_its_place(key: str, values: Any, expected: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        build_axis(key, values, "here")
    assert expected in str(caught.value) and "\n" not in str(caught.value)

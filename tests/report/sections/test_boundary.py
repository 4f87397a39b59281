"""Report -> the edge of the space: at an edge or within, and what to add."""

from typing import Any

import pytest
from entries import make_entry, make_sweep

from bddseg.config import TrainConfig
from sweeps.report.gather import Report
from sweeps.report.sections.boundary import BoundaryAxis, build_edge, build_section

DEFAULTS = TrainConfig().flat()


def make_axis_sweep(key: str, values: list[Any], best: Any, axis: Any = None, **more: Any) -> Report:
    """One trial for each value; the figure is lower the further it is from the best."""
    place = values.index(best)
    entries = [
        make_entry(f"t{n}", 0.9 - 0.1 * abs(n - place), DEFAULTS | more | {key: value})
        for n, value in enumerate(values)
    ]
    return make_sweep(entries, {key: values if axis is None else axis})


def edge_of(key: str, values: list[Any], best: Any, axis: Any = None, **more: Any) -> BoundaryAxis:
    found = build_edge(make_axis_sweep(key, values, best, axis, **more), key)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("key", "values", "best", "step"),
    [
        ("optim.lr", [1e-4, 5e-4, 1e-3], 1e-3, 2e-3),
        ("optim.lr", [1e-4, 1e-3], 1e-4, 1e-5),
        ("model.base_filters", [32, 64, 128], 128, 256),
        ("loss.gamma", [1.0, 2.0, 3.0], 3.0, 4.0),
        ("optim.weight_decay", [0.0, 1e-3, 1e-2], 1e-2, 0.1),
    ],
)
def test_at_an_edge_the_next_value_follows_the_row(key: str, values: list[Any], best: Any, step: float) -> None:
    found = edge_of(key, values, best, **{"loss.name": "focal"})
    assert (found.step, found.side) == (step, "lowest" if best == values[0] else "highest")


def test_within_the_space_nothing_is_to_add() -> None:
    found = edge_of("optim.lr", [1e-4, 1e-3, 1e-2], 1e-3)
    assert (found.side, found.step, found.low, found.high) == ("", None, 1e-4, 1e-2)


def test_where_no_further_value_is_allowed_the_rule_is_said() -> None:
    found = edge_of("optim.weight_decay", [0.0, 1e-3, 1e-2], 0.0)
    assert found.step is None
    assert "must be >= 0" in found.rule


def test_a_setting_without_effect_on_the_leader_has_no_edge() -> None:
    report = make_axis_sweep("loss.gamma", [1.0, 2.0, 3.0], 3.0, **{"loss.name": "cross_entropy"})
    assert build_edge(report, "loss.gamma") is None


def test_a_range_has_an_edge_with_a_width() -> None:
    axis = {"low": 1e-5, "high": 1e-1, "log": True}
    assert edge_of("optim.lr", [1e-3, 8e-2], 8e-2, axis).step == 1.0
    assert edge_of("optim.lr", [1e-3, 1e-2], 1e-2, axis).side == ""


def test_the_best_off_the_edge_is_known() -> None:
    assert edge_of("optim.lr", [1e-4, 5e-4, 1e-3], 1e-3).inner == pytest.approx(0.8)


def test_the_command_adds_the_next_value_to_the_leader_s() -> None:
    section = build_section(make_axis_sweep("optim.lr", [1e-4, 5e-4, 1e-3], 1e-3))
    assert section is not None
    assert section.data["command"] == "python tune_main.py --set 'optim.lr=[1e-3, 2e-3]'"
    assert section.sentence == (
        "The leader has the highest optim.lr (1e-3) of the search space, so a better setting may lie beyond."
    )


def test_names_have_no_edge() -> None:
    assert build_section(make_axis_sweep("loss.name", ["cross_entropy", "focal"], "focal")) is None


@pytest.mark.parametrize("axis", [None, {"low": "x"}, "text", 7, [None]])
def test_an_axis_that_was_garbled_is_taken_from_the_trials(axis: Any) -> None:
    assert edge_of("optim.lr", [1e-4, 5e-4, 1e-3], 5e-4, axis).high == 1e-3

"""The front of accuracy and cost, by hand."""

import pytest
from plans import FIRST, PLAN, SECOND, growing
from recording import end, epoch, start

from bddseg.flops import count_forward
from sweeps.execution.pareto import board_points, front
from sweeps.execution.progress import TrialTable


def test_the_front_is_what_no_other_beats_in_both() -> None:
    points = {"a": (0.5, 2.0), "b": (0.4, 1.0), "c": (0.4, 3.0), "d": (0.6, 4.0), "e": (0.3, 1.5)}
    assert front(points) == ["b", "a", "d"]


def test_of_equals_one_is_on_the_front_and_of_equal_cost_the_better() -> None:
    assert front({"a": (0.5, 1.0), "b": (0.5, 1.0), "c": (0.6, 1.0)}) == ["c"]
    assert front({}) == []


def test_only_trials_that_came_to_their_end_have_a_point() -> None:
    board = TrialTable(growing(PLAN))
    for event in (start(FIRST), epoch(1, 0.25, FIRST), end("FINISHED", FIRST), start(SECOND), epoch(1, 0.9, SECOND),
                  end("KILLED", SECOND)):  # fmt: skip
        board.apply(event)
    cost = count_forward(PLAN.trials[0].config).flops / 1e9
    assert board_points(board) == {FIRST: (0.25, pytest.approx(cost))}

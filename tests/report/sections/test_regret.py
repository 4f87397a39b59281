"""What the stops may have cost, by curves that can be checked by hand."""

import pytest

from sweeps.report.sections.regret import Curve, replay
from sweeps.statistics.regret import weigh_stop


def straight(*bests: float) -> list[Curve]:
    """Curves that rise evenly over four epochs, so that ranks never change."""
    return [{epoch: best * epoch / 4 for epoch in (1, 2, 3, 4)} for best in bests]


def test_where_ranks_never_change_the_best_is_never_lost() -> None:
    found = replay(straight(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), (2,), 3)
    assert found is not None
    assert (found.trials, found.lost, found.regret) == (6, 0.0, 0.0)
    assert 0.5 < found.epochs < 1.0


def test_a_best_that_is_last_at_the_rung_is_lost_unless_it_comes_first() -> None:
    late = {1: 0.0, 2: 0.01, 3: 0.5, 4: 0.9}
    found = replay([*straight(0.4, 0.5, 0.6, 0.7, 0.8), late], (2,), 3)
    assert found is not None
    assert found.lost == pytest.approx(5 / 6, abs=0.08)
    assert found.regret == pytest.approx(0.1 * found.lost)


def test_without_rungs_or_with_few_trials_nothing_can_be_said() -> None:
    assert replay(straight(*[0.5] * 5), (2,), 3) is None
    assert replay(straight(*[0.5] * 6), (), 3) is None


def test_a_thousand_trials_are_replayed_by_a_hundred() -> None:
    found = replay(straight(*[n / 1000 for n in range(1, 1001)]), (2,), 3)
    assert found is not None
    assert (found.trials, found.lost) == (100, 0.0)


def test_the_same_trials_give_the_same_replay() -> None:
    curves = [*straight(0.4, 0.5, 0.6, 0.7, 0.8), {1: 0.0, 2: 0.01, 3: 0.5, 4: 0.9}]
    assert replay(curves, (2,), 3) == replay(curves, (2,), 3)


def test_a_stopped_trial_is_given_the_gains_of_those_that_went_on() -> None:
    curves = [list(curve.values()) for curve in straight(0.2, 0.4, 0.6, 0.8, 1.0, 1.2)]  # from epoch 2: 0.1 to 0.6
    near, far = (weigh_stop(value, 2, curves, 1.2) for value in (0.85, 0.1))
    assert near is not None and far is not None
    assert near.overtaking == pytest.approx(3 / 6)  # 0.85 + 0.4, 0.5, 0.6 are above 1.2
    assert near.regret == pytest.approx((0.05 + 0.15 + 0.25) / 6)
    assert (far.overtaking, far.regret) == (0.0, 0.0)


def test_too_few_full_runs_give_no_chances() -> None:
    assert weigh_stop(0.8, 2, [list(curve.values()) for curve in straight(0.5, 0.6)], 1.0) is None

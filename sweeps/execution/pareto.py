"""Trials that no other beats in accuracy and in cost at once."""

from collections.abc import Mapping

from bddseg.flops import count_forward
from sweeps.execution.progress import TrialTable
from sweeps.statistics.scores import pareto_front
from sweeps.storage.outcomes import TrialState

Point = tuple[float, float]
"""Accuracy, where more is better, and cost, where less is."""


def front(points: Mapping[str, Point]) -> list[str]:
    """Return the names of the points on the Pareto front, the cheapest first."""
    return pareto_front(points, lambda name: points[name][1], lambda name: points[name][0])


def board_points(board: TrialTable) -> dict[str, Point]:
    """Return best val/miou and 10^9 operations of a forward pass for each trial that came to its end."""
    configs = {trial.trial_id: trial.config for trial in board.plan.trials}
    done = [row for row in board.rows.values() if row.is_scored and row.state == TrialState.FINISHED]
    return {row.trial_id: (row.best_miou, count_forward(configs[row.trial_id]).flops / 1e9) for row in done}

"""Exports the progress of a sweep as Ray metrics, for example for Prometheus.

A module of its own, since `progress` is imported by commands that must start without Ray.
"""

import math
from collections.abc import Callable

from ray.util.metrics import Gauge

from sweeps.execution.progress import TrialTable
from sweeps.storage.events import TrialEvent
from sweeps.storage.outcomes import TrialState

PREFIX = "sweep_"
"""Ray puts `ray_` before it."""


def _best_miou(board: TrialTable) -> float:
    best = board.best()
    return best.best_miou if best else math.nan


def _seconds_left(board: TrialTable) -> float:
    seconds = board.seconds_left()
    return math.nan if seconds is None else seconds


FIGURES: dict[str, tuple[str, Callable[[TrialTable], float]]] = {
    "epochs_done": ("epochs trained, over all trials", TrialTable.epochs_done),
    "epochs_budget": ("epochs if no more trials are stopped early", TrialTable.epochs_budget),
    "best_miou": ("highest val/miou so far", _best_miou),
    "seconds_left": ("seconds left at most", _seconds_left),
    "trials_to_come": ("trials that are not known yet", lambda board: board.plan.to_follow),
}
"""Name -> description and value; a gauge is not set while its value is NaN."""


class Gauges:
    """Sets one gauge per figure, labelled with the sweep's id, on every event."""

    def __init__(self, board: TrialTable, sweep_id: str) -> None:
        self._board, self._labels = board, {"sweep": sweep_id}
        self._trials = Gauge(PREFIX + "trials", description="trials in a state", tag_keys=("sweep", "state"))
        self._figures = {
            name: Gauge(PREFIX + name, description=description, tag_keys=("sweep",))
            for name, (description, _) in FIGURES.items()
        }

    def apply(self, event: TrialEvent) -> None:
        """Set every gauge to the present state of the table."""
        counts = self._board.counts()
        for state in TrialState:
            self._trials.set(counts[state], self._labels | {"state": state})
        for name, (_, figure_of) in FIGURES.items():
            if not math.isnan(value := figure_of(self._board)):
                self._figures[name].set(value, self._labels)

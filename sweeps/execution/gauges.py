"""Live figures of a sweep as metrics of Ray: what scrapes its nodes (Prometheus, say) has them beside Ray's own."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from ray.util.metrics import Gauge

from sweeps.execution.progress import TrialTable
from sweeps.storage.outcomes import TrialState

PREFIX = "sweep_"
"""Ray puts `ray_` before it."""

FIGURES: dict[str, tuple[str, Callable[[TrialTable], float]]] = {
    "epochs_done": ("epochs trained, over all trials", lambda board: board.epochs_done()),
    "epochs_budget": ("epochs if no more trials are stopped early", lambda board: board.epochs_budget()),
    "best_miou": ("highest val/miou so far", lambda board: best.best_miou if (best := board.best()) else math.nan),
    "seconds_left": ("seconds left at most", lambda board: math.nan if (it := board.seconds_left()) is None else it),
    "trials_to_come": ("trials that are not known yet", lambda board: board.plan.to_follow),
}
"""Name -> what it is, and its value; one that is not known yet is not set."""

TRIALS = ("trials", "trials in a state")


class Gauges:
    """Shows a board as gauges, each with the sweep's id; told of every event, like the other listeners."""

    def __init__(self, board: TrialTable, sweep_id: str) -> None:
        self._board, self._sweep = board, {"sweep": sweep_id}
        name, words = TRIALS
        self._trials = Gauge(PREFIX + name, description=words, tag_keys=("sweep", "state"))
        self._figures = {
            name: Gauge(PREFIX + name, description=words, tag_keys=("sweep",)) for name, (words, _) in FIGURES.items()
        }

    def apply(self, event: Mapping[str, Any]) -> None:
        """Set every gauge to what the board has come to."""
        counts = self._board.counts()
        for state in TrialState:
            self._trials.set(counts[state], self._sweep | {"state": state})
        for name, (_, value) in FIGURES.items():
            if not math.isnan(found := value(self._board)):
                self._figures[name].set(found, self._sweep)

"""Evidence -> verdict: who leads or has won, with intervals, or that nobody can tell. Nothing is read or written."""

from collections.abc import Sequence

from sweeps.findings import Candidate, Finalist, Gap, Interval, Needed, Rival, Scenes, Slice, Verdict

__all__ = [
    "Candidate",
    "Finalist",
    "Gap",
    "Interval",
    "Needed",
    "Rival",
    "Scenes",
    "Slice",
    "Verdict",
    "confirm",
    "screen",
]


def screen(
    candidates: Sequence[Candidate],
    *,
    margin: float = 0.005,
    scene_margin: float = 0.02,
    draws: int = 10_000,
    seed: int = 0,
) -> Verdict:
    """Return the verdict over trials that were run once each."""
    raise NotImplementedError


def confirm(
    finalists: Sequence[Finalist],
    *,
    margin: float = 0.005,
    scene_margin: float = 0.02,
    draws: int = 10_000,
    seed: int = 0,
) -> Verdict:
    """Return the verdict over finalists that were trained anew, run by run on the same folds."""
    raise NotImplementedError

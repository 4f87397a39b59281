"""Simulated screenings with replicates: each setting once, then two further seeds of each of the two best."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from sweeps.statistics.alignment import score_of
from sweeps.statistics.results import Candidate

BEST, MORE = 2, 2


def replicate(
    settings: int, train: Callable[[int, int], Candidate], best: int = BEST, more: int = MORE
) -> list[Candidate]:
    """Return the candidates of a screening; `train` gives a run of a setting, by the numbers of setting and run."""
    first = [_named(train(setting, 0), setting, 0) for setting in range(settings)]
    scores = [score_of(candidate.evidence) for candidate in first if candidate.evidence]
    chosen = np.argsort(scores)[::-1][:best]
    later = [_named(train(int(setting), run), int(setting), run) for setting in chosen for run in range(1, 1 + more)]
    return [*first, *later]


def _named(candidate: Candidate, setting: int, run: int) -> Candidate:
    return replace(candidate, trial_id=f"setting{setting}-{run}", setting=f"setting{setting}", name="")


def excluded(tied: Sequence[str], settings: int) -> bool:
    """Return whether any of equal settings was excluded."""
    return len(tied) < settings

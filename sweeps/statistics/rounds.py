"""Rounds of a confirmation: one more run of each finalist in question, until the verdict is decided."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

CONFIRMING_RUNS = 5
"""Default runs of each finalist."""

FOLDS = 10
"""Folds of one cut of the images: a run trains on nine tenths of them, and ten runs score all of them."""

MOST_RUNS_TRAINED = 30
"""Runs of a finalist that rounds train at most: three cuts. More gain nothing, since runs share training images."""

FIRST_LOOK = 2
"""Runs of each finalist before the first look: with one there is no spread between runs."""

LEVELS = ((2, 0.01), (6, 0.02))
LAST_LEVEL = 0.005
"""Of looks after so many runs, and of all later ones. All looks together are wrong in less than 5 %
(benchmarks/RESULTS.md): they look at the same runs again, so that their errors are much the same.

Most is spent where most is decided. After two runs the noise is hardly measured. Sources: Lan and DeMets 1983, Discrete
sequential boundaries for clinical trials, Biometrika 70(3) (levels that differ between looks); the levels are those
that took the fewest runs in simulation.
"""


@dataclass(frozen=True)
class Rounds:
    """The rules by which a confirmation adds rounds."""

    folds: int = FOLDS
    most: int = MOST_RUNS_TRAINED
    """Runs of a finalist at most."""
    alpha: float = 0.0
    """One level for all looks, as it was recorded; 0: LEVELS."""
    margin: float = 0.005
    """A difference in mIoU that does not matter, as a fraction of 1."""
    hours: float = 0.0
    """Hours after which no round may end; 0: no limit."""

    def level(self, runs: int) -> float:
        """Return the significance level of the look after a number of runs."""
        levels = (level for most, level in LEVELS if runs <= most)
        return self.alpha or next(levels, LAST_LEVEL)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def recorded(cls, confirmation: Any) -> Self | None:
        """Return the rounds of a confirmation as a manifest records it; None where the number of runs is fixed."""
        values = confirmation.get("rounds") if isinstance(confirmation, Mapping) else None
        return cls(**values) if isinstance(values, Mapping) else None

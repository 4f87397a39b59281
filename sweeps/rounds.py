"""How a confirmation goes on until it is decided: in rounds of one run of each finalist that is still in question."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

FOLDS = 10
"""Of one cut of the images; a run trains on nine tenths of them, and ten runs have judged them all."""

MOST_RUNS = 30
"""Of a finalist: three cuts. Beyond, what runs have in common leaves nothing to gain."""

FIRST_LOOK = 2
"""Runs of each finalist before the first look: with one there is no spread between runs."""

LOOK_ALPHA = 0.0125
"""Level of each look. All looks together are wrong in less than 5 % (benchmarks/RESULTS.md): they look at the same runs
again, so that their errors are much the same.

Source: Pocock 1977, Group sequential methods in the design and analysis of clinical trials, Biometrika 64(2): one
level for all looks. Boundaries that begin stricter took half a run to two runs more (benchmarks/RESULTS.md).
"""


@dataclass(frozen=True)
class Rounds:
    """How a confirmation goes on."""

    folds: int = FOLDS
    most: int = MOST_RUNS
    """Runs of a finalist at most."""
    alpha: float = LOOK_ALPHA
    margin: float = 0.005
    """A difference in mIoU that does not matter, as a fraction of 1."""
    hours: float = 0.0
    """No round begins that would end later than so many hours of running; 0: as long as it takes."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def recorded(cls, manifest: Mapping[str, Any]) -> Self | None:
        """Return what a sweep's manifest says; None where its runs are settled beforehand."""
        confirmation = manifest.get("confirmation")
        values = confirmation.get("rounds") if isinstance(confirmation, Mapping) else None
        return cls(**values) if isinstance(values, Mapping) else None

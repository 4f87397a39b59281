"""Measurements of contenders in alternating rounds: timings, spread, and figures with their targets."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True)
class Timing:
    """Duration of some work."""

    wall: float
    """Seconds on the clock."""
    cpu: float
    """Seconds of processor time of this process, all threads."""

    def on(self, clock: str) -> float:
        """Return the seconds by the clock of that name, wall or cpu."""
        return {"wall": self.wall, "cpu": self.cpu}[clock]


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the spread of at least one value; one that is not a number makes all of it so."""
        if any(math.isnan(value) for value in values):
            return cls(math.nan, math.nan, math.nan)
        return cls(statistics.median(values), min(values), max(values))

    def text(self, unit: str = "") -> str:
        """Return the median with the lowest and the highest value."""
        return f"{self.median:.3g}{unit} ({self.low:.3g}-{self.high:.3g})"


@dataclass(frozen=True)
class Figure:
    """A figure of a scenario and its target."""

    name: str
    value: float
    target: float
    rounds: int
    kind: str = "ratio"
    """ratio, or value for an absolute one."""
    at_most: bool = False
    """The target is a ceiling, not a floor."""

    @property
    def shown(self) -> float:
        """The value to two decimals, rounded to our disadvantage: the printed value is the judged one."""
        if not math.isfinite(self.value):
            return self.value
        direction = ROUND_CEILING if self.at_most else ROUND_FLOOR
        return float(Decimal(str(self.value)).quantize(Decimal("0.01"), direction))

    @property
    def passes(self) -> bool:
        """Whether the target is met; a missing value does not meet it."""
        return self.shown <= self.target if self.at_most else self.shown >= self.target

    def line(self) -> str:
        """Return the figure as one line, for people and for `grep`."""
        return f"{self.name} {self.kind}={self.shown:.2f} target={self.target:.2f} rounds={self.rounds}"


def time_of(work: Callable[[], object], synchronise: Callable[[], object] = lambda: None) -> Timing:
    """Return the duration of the work; `synchronise` waits for a device before and after it."""
    synchronise()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    synchronise()
    return Timing(time.perf_counter() - wall, time.process_time() - cpu)


def interleave(contenders: Mapping[K, Callable[[], T]], rounds: int) -> dict[K, list[T]]:
    """Return the results of every contender by round; each round runs every contender once, in order."""
    results: dict[K, list[T]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, turn in contenders.items():
            results[name].append(turn())
    return results


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> Spread:
    """Return the ratio of their time to ours, round by round."""
    return Spread.of([their / our for their, our in zip(theirs, ours, strict=True)])


def exit_code(figures: Sequence[Figure]) -> int:
    """Return 0 when every figure meets its target, 1 otherwise."""
    return 0 if all(figure.passes for figure in figures) else 1

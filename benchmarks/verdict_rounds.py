"""V8 confirmations that continue until they decide, simulated and compared with a fixed number of runs.

Each look is `sweeps.execution.interim_analysis.look` on all runs so far. A confirmation that continues detects more
than one that ends after five runs, so both are compared at equal power: with the fixed number of runs that detects a
lead equally often.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.measuring import Figure
from benchmarks.simulated_evidence import World, logit_of
from benchmarks.verdict_simulated import FIVE, allowed, of_fold
from benchmarks.verdict_simulated import FOLD as WHOLE
from sweeps.execution.interim_analysis import look
from sweeps.statistics.rounds import FIRST_LOOK, Rounds
from sweeps.statistics.verdict import confirm

DRAWS = 1000
FOLD = replace(WHOLE, images_per_drive=2, own_sd=0.35)
"""Of five. Fewer images with less noise each take less time, and differ as much."""

NOISES, FINALISTS = (0.6, 4.0), (2, 4)
RISE = 1.5
"""Of learning curves over their last third, in units of the noise; good settings that were measured have 1.3 to 8."""

SAVING = 25.0
POWERS = (0.8, 0.95)
"""At the leads that five runs find so often."""

MOST_FIXED = 20
ROUNDS = Rounds()


@dataclass(frozen=True)
class Ended:
    """How one confirmation ended."""

    ending: str
    remaining: tuple[str, ...]
    excluded: tuple[str, ...]
    runs: float
    """Of a finalist, the mean."""


def confirm_until(world: World, skills: Sequence[float], seed: int, rounds: Rounds = ROUNDS) -> Ended:
    """Return the end of a confirmation that continues until it decides; `world` is that of one of its folds."""
    progress, active = world.rounds(skills, seed, rounds.folds), tuple(range(len(skills)))
    for _ in range(FIRST_LOOK - 1):
        progress.train(active)
    while True:
        progress.train(active)
        seen = look(progress.finalists(active), rounds, draws=DRAWS, seed=seed)
        active = tuple(int(name.removeprefix("trial")) for name in seen.remaining)
        if seen.ending:
            spent = sum(map(len, progress.runs.values())) / len(skills)
            excluded = {f"trial{setting}" for setting in range(len(skills))} - set(seen.remaining)
            return Ended(seen.ending, seen.remaining, tuple(sorted(excluded)), spent)


def finds_first(world: World, skills: Sequence[float], runs: int, seed: int) -> bool:
    """Return whether the first setting is the only leader after a number of runs on as many folds."""
    verdict = confirm(world.confirmation(skills, seed, runs), draws=DRAWS, seed=seed)
    return verdict.outcome == "winner" and verdict.leader == "trial0"


@dataclass(frozen=True)
class Compared:
    """Confirmations that continue until they decide, compared with a fixed number of runs, at one lead."""

    title: str
    lead: float
    """In points."""
    five: float
    """In how many of 100 five runs of each find the best."""
    until: float
    """In how many of 100 those that continue do."""
    runs: float
    """That they take of each finalist, on average."""
    equal: int
    """Fixed number of runs that finds it as often."""

    @property
    def saving(self) -> float:
        """Return the percentage of runs that is saved at equal power."""
        return 100 * (1 - self.runs / self.equal)

    def row(self) -> tuple[str, ...]:
        """Return what a table shows of it."""
        values = f"{self.lead:.2f}", f"{self.five:.0f}", f"{self.until:.0f}", f"{self.runs:.2f}", str(self.equal)
        return self.title, *values, f"{self.saving:.0f}"


COLUMNS = ("lead", "found by five %", "found %", "runs of each", "as often by", "saving %")


def same(finalists: int, noise: float, sweeps: int) -> tuple[Figure, float]:
    """Return how often confirmations of equal finalists exclude any, and the runs that they take of each."""
    world = replace(of_fold(FOLD, ROUNDS.folds), run_sd=logit_of(noise), rise=RISE)
    ended = [confirm_until(world, [0.0] * finalists, seed) for seed in range(sweeps)]
    false = 100 * float(np.mean([bool(confirmation.excluded) for confirmation in ended]))
    name = f"V8 until decided a/a k={finalists} noise={noise:g} excluded % (5 and two standard errors)"
    return Figure(name, false, allowed(sweeps), sweeps, "value", at_most=True), float(
        np.mean([run.runs for run in ended])
    )


def compare(finalists: int, noise: float, power: float, sweeps: int) -> Compared:
    """Return both kinds of confirmation at the lead that five runs find with this power."""
    world = replace(FOLD, run_sd=logit_of(noise), rise=RISE)
    lead = _lead_found(world, finalists, power, sweeps)
    skills = [world.skill_for(lead), *[0.0] * (finalists - 1)]
    ended = [confirm_until(of_fold(world, ROUNDS.folds), skills, seed) for seed in range(sweeps)]
    until = float(
        np.mean([confirmation.ending == "decided" and confirmation.remaining == ("trial0",) for confirmation in ended])
    )
    runs = float(np.mean([run.runs for run in ended]))
    title = f"k={finalists} noise={noise:g}"
    five = _power(world, skills, FIVE, sweeps)
    return Compared(title, 100 * lead, 100 * five, 100 * until, runs, _equal(world, skills, until, sweeps))


def _power(world: World, skills: Sequence[float], runs: int, sweeps: int) -> float:
    fold = of_fold(world, runs)
    return float(np.mean([finds_first(fold, skills, runs, seed) for seed in range(sweeps)]))


def _lead_found(world: World, finalists: int, power: float, sweeps: int) -> float:
    """Return the lead that five runs find with this power."""
    low, high = 0.0, min(0.25, 10 * world.run_sd)
    while high - low > 0.02 * high:
        middle = (low + high) / 2
        skills = [world.skill_for(middle), *[0.0] * (finalists - 1)]
        low, high = (middle, high) if _power(world, skills, FIVE, sweeps) < power else (low, middle)
    return high


def _equal(world: World, skills: Sequence[float], power: float, sweeps: int) -> int:
    """Return the smallest fixed number of runs that finds the best as often; MOST_FIXED if none does."""
    enough = (runs for runs in range(3, MOST_FIXED) if _power(world, skills, runs, sweeps) >= power)
    return next(enough, MOST_FIXED)


def figures_of(sweeps: int) -> tuple[list[tuple[str, ...]], list[Figure]]:
    """Return the rows of a table and what is judged."""
    pairs = [(finalists, noise) for finalists in FINALISTS for noise in NOISES]
    equal = [same(*pair, sweeps) for pair in pairs]
    for figure, _ in equal:
        print(figure.line(), file=sys.stderr, flush=True)
    compared = [compare(*pair, power, sweeps) for pair in pairs for power in POWERS]
    title = "V8 until decided {0.title} lead={0.lead:.2f} saving at equal power %"
    savings = [Figure(title.format(comparison), comparison.saving, SAVING, sweeps, "value") for comparison in compared]
    return [comparison.row() for comparison in compared], [*(figure for figure, _ in equal), *savings]

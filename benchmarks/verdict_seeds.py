"""V7 verdicts on recorded seeds: many real trainings of a few settings, presented as sweeps of equal settings.

Nothing is simulated but which seed is taken for which: noise between seeds, their curves and their counts per image are
those of real trainings (`benchmarks.record_seeds`), so that the verdict's assumptions about noise are tested.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.measuring import Figure
from benchmarks.record_seeds import BUDGETS, FOLDER, SETTINGS, Seeds, load_seeds
from benchmarks.replicated import BEST, MORE, excluded, replicate
from sweeps.statistics.alignment import score_of
from sweeps.statistics.results import Candidate, Finalist, Verdict
from sweeps.statistics.verdict import confirm, screen

TABLES = ("real", "streets")
COPIES = (2, 6, 8)
FINALISTS = (2, 4)
DRAWS = 500
MOST_FALSE = 5.0
"""Percent of sweeps of equal settings in which any of them may be excluded."""

GOOD, POOR = (list(SETTINGS).index(name) for name in ("lr 3e-3", "lr 3e-5"))
"""Some 40 points apart."""

COLUMNS = ("sweeps", "false %", "alone ahead %", "half-width", "noise used", "noise measured")


@dataclass(frozen=True)
class Shares:
    """Error rates of many sweeps of one kind."""

    name: str
    sweeps: int
    false: float
    """In how many of 100 any setting was excluded."""
    decided: float
    """In how many of 100 one was alone ahead."""
    width: float
    """Median half-width of a difference, in points."""
    sd: float
    """Median of the noise that the verdicts used, in points."""
    measured: float
    """Standard deviation between all seeds of a setting, pooled over the settings, in points."""

    def row(self) -> tuple[str, ...]:
        """Return what a table shows of it."""
        values = (self.false, self.decided, self.width, self.sd, self.measured)
        return (self.name, str(self.sweeps), *(f"{value:.1f}" for value in values))


def tables() -> Iterator[tuple[str, Seeds]]:
    """Yield the recorded tables that are there."""
    for name in TABLES:
        path = FOLDER / f"seeds_{name}.npz"
        if path.is_file():
            yield name, load_seeds(path)


def screen_copies(seeds: Seeds, setting: int, copies: int, budget: int, sweeps: int) -> list[Verdict]:
    """Return the verdicts on sweeps of copies of one setting, with randomly assigned seeds."""

    def verdict(deal: np.ndarray, seed: int) -> Verdict:
        spare = iter(deal[copies:])

        def train(copy: int, run: int) -> Candidate:
            return candidate(seeds, setting, int(deal[copy] if run == 0 else next(spare)), budget)

        return screen(replicate(copies, train), draws=DRAWS, seed=seed)

    generator = np.random.default_rng([setting, copies, budget])
    return [verdict(generator.permutation(seeds.seeds), sweep) for sweep in range(sweeps)]


def screen_two(seeds: Seeds, sweeps: int) -> list[Verdict]:
    """Return the verdicts on sweeps of a good and a poor setting."""
    generator = np.random.default_rng(0)

    def verdict(seed: int) -> Verdict:
        deals = [generator.permutation(seeds.seeds) for _ in range(2)]

        def train(number: int, run: int) -> Candidate:
            return candidate(seeds, (GOOD, POOR)[number], int(deals[number][run]), BUDGETS[-1])

        return screen(replicate(2, train), draws=DRAWS, seed=seed)

    return [verdict(sweep) for sweep in range(sweeps)]


def confirm_copies(seeds: Seeds, setting: int, copies: int, sweeps: int) -> list[Verdict]:
    """Return the verdicts on confirmations of copies of one setting, with seeds assigned at random in each fold."""
    generator = np.random.default_rng([setting, copies])

    def verdict(seed: int) -> Verdict:
        deals = [generator.permutation(seeds.run_seeds) for _ in range(seeds.folds)]
        finalists = [
            Finalist(
                f"copy{copy}", tuple(seeds.run(setting, int(deals[fold][copy]), fold) for fold in range(seeds.folds))
            )
            for copy in range(copies)
        ]
        return confirm(finalists, draws=DRAWS, seed=seed)

    return [verdict(sweep) for sweep in range(sweeps)]


def candidate(seeds: Seeds, setting: int, seed: int, budget: int) -> Candidate:
    """Return one training as a screening has it."""
    curve = tuple(float(value) for value in seeds.curves[setting, seed, :budget])
    return Candidate(f"seed{seed}", seeds.evidence(setting, seed, budget), curve=curve)


def summarise(name: str, verdicts: list[Verdict], copies: int, measured: float) -> Shares:
    """Return the shares of sweeps whose settings are all equal."""
    widths = [rival.difference.high - rival.difference.estimate for verdict in verdicts for rival in verdict.rivals[1:]]
    return Shares(
        name,
        len(verdicts),
        100 * float(np.mean([excluded(verdict.tied, copies) for verdict in verdicts])),
        100 * float(np.mean([verdict.outcome in ("leader", "winner") for verdict in verdicts])),
        100 * float(np.median(widths)),
        100 * float(np.median([verdict.noise.sd or np.nan for verdict in verdicts])),
        100 * measured,
    )


def measure(table: str, seeds: Seeds, sweeps: int) -> list[Shares]:
    """Return the shares of every kind of sweep on one table, settings together; kinds that lack seeds are left out."""
    shares, settings = [], range(len(seeds.settings))
    for budget in BUDGETS:
        sd = float(np.sqrt(seeds.curves[:, :, :budget].max(2).var(1, ddof=1).mean()))
        for copies in (copies for copies in COPIES if copies + min(copies, BEST) * MORE <= seeds.seeds):
            verdicts = [
                verdict for setting in settings for verdict in screen_copies(seeds, setting, copies, budget, sweeps)
            ]
            shares.append(summarise(f"a/a {table} k={copies} epochs={budget}", verdicts, copies, sd))
    for copies in (finalists for finalists in FINALISTS if finalists <= seeds.run_seeds):
        verdicts = [verdict for setting in settings for verdict in confirm_copies(seeds, setting, copies, sweeps)]
        sd = run_sd(seeds)
        shares.append(summarise(f"a/a {table} confirmation k={copies} epochs={BUDGETS[-1]}", verdicts, copies, sd))
    return shares


def run_sd(seeds: Seeds) -> float:
    """Return the standard deviation between runs of a setting on one fold, pooled over settings and folds."""
    scores = [
        [score_of(seeds.run(setting, seed, fold)) for seed in range(seeds.run_seeds)]
        for setting in range(len(seeds.settings))
        for fold in range(seeds.folds)
    ]
    return float(np.sqrt(np.var(scores, axis=1, ddof=1).mean()))


def figures(table: str, seeds: Seeds, shares: list[Shares], sweeps: int) -> list[Figure]:
    """Return what is judged."""
    apart = [verdict.outcome == "leader" for verdict in screen_two(seeds, sweeps)]
    return [
        *(Figure(f"V7 {share.name}", share.false, MOST_FALSE, share.sweeps, "value", at_most=True) for share in shares),
        Figure(f"V7 apart {table} 40 points", 100 * float(np.mean(apart)), 100.0, sweeps, "value"),
    ]

"""Replays recorded learning curves: epochs that each scheduler spends, and whether the best trial survives.

    python -m benchmarks.replay                    # 200 shuffled orders per table, about 2 minutes
    python -m benchmarks.replay --orders 20

A discrete-event driver stands in for Ray: it asks the very scheduler classes that a sweep uses which trial gets a free
slot, and tells them every epoch of a trial as it was recorded. A trial's epochs take equally long, but some trials are
faster than others, by up to a quarter. The reference comes first, the rest is shuffled by seed, as in a plan. Printed
per table, scheduler and number of slots:

    replay real asha_promote slots=2 epochs=0.27 kept=0.97 wall=0.31 orders=200 target=0.30/0.95

`epochs` is the mean share of the full grid's epochs, the reference and every other protected trial counted; `kept` the
share of orders in which the true best trial, or one that is statistically tied with it, was trained to the end; `wall`
the time to the end of the sweep as a share of the full grid's on as many slots. Exit code 1 when no scheduler of ours
meets the target on every recorded table with every number of slots; the random halves of those tables and the
synthetic family are shown beside them.
"""

import argparse
import heapq
import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from bddseg.result import OBJECTIVE
from benchmarks.record_curves import FOLDER, Table, load_table
from sweeps.schedulers.asha_promote import AshaPromote
from sweeps.schedulers.hyperband import Hyperband
from sweeps.schedulers.median import Median
from sweeps.schedulers.rungs import BEST, Schedule
from sweeps.schedulers.scheduler import Asha, HalvingSetup

ORDERS, SLOTS = 200, (2, 4)
EPOCHS_TARGET, KEPT_TARGET = 0.30, 0.95
RESAMPLES, CONFIDENCE = 2000, 0.95

PACES = (0.8, 1.25)
"""Shortest and longest time that an epoch of a trial takes; drawn per trial and order."""

SYNTHETIC_FAMILIES, SYNTHETIC_TRIALS, SYNTHETIC_EPOCHS = 50, 48, 20
SYNTHETIC_NOISE, SYNTHETIC_MARGIN = 0.01, 0.02


@dataclass(frozen=True, eq=False)
class Curves:
    """A full grid as a replay needs it."""

    name: str
    values: np.ndarray
    """(T, E), val/miou after every epoch."""
    models: tuple[str, ...]
    reference: int
    winners: frozenset[int]
    """Rows of the best trial and of those tied with it."""

    @property
    def budget(self) -> int:
        """Return the epochs of one trial."""
        return int(self.values.shape[1])

    @property
    def full(self) -> int:
        """Return the epochs that the whole grid took; a trial that diverged took none after that."""
        finite = np.isfinite(self.values).sum(1)
        return int(np.minimum(finite + 1, self.budget).sum())


@dataclass(eq=False)
class StandIn:
    """Stand-in for one of Ray's trials, as schedulers see it."""

    row: int
    trial_id: str
    config: dict[str, Any]
    status: str = Trial.PENDING
    epoch: int = 0
    best: float = math.nan
    last_result: dict[str, Any] = field(default_factory=dict)

    def set_status(self, status: str) -> None:
        """Change the status, as Ray's trials do it."""
        self.status = status


class Driver:
    """Stand-in for Ray's controller, with a simulated clock.

    Args:
        scheduler: what is measured.
        curves: the recorded grid.
        order: rows in the order of the plan.
        slots: trials that run at the same time.
        paces: duration of an epoch, by row; without it all take one unit of time.
    """

    def __init__(
        self,
        scheduler: TrialScheduler,
        curves: Curves,
        order: Sequence[int],
        slots: int,
        paces: Sequence[float] | None = None,
    ) -> None:
        self.scheduler, self.curves, self.slots = scheduler, curves, slots
        self.paces = paces or [1.0] * len(curves.values)
        self.trials = [StandIn(row, trial_name(row), {"trial": trial_name(row)}) for row in order]
        self.finished: set[int] = set()
        self.epochs, self.time = 0, 0.0
        self._due: list[tuple[float, int, StandIn]] = []

    def get_trials(self) -> list[StandIn]:
        """Return the trials, in the order of the plan."""
        return self.trials

    def stop_trial(self, trial: StandIn) -> None:
        """End a waiting trial."""
        self.scheduler.on_trial_remove(self, trial)
        trial.status = Trial.TERMINATED

    def run(self) -> None:
        """Run until no trial is running and the scheduler has none to start."""
        for trial in self.trials:
            self.scheduler.on_trial_add(self, trial)
        self._fill()
        while self._due:
            self.time, _, trial = heapq.heappop(self._due)
            self._report(trial)
            self._fill()

    def _fill(self) -> None:
        while len(self._due) < self.slots:
            trial = self.scheduler.choose_trial_to_run(self)
            if trial is None:
                return
            trial.status = Trial.RUNNING
            self._train(trial)

    def _train(self, trial: StandIn) -> None:
        self.epochs += 1
        heapq.heappush(self._due, (self.time + self.paces[trial.row], self.epochs, trial))

    def _report(self, trial: StandIn) -> None:
        trial.epoch += 1
        value = float(self.curves.values[trial.row, trial.epoch - 1])
        reason = "diverged" if value != value else "max_epochs" if trial.epoch == self.curves.budget else ""
        trial.best = max(value, trial.best) if trial.best == trial.best else value
        result: dict[str, Any] = {"epoch": trial.epoch, OBJECTIVE: value, BEST: trial.best}
        result |= {"stop_reason": reason} if reason else {}
        trial.last_result = result
        decision = self.scheduler.on_trial_result(self, trial, result)
        if reason or decision == TrialScheduler.STOP:
            self.scheduler.on_trial_complete(self, trial, result)
            trial.status = Trial.TERMINATED
            if reason == "max_epochs":
                self.finished.add(trial.row)
        elif decision == TrialScheduler.PAUSE:
            trial.status = Trial.PAUSED
        else:
            self._train(trial)


Maker = Callable[[Curves, Sequence[int], int], TrialScheduler]
"""Curves, order of the rows, slots -> a scheduler."""


def halving(kind: Callable[..., TrialScheduler], schedule: Schedule, **more: Any) -> Maker:
    """Return the maker of a scheduler of ours under a schedule."""

    def make(curves: Curves, order: Sequence[int], slots: int) -> TrialScheduler:
        models = {trial_name(row): curves.models[row] for row in order}
        reference, rungs = trial_name(curves.reference), schedule.rungs(curves.budget)
        own = {"slots": slots, **more} if kind is AshaPromote else more
        return kind(HalvingSetup(rungs, schedule.reduction, models, reference), **own)

    return make


def rays(grace: float | None = None, **more: Any) -> Maker:
    """Return the maker of Ray's own ASHA; without a grace, with its defaults."""

    def make(curves: Curves, order: Sequence[int], slots: int) -> TrialScheduler:
        first = {} if grace is None else {"grace_period": max(1, round(grace * curves.budget))}
        return ASHAScheduler(time_attr="epoch", metric=OBJECTIVE, mode="max", max_t=curves.budget, **first, **more)

    return make


OURS: dict[str, Maker] = {
    "asha": halving(Asha, Schedule("asha", 0.1, 3)),
    "asha_promote": halving(AshaPromote, Schedule("asha_promote", 0.1, 3)),
    "asha_promote_reduction2": halving(AshaPromote, Schedule("asha_promote", 0.1, 2)),
    "asha_promote_depth_first": halving(AshaPromote, Schedule("asha_promote", 0.1, 3), breadth_first=False),
    "hyperband": halving(Hyperband, Schedule("hyperband", 0.1, 3)),
    "median": halving(Median, Schedule("median", 0.1, 3)),
}
RAYS: dict[str, Maker] = {
    "ray_asha_defaults": rays(),
    "ray_asha_grace0.1_reduction3": rays(0.1, reduction_factor=3),
}


@dataclass(frozen=True)
class Figure:
    """Means of a scheduler on one table and number of slots over all orders."""

    table: str
    mode: str
    slots: int
    epochs: float
    kept_share: float
    wall: float
    orders: int

    @property
    def is_met(self) -> bool:
        return self.epochs <= EPOCHS_TARGET and self.kept_share >= KEPT_TARGET

    def line(self) -> str:
        """Return the figure as one line of words and numbers."""
        return (
            f"replay {self.table} {self.mode} slots={self.slots} epochs={self.epochs:.3f} kept={self.kept_share:.3f} "
            f"wall={self.wall:.3f} orders={self.orders} target={EPOCHS_TARGET:.2f}/{KEPT_TARGET:.2f}"
        )


def trial_name(row: int) -> str:
    """Return the id of a row's trial."""
    return f"t{row:03d}"


def orders(curves: Curves, number: int) -> list[tuple[list[int], list[float]]]:
    """Return seeded orders of the rows, each with the reference first, and the pace of each row."""
    shuffles = []
    for seed in range(number):
        rng = random.Random(seed)
        rows = [row for row in range(len(curves.values)) if row != curves.reference]
        rng.shuffle(rows)
        shuffles.append(([curves.reference, *rows], [rng.uniform(*PACES) for _ in curves.values]))
    return shuffles


def measure(name: str, families: Sequence[Curves], mode: str, make: Maker, slots: int, number: int) -> Figure:
    """Replay a number of orders, divided among the families, and return the means."""
    share, is_kept, wall = [], [], []
    for curves in families:
        for order, paces in orders(curves, number // len(families)):
            driver = Driver(make(curves, order, slots), curves, order, slots, paces)
            driver.run()
            share.append(driver.epochs / curves.full)
            is_kept.append(bool(driver.finished & curves.winners))
            wall.append(driver.time * slots / curves.full)
    return Figure(name, mode, slots, float(np.mean(share)), float(np.mean(is_kept)), float(np.mean(wall)), len(share))


def resampled(table: Table, resamples: int = RESAMPLES) -> np.ndarray:
    """Return the mIoU of every trial's best epoch on bootstrap samples of the validation images.

    Shape:
        returns: (R, T); a row is one draw, the same for all trials.
    """
    images = table.intersection.shape[1]
    drawn = np.random.default_rng(0).multinomial(images, np.full(images, 1 / images), size=resamples)  # (R, N)
    over, under = (
        np.einsum("rn,tnc->rtc", drawn, counts, optimize=True).astype(np.float64)
        for counts in (table.intersection, table.union)
    )
    return np.nanmean(np.divide(over, under, out=np.full(over.shape, np.nan), where=under > 0), axis=2)


def tied(curves: np.ndarray, scores: np.ndarray, confidence: float = CONFIDENCE) -> frozenset[int]:
    """Return the best trial, and those whose best epoch cannot be distinguished from its own.

    Two trials are tied when the percentile interval of the difference of their `resampled` scores holds 0. Noise
    between runs of the same setting is left out: with it, more would be tied.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    best = int(np.nanargmax(np.nanmax(curves, axis=1)))
    low = np.quantile(scores[:, best, None] - scores, (1 - confidence) / 2, axis=0)
    return frozenset({best, *(int(row) for row in np.flatnonzero(low <= 0))})


def recorded(name: str) -> Curves:
    """Return a recorded table with its winners."""
    table = load_table(FOLDER / f"curves_{name}.npz")
    return Curves(name, table.curves, table.models, table.reference, tied(table.curves, resampled(table)))


def halves(name: str, number: int) -> list[Curves]:
    """Return random halves of a recorded grid, by seed, each with the reference and with winners of its own.

    Promotion hardly depends on the order of a grid; which trials there are to be compared with, it does depend on.
    """
    table = load_table(FOLDER / f"curves_{name}.npz")
    scores, families = resampled(table), []
    other_rows = [row for row in range(len(table.curves)) if row != table.reference]
    for seed in range(number):
        rows = [table.reference, *random.Random(seed).sample(other_rows, len(other_rows) // 2)]
        values = table.curves[rows]
        models = tuple(table.models[row] for row in rows)
        families.append(Curves(f"{name}_halves", values, models, 0, tied(values, scores[:, rows])))
    return families


def synthetic(seed: int) -> Curves:
    """Return a family of power laws that cross, with noise: y = a - b (1 + e / tau)^-p, slower ones higher on average.

    Winners are the best trial and those less than SYNTHETIC_MARGIN behind it.
    """
    rng = np.random.default_rng(seed)
    trials, epoch = SYNTHETIC_TRIALS, np.arange(1, SYNTHETIC_EPOCHS + 1)
    slowness = rng.normal(size=(trials, 1))
    end = 0.65 - 0.12 * np.abs(rng.normal(size=(trials, 1))) + 0.02 * slowness
    tau, power = np.exp(0.3 + 0.6 * slowness), rng.uniform(0.8, 2.0, (trials, 1))
    values = end - (end - 0.1) * (1 + epoch / tau) ** -power + rng.normal(0, SYNTHETIC_NOISE, (trials, len(epoch)))
    best = values.max(1)
    models = tuple(("vanilla_unet", "attention_unet")[row % 2] for row in range(trials))
    winners = frozenset(int(row) for row in np.flatnonzero(best >= best.max() - SYNTHETIC_MARGIN))
    return Curves("synthetic", values, models, int(np.argsort(best)[trials // 2]), winners)


def met(figures: Sequence[Figure], tables: Sequence[str]) -> list[str]:
    """Return the schedulers of ours that meet the target on each of the tables, with every number of slots."""
    ours = [figure for figure in figures if figure.mode in OURS and figure.table in tables]
    return [mode for mode in OURS if all(figure.is_met for figure in ours if figure.mode == mode)]


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line per figure, and which schedulers meet the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=ORDERS, metavar="N", help=f"shuffled orders per table ({ORDERS})")
    number = parser.parse_args(argv).orders
    names = [path.stem.removeprefix("curves_") for path in sorted(Path(FOLDER).glob("curves_*.npz"))]
    tables = {name: [recorded(name)] for name in names}
    tables |= {f"{name}_halves": halves(name, number) for name in names}
    tables["synthetic"] = [synthetic(seed) for seed in range(SYNTHETIC_FAMILIES)]
    figures = []
    for name, families in tables.items():
        trials, best = len(families[0].values), np.mean([len(curves.winners) for curves in families])
        _say(f"# {name}: {trials} trials x {families[0].budget} epochs, best or tied with it: {best:g}")
        for mode, make in (OURS | RAYS).items():
            for slots in SLOTS:
                figures.append(measure(name, families, mode, make, slots, number))
                _say(figures[-1].line())
    passing = met(figures, names)
    _say(f"replay met_by={','.join(passing) or 'none'} tables={','.join(names)}")
    return 0 if passing else 1


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())

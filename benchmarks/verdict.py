"""V verdict: is it honest, and is it quick? `python -m benchmarks.verdict`

Simulated sweeps whose truth is known: copies of one setting (A/A) of which none may be crowned, a setting that is
better by the detection limit that the verdict itself prints, intervals that should hold the truth. The noise between
runs is part of the simulation. Ends with what 100 and 1,000 trials of 700 images take.
"""

import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from bddseg.confusion import count_pixels
from bddseg.evidence import Evidence
from benchmarks.rounds import Figure, Spread, time_of
from benchmarks.script import close, machine, parser, positive, show
from benchmarks.simulated import World
from sweeps.statistics.findings import Candidate, Verdict
from sweeps.verdict import confirm, screen

COPIES, DRAWS = 6, 1000
SCREENED, CONFIRMED = World(), World(drives=25)
"""Of a screening all validation images, of a confirmation those of one fold of five."""

SECONDS = {100: 1.5, 1000: 6.0}


@dataclass(frozen=True)
class Tally:
    """What came out of many simulated sweeps of COPIES settings, the first of them better by `lead`."""

    title: str
    verdicts: Sequence[Verdict]
    lead: float
    truth: float
    """mIoU of the others."""

    def share(self, *outcomes: str) -> float:
        """Return in how many of 100 the outcome was one of these."""
        return 100 * float(np.mean([found.outcome in outcomes for found in self.verdicts]))

    @property
    def crowned(self) -> float:
        """Return in how many of 100 one was alone ahead of all."""
        return self.share("leader", "winner")

    @property
    def found(self) -> float:
        """Return in how many of 100 it was the one that is better."""
        return 100 * float(
            np.mean([it.outcome in ("leader", "winner") and it.leader == "trial0" for it in self.verdicts])
        )

    @property
    def limit(self) -> float:
        """Return the detection limit that the verdicts print, on average."""
        return float(np.mean([found.needed.detectable for found in self.verdicts if found.needed]))

    def true_score(self, trial: str) -> float:
        """Return the mIoU that the trial would have over all images and runs."""
        return self.truth + (self.lead if trial == "trial0" else 0.0)

    @property
    def differences_held(self) -> float:
        """Return in how many of 100 all differences to the leader lie in their intervals at once."""
        return 100 * float(np.mean([self._holds(found) for found in self.verdicts]))

    def _holds(self, found: Verdict) -> bool:
        lead = self.true_score(found.leader)
        true = [(rival.difference, self.true_score(rival.trial_id) - lead) for rival in found.rivals]
        return all(interval.low <= value <= interval.high for interval, value in true)

    @property
    def scores_held(self) -> float:
        """Return in how many of 100 the score of a trial lies in its interval."""
        rivals = [rival for found in self.verdicts for rival in found.rivals]
        return 100 * float(np.mean([it.score.low <= self.true_score(it.trial_id) <= it.score.high for it in rivals]))

    @property
    def gaps_held(self) -> float:
        """Return in how many of 100 the gap of the leader, in truth 0, lies in its interval."""
        gaps = [found.scenes.gaps[0].gap for found in self.verdicts if found.scenes]
        return 100 * float(np.mean([gap.low <= 0 <= gap.high for gap in gaps]))

    @property
    def flattery(self) -> tuple[float, float]:
        """Return by how many points the leader's score exceeds the truth, as counted and as corrected."""
        counted = [found.rivals[0].score.estimate - self.true_score(found.leader) for found in self.verdicts]
        corrected = [
            found.corrected.estimate - self.true_score(found.leader) for found in self.verdicts if found.corrected
        ]
        return 100 * float(np.mean(counted)), 100 * float(np.mean(corrected))

    def row(self) -> tuple[str, ...]:
        """Return what a table shows of it."""
        values = (self.crowned, self.share("tie"), self.share("undecided"), self.found if self.lead else math.nan)
        held = (self.differences_held, self.scores_held, self.gaps_held, 100 * self.limit, *self.flattery)
        return (self.title, *(f"{value:.1f}" for value in values), *(f"{value:.2f}" for value in held))


COLUMNS = (
    "", "alone ahead %", "tie %", "undecided %", "found %",
    "differences held %", "scores held %", "gaps held %", "limit", "flattered", "corrected",
)  # fmt: skip


def screen_many(world: World, sweeps: int, title: str, *, lead: float = 0.0, knows_seeds: bool = False) -> Tally:
    """Return the verdicts of so many simulated screenings."""
    skills = [world.skill_for(lead) if lead else 0.0, *[0.0] * (COPIES - 1)]
    found = []
    for seed in range(sweeps):
        candidates = world.screening(skills, seed + (100_000 if lead else 0))
        if knows_seeds:
            candidates = [replace(candidate, setting="one") for candidate in candidates]
        found.append(screen(candidates, draws=DRAWS, seed=seed))
    return Tally(title, found, lead, world.truth(0.0))


def confirm_many(world: World, sweeps: int, title: str, *, lead: float = 0.0) -> Tally:
    """Return the verdicts of so many simulated confirmations, five runs of each finalist."""
    skills = [world.skill_for(lead) if lead else 0.0, *[0.0] * (COPIES - 1)]
    first = 100_000 if lead else 0
    found = [confirm(world.confirmation(skills, first + seed), draws=DRAWS, seed=seed) for seed in range(sweeps)]
    return Tally(title, found, lead, world.truth(0.0))


def gaps_held(world: World, sweeps: int) -> float:
    """Return in how many of 100 screenings of a single trial its gap, in truth 0, lies in the interval of the gap."""
    found = [screen(world.screening([0.0], 200_000 + seed), draws=DRAWS, seed=seed) for seed in range(sweeps)]
    return Tally("", found, 0.0, math.nan).gaps_held


def shuffled(candidates: Sequence[Candidate], seed: int) -> list[Candidate]:
    """Return the same candidates, each with its images in an order of its own."""
    return [replace(it, evidence=_shuffled(it.evidence, seed + at)) for at, it in enumerate(candidates) if it.evidence]


def _shuffled(evidence: Evidence, seed: int) -> Evidence:
    order = list(range(len(evidence.names)))
    random.Random(seed).shuffle(order)
    words = ("names", "scenes", "weathers", "times_of_day")
    changes: dict[str, Any] = {word: tuple(getattr(evidence, word)[place] for place in order) for word in words}
    return replace(evidence, **changes, counts=evidence.counts[order], ignored=evidence.ignored[order])


def difference_to_torchmetrics(seed: int = 0) -> float:
    """Return how far the verdict's mIoU of random pixels is from that of torchmetrics."""
    generator = np.random.default_rng(seed)
    truth, prediction = generator.integers(0, 5, (2, 40, 32, 32))
    prediction = np.where(generator.random(truth.shape) < 0.7, truth, prediction)
    counts = count_pixels(truth, prediction, 5)
    (like,) = SCREENED.evidence([0.0], seed)
    words = {word: getattr(like, word)[:40] for word in ("names", "scenes", "weathers", "times_of_day")}
    evidence = replace(like, **words, counts=counts, ignored=counts[:, 0] * 0)
    found = screen([Candidate("one", evidence)], draws=100).rivals[0].score.estimate
    metric = MulticlassJaccardIndex(5)
    return abs(found - float(metric(torch.from_numpy(prediction), torch.from_numpy(truth))))


def main(argv: list[str] | None = None) -> int:
    """Simulate, measure and print."""
    options = parser(str(__doc__))
    options.add_argument("--sweeps", type=positive, default=500, metavar="N", help="simulated sweeps of each kind")
    options.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="the seconds that are judged")
    arguments = options.parse_args(argv)
    n = arguments.sweeps
    noisy = replace(SCREENED, run_sd=2 * SCREENED.run_sd)
    same = screen_many(SCREENED, n, "screening, noise 0.6 as assumed")
    seeds = screen_many(noisy, n, "screening, noise 1.2, measured on seeds", knows_seeds=True)
    unknown = screen_many(noisy, n, "screening, noise 1.2, assumed to be 0.6")
    better = screen_many(SCREENED, n, "screening, one better by the limit", lead=same.limit)
    runs = confirm_many(CONFIRMED, n, "confirmation")
    ahead = confirm_many(CONFIRMED, n, "confirmation, one better by the limit", lead=runs.limit)
    show(
        f"V verdicts on {n} simulated sweeps of each kind, {COPIES} settings, {DRAWS} draws",
        (f"{COPIES} copies of one setting", *COLUMNS[1:]),
        [tally.row() for tally in (same, seeds, unknown, better, runs, ahead)],
        (
            "limit, flattered and corrected in points; held: of nominally 95",
            "flattered: by what the leader's score exceeds the truth, as counted and as corrected",
        ),
    )
    return close(
        [
            Figure("V1 screening A/A alone ahead %", same.crowned, 7.0, n, "value", at_most=True),
            Figure("V1 screening A/A alone ahead, seeds known %", seeds.crowned, 7.0, n, "value", at_most=True),
            Figure("V2 confirmation A/A crowned %", runs.crowned, 7.0, n, "value", at_most=True),
            Figure("V3 screening finds the limit %", better.found, 80.0, n, "value"),
            Figure("V3 confirmation finds the limit %", ahead.found, 80.0, n, "value"),
            *(
                Figure(f"V4 {stage} {what} held %", value, 93.0, n, "value")
                for stage, tally in (("screening", same), ("confirmation", runs))
                for what, value in (("differences", tally.differences_held), ("scores", tally.scores_held))
            ),
            Figure("V4 screening gaps held %", gaps_held(SCREENED, 4 * n), 93.0, 4 * n, "value"),
            Figure("V4 confirmation gaps held %", runs.gaps_held, 93.0, n, "value"),
            *_exactness(n),
            *_quickness(arguments.rounds, arguments.clock),
        ]
    )


def _exactness(sweeps: int) -> list[Figure]:
    some = min(sweeps, 20)
    made = [SCREENED.screening([0.1, *[0.0] * 5], seed) for seed in range(some)]
    same = [screen(them, draws=DRAWS) == screen(shuffled(them, 7), draws=DRAWS) for them in made]
    far = max(difference_to_torchmetrics(seed) for seed in range(some))
    return [
        Figure("V5 images permuted, verdicts the same", sum(same) / some, 1.0, some),
        Figure("V5 mIoU off torchmetrics, 1e-6", 1e6 * far, 1.0, some, "value", at_most=True),
    ]


def _quickness(rounds: int, clock: str) -> list[Figure]:
    figures, rows = [], []
    for trials, target in SECONDS.items():
        skills = np.random.default_rng(trials).normal(0, 0.1, trials)
        candidates = World(carries_drives=False).screening([float(skill) for skill in skills], 1)
        times = [time_of(lambda them=candidates: screen(them)) for _ in range(rounds)]  # type: ignore[misc]
        spread = {name: Spread.of([time.on(name) for time in times]) for name in ("wall", "cpu")}
        rows.append((f"{trials:,} trials", *(spread[name].words() for name in ("wall", "cpu"))))
        name = f"V6 {trials} trials x 700 images, s clock={clock}"
        figures.append(Figure(name, spread[clock].median, target, rounds, "value", at_most=True))
    show("V6 a screening's verdict, 10,000 draws", ("", "wall s", "cpu s"), rows, (machine(),))
    return figures


if __name__ == "__main__":
    sys.exit(main())

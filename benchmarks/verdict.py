"""V verdict: error rates, coverage, power and speed of verdicts. `python -m benchmarks.verdict`

Simulated sweeps whose truth is known, and recorded seeds of real trainings: equal settings of which none may be
excluded, intervals that should contain the truth, leads that should be detected, confirmations that continue until
they decide. Ends with the time for 100 and 1,000 trials of 700 images.
"""

import random
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from bddseg.confusion import count_pixels
from bddseg.evidence import Evidence
from benchmarks import verdict_rounds, verdict_seeds, verdict_simulated
from benchmarks.cli import close, machine, parser, positive, show
from benchmarks.measuring import Figure, Spread, time_of
from benchmarks.simulated_evidence import World, logit_of
from benchmarks.verdict_simulated import COLUMNS, HELD, SETTINGS, Tally
from sweeps.statistics.results import Candidate, Verdict
from sweeps.statistics.verdict import screen

DRAWS = 1000
MOST_LEAD = 0.2
"""Largest simulated lead: with more, settings would reach the limits of mIoU."""

SECONDS = {100: 1.5, 1000: 6.0}


def shuffled(candidates: Sequence[Candidate], seed: int) -> list[Candidate]:
    """Return the same candidates, each with its images in an order of its own."""
    return [
        replace(candidate, evidence=_shuffled(candidate.evidence, seed + number))
        for number, candidate in enumerate(candidates)
        if candidate.evidence
    ]


def _shuffled(evidence: Evidence, seed: int) -> Evidence:
    order = list(range(len(evidence.names)))
    random.Random(seed).shuffle(order)
    taken = _take(evidence, order)
    return replace(taken, counts=evidence.counts[order], ignored=evidence.ignored[order])


def _take(evidence: Evidence, order: Sequence[int]) -> Evidence:
    """Return evidence with the names and attributes of some images; its counts are not those of them yet."""
    attributes = {key: tuple(values[index] for index in order) for key, values in evidence.attributes.items()}
    names, classes = tuple(evidence.names[index] for index in order), len(evidence.classes)
    empty = np.zeros((len(names), classes, classes), dtype=np.int64)
    return replace(evidence, names=names, attributes=attributes, counts=empty, ignored=empty[:, 0])


def difference_to_torchmetrics(seed: int = 0) -> float:
    """Return how far the verdict's mIoU of random pixels is from that of torchmetrics."""
    generator = np.random.default_rng(seed)
    truth, prediction = generator.integers(0, 5, (2, 40, 32, 32))
    prediction = np.where(generator.random(truth.shape) < 0.7, truth, prediction)
    counts = count_pixels(truth, prediction, 5)
    (like,) = World().evidence([0.0], seed)
    evidence = replace(_take(like, range(40)), counts=counts, ignored=counts[:, 0] * 0)
    estimate = screen([Candidate("one", evidence)], draws=100).rivals[0].score.estimate
    metric = MulticlassJaccardIndex(5)
    return abs(estimate - float(metric(torch.from_numpy(prediction), torch.from_numpy(truth))))


def gaps_held(noise: float, sweeps: int) -> float:
    """Return in how many of 100 screenings of one setting its gap, in truth 0, lies in the interval of the gap."""
    world = World(run_sd=logit_of(noise), rise=2.5)
    verdicts = [screen(world.replicated([0.0], 200_000 + seed), draws=DRAWS, seed=seed) for seed in range(sweeps)]
    return 100 * float(np.mean([_holds_gap(verdict) for verdict in verdicts]))


def _holds_gap(verdict: Verdict) -> bool:
    assert verdict.scenes
    gap = verdict.scenes.gaps[0].gap
    assert gap.high - gap.low < 2, "an interval that says nothing holds everything"
    return gap.low <= 0 <= gap.high


def main(argv: list[str] | None = None) -> int:
    """Simulate, measure and print."""
    options = parser(str(__doc__))
    options.add_argument("--sweeps", type=positive, default=200, metavar="N", help="simulated sweeps of each kind")
    options.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    options.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="the seconds that are judged")
    arguments = options.parse_args(argv)
    figures: list[Figure] = []
    for name in arguments.only:
        figures += PARTS[name](arguments.sweeps, arguments.rounds, arguments.clock)
    return close(figures)


def _tabled(title: str, pairs: Iterable[tuple[Tally, list[Figure]]]) -> tuple[list[Tally], list[Figure]]:
    """Print a table of what was simulated; return it with its figures."""
    rows = []
    for tally, figures in pairs:
        for figure in figures:
            print(figure.line(), file=sys.stderr, flush=True)
        rows.append((tally, figures))
    notes = (
        "half-width of the difference to the next best, and limit (the lead that is found in 80 of 100), in points",
    )
    show(title, ("", *COLUMNS), [tally.row() for tally, _ in rows], notes)
    return [tally for tally, _ in rows], [figure for _, figures in rows for figure in figures]


def _same(sweeps: int, _: int, __: str) -> list[Figure]:
    screened = ((tally, [figure]) for tally, figure in verdict_simulated.same_screened(sweeps))
    screenings, figures = _tabled(f"V1 equal settings in {sweeps} screenings each", screened)
    confirmed = ((tally, [figure]) for tally, figure in verdict_simulated.same_confirmed(sweeps))
    confirmations, more = _tabled(f"V2 equal finalists in {sweeps} confirmations each", confirmed)
    few = [tally for tally in screenings if "uneven" not in tally.title and len(tally.true) < max(SETTINGS)]
    stated = verdict_simulated.stated([tally for tally in (*few, *confirmations) if tally.limit < MOST_LEAD])
    stated_figures = _tabled("V3 leads that verdicts on equal settings say they find", stated)[1]
    return [*figures, *more, *stated_figures]


def _coverage(sweeps: int, _: int, __: str) -> list[Figure]:
    figures = _tabled(f"V4 settings that differ, {sweeps} sweeps each", verdict_simulated.coverage(sweeps))[1]
    gaps = [
        Figure(f"V4 screening noise={noise:g} gaps held %", gaps_held(noise, sweeps), HELD, sweeps, "value")
        for noise in (0.6, 4.0)
    ]
    return [*figures, *gaps]


def _power(sweeps: int, _: int, __: str) -> list[Figure]:
    return _tabled(f"V3 leads, {sweeps} sweeps each", verdict_simulated.power(sweeps))[1]


def _until(sweeps: int, _: int, __: str) -> list[Figure]:
    rows, figures = verdict_rounds.figures_of(sweeps)
    show(f"V8 confirmations that continue until they decide, {sweeps} of each", ("", *verdict_rounds.COLUMNS), rows)
    return figures


def _recorded(sweeps: int, _: int, __: str) -> list[Figure]:
    figures: list[Figure] = []
    for table, seeds in verdict_seeds.tables():
        shares = verdict_seeds.measure(table, seeds, sweeps)
        show(
            f"V7 recorded seeds: {table}",
            ("", *verdict_seeds.COLUMNS),
            [share.row() for share in shares],
            (seeds.summary(),),
        )
        figures += verdict_seeds.figures(table, seeds, shares, sweeps)
    return figures


def _exactness(sweeps: int, _: int, __: str) -> list[Figure]:
    some = min(sweeps, 20)
    sweeps_of_equals = [World(rise=1.0).replicated([0.1, *[0.0] * 5], seed) for seed in range(some)]
    same = [screen(them, draws=DRAWS) == screen(shuffled(them, 7), draws=DRAWS) for them in sweeps_of_equals]
    far = max(difference_to_torchmetrics(seed) for seed in range(some))
    return [
        Figure("V5 images permuted, verdicts the same", sum(same) / some, 1.0, some),
        Figure("V5 mIoU off torchmetrics, 1e-6", 1e6 * far, 1.0, some, "value", at_most=True),
    ]


def _quickness(_: int, rounds: int, clock: str) -> list[Figure]:
    figures, rows = [], []
    for trials, target in SECONDS.items():
        skills = np.random.default_rng(trials).normal(0, 0.1, trials)
        candidates = World(carries_drives=False, rise=1.0).replicated([float(skill) for skill in skills], 1)
        times = [time_of(lambda them=candidates: screen(them)) for _ in range(rounds)]  # type: ignore[misc]
        spread = {name: Spread.of([time.on(name) for time in times]) for name in ("wall", "cpu")}
        rows.append((f"{trials:,} trials", *(spread[name].text() for name in ("wall", "cpu"))))
        name = f"V6 {trials} settings x 700 images, s clock={clock}"
        figures.append(Figure(name, spread[clock].median, target, rounds, "value", at_most=True))
    show("V6 a screening's verdict, 10,000 draws", ("", "wall s", "cpu s"), rows, (machine(),))
    return figures


PARTS: dict[str, Callable[[int, int, str], list[Figure]]] = {
    "same": _same,
    "power": _power,
    "coverage": _coverage,
    "until": _until,
    "recorded": _recorded,
    "exactness": _exactness,
    "quickness": _quickness,
}


if __name__ == "__main__":
    sys.exit(main())

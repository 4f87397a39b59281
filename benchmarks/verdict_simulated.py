"""V1 to V4 verdicts on simulated sweeps whose truth is known: false exclusions, coverage, power.

Screenings are made as a sweep makes them, with two further seeds of the two best settings; the noise between runs is
unknown to the verdict. Learning curves are missing, flat, or rise by more than the noise, in turn.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.measuring import Figure
from benchmarks.simulated_evidence import World, logit_of
from sweeps.statistics.alignment import score_of
from sweeps.statistics.power import Design, runs_to_find
from sweeps.statistics.results import Verdict
from sweeps.statistics.verdict import confirm, screen

DRAWS = 500
NOISES = (0.2, 0.6, 1.5, 4.0, 10.0)
"""Between runs, in points."""

SETTINGS = {2: 1.0, 6: 1.0, 48: 0.25}
"""In a screening, and the share of the sweeps that are simulated."""

FINALISTS = (2, 4)
RISES = (None, 0.0, 2.5)
"""Of the curves over their last third, in units of the noise."""

EVEN = World(own_sd=0.55, lasting=0.25, carries_scenes=False)
UNEVEN = replace(EVEN, longest=60, tails=3.0, rare=0.35)
"""Heavy tails of difficulty; the last class is in a third of the drives, which have 1 to 60 images."""

UNEVEN_DRIVES = (10, 20, 60)
FIVE = 5
FOLD = replace(EVEN, drives=25)
"""Of a confirmation, one fold of five."""

WHOLE_FOLD = replace(EVEN, drives=123)
"""The same of 3,075 images, as many as the subset of BDD100K has for training and validation."""

SPREAD = 3.0
"""Points between the best and the worst of settings that differ."""

ALLOWED, HELD, HELD_NAMELESS = 5.0, 93.0, 90.0
FOUND = (75.0, 90.0)
"""Allowed range of detections, in percent, of a lead whose stated power is 80 %."""


@dataclass(frozen=True)
class Tally:
    """Verdicts of many simulated sweeps and the truth."""

    title: str
    verdicts: Sequence[Verdict]
    true: tuple[float, ...]
    """mIoU of each setting, by its number; the first is the best."""

    @property
    def false(self) -> float:
        """Return in how many of 100 a setting was excluded that is no worse than the leader."""
        return self._share(self._excludes_falsely)

    @property
    def ahead(self) -> float:
        """Return in how many of 100 one was alone ahead."""
        return self._share(lambda verdict: verdict.outcome in ("leader", "winner"))

    @property
    def found(self) -> float:
        """Return in how many of 100 it was the best."""
        return self._share(
            lambda verdict: verdict.outcome in ("leader", "winner") and setting_number(verdict.leader) == 0
        )

    @property
    def differences_held(self) -> float:
        """Return in how many of 100 all differences to the leader lie in their intervals at once."""
        return self._share(self._holds)

    @property
    def scores_held(self) -> float:
        """Return in how many of 100 the score of a setting lies in its interval."""
        rivals = [rival for verdict in self.verdicts for rival in verdict.rivals]
        return 100 * float(np.mean([row.score.low <= self._of(row.trial_id) <= row.score.high for row in rivals]))

    @property
    def corrected_held(self) -> float:
        """Return in how many of 100 the leader's score lies in the interval that is corrected for its choice."""
        corrected = [(verdict.corrected, self._of(verdict.leader)) for verdict in self.verdicts]
        return 100 * float(
            np.mean([interval is not None and interval.low <= true <= interval.high for interval, true in corrected])
        )

    @property
    def reach(self) -> float:
        """Return the median half-width of the difference to the next best, in points."""
        differences = [verdict.rivals[1].difference for verdict in self.verdicts]
        return 100 * float(np.median([difference.high - difference.estimate for difference in differences]))

    @property
    def limit(self) -> float:
        """Return the detection limit that the verdicts state, on average, as a fraction."""
        return float(np.mean([verdict.needed.detectable for verdict in self.verdicts if verdict.needed]))

    def row(self) -> tuple[str, ...]:
        """Return what a table shows of it."""
        values = (self.false, self.ahead, self.found, self.differences_held, self.scores_held, self.corrected_held)
        return (self.title, *(f"{value:.1f}" for value in values), f"{self.reach:.2f}", f"{100 * self.limit:.2f}")

    def _share(self, holds: Callable[[Verdict], bool]) -> float:
        return 100 * float(np.mean([holds(verdict) for verdict in self.verdicts]))

    def _of(self, trial: str) -> float:
        return self.true[setting_number(trial)]

    def _excludes_falsely(self, verdict: Verdict) -> bool:
        leader = self._of(verdict.leader)
        return any(not rival.is_tied and self._of(rival.trial_id) >= leader for rival in verdict.rivals)

    def _holds(self, verdict: Verdict) -> bool:
        leader = self._of(verdict.leader)
        pairs = [(rival.difference, self._of(rival.trial_id) - leader) for rival in verdict.rivals]
        return all(interval.low <= value <= interval.high for interval, value in pairs)


COLUMNS = ("false %", "alone ahead %", "best found %", "differences held %", "scores held %", "corrected held %",
           "half-width", "limit")  # fmt: skip


def setting_number(trial: str) -> int:
    """Return the number of the setting that a trial of a simulated sweep is of: 3 for setting3-1 or trial3."""
    match = re.match(r"\D+(\d+)", trial)
    assert match
    return int(match[1])


def allowed(sweeps: int) -> float:
    """Return the percentage that at most 5 % may come to by chance: two standard errors more."""
    return ALLOWED + 100 * 2 * math.sqrt(ALLOWED / 100 * (1 - ALLOWED / 100) / sweeps)


def screen_many(world: World, leads: Sequence[float], sweeps: int, title: str = "") -> Tally:
    """Return the verdicts of screenings of settings with these leads, as fractions; see RISES."""
    skills, verdicts = [world.skill_for(lead) if lead else 0.0 for lead in leads], []
    for seed in range(sweeps):
        drives = UNEVEN_DRIVES[seed % len(UNEVEN_DRIVES)] if world.longest else world.drives
        drawn_world = replace(world, rise=RISES[seed // len(UNEVEN_DRIVES) % len(RISES)], drives=drives)
        verdicts.append(screen(drawn_world.replicated(skills, seed), draws=DRAWS, seed=seed))
    return Tally(title, verdicts, tuple(map(world.truth, skills)))


def confirm_many(world: World, leads: Sequence[float], sweeps: int, title: str = "", runs: int = FIVE) -> Tally:
    """Return the verdicts of confirmations likewise; `world` is that of one fold."""
    skills = [world.skill_for(lead) if lead else 0.0 for lead in leads]
    confirmations = [
        replace(world, rise=RISES[seed % len(RISES)]).confirmation(skills, seed, runs) for seed in range(sweeps)
    ]
    verdicts = [confirm(finalists, draws=DRAWS, seed=seed) for seed, finalists in enumerate(confirmations)]
    return Tally(title, verdicts, tuple(map(world.truth, skills)))


def same_screened(sweeps: int) -> Iterator[tuple[Tally, Figure]]:
    """Yield, of screenings of equal settings, how often any was excluded: in every noise, number and kind of world."""
    for kind, world in (("even", EVEN), ("uneven", UNEVEN)):
        for settings, share in SETTINGS.items():
            for noise in NOISES:
                some = max(1, round(share * sweeps))
                title = f"screening a/a {kind} k={settings} noise={noise:g}"
                tally = screen_many(replace(world, run_sd=logit_of(noise)), [0.0] * settings, some, title)
                yield tally, _false("V1", tally)


def same_confirmed(sweeps: int) -> Iterator[tuple[Tally, Figure]]:
    """Yield the same of confirmations, five runs of each finalist."""
    for finalists in FINALISTS:
        for noise in NOISES:
            title = f"confirmation a/a k={finalists} noise={noise:g}"
            tally = confirm_many(replace(FOLD, run_sd=logit_of(noise)), [0.0] * finalists, sweeps, title)
            yield tally, _false("V2", tally)


def _false(line: str, tally: Tally) -> Figure:
    sweeps = len(tally.verdicts)
    name = f"{line} {tally.title} excluded % (5 and two standard errors)"
    return Figure(name, tally.false, allowed(sweeps), sweeps, "value", at_most=True)


def spread(settings: int) -> list[float]:
    """Return the leads of so many settings that differ, over the worst."""
    return [float(lead) / 100 for lead in np.linspace(SPREAD, 0, settings)]


def coverage(sweeps: int) -> Iterator[tuple[Tally, list[Figure]]]:
    """Yield how often intervals hold the truth, of settings that differ."""
    nameless = replace(EVEN, carries_drives=False)
    kinds = (("even", EVEN, HELD), ("uneven", UNEVEN, HELD), ("without drive names", nameless, HELD_NAMELESS))
    for kind, world, target in kinds:
        for settings in (2, 6):
            for noise in NOISES:
                title = f"screening {kind} k={settings} noise={noise:g}"
                tally = screen_many(replace(world, run_sd=logit_of(noise)), spread(settings), sweeps, title)
                yield tally, _held(tally, target)
    for noise in (0.6, 4.0):
        title = f"confirmation k=4 noise={noise:g}"
        tally = confirm_many(replace(FOLD, run_sd=logit_of(noise)), spread(4), sweeps, title)
        yield tally, _held(tally, HELD)


def _held(tally: Tally, target: float) -> list[Figure]:
    values = (("differences", tally.differences_held), ("scores", tally.scores_held))
    sweeps = len(tally.verdicts)
    return [Figure(f"V4 {tally.title} {measure} held %", value, target, sweeps, "value") for measure, value in values]


def power(sweeps: int) -> Iterator[tuple[Tally, list[Figure]]]:
    """Yield how often leads are found: of two points, of forty, and those that a verdict or a design says it finds."""
    few, whole = (replace(fold, run_sd=logit_of(0.6)) for fold in (FOLD, WHOLE_FOLD))
    yield confirm_many(few, [0.02, 0.0], sweeps, "confirmation of 625 images k=2 noise=0.6 lead=2"), []
    two = confirm_many(whole, [0.02, 0.0], sweeps, "confirmation of 3,075 images k=2 noise=0.6 lead=2")
    yield two, [Figure(f"V3 {two.title} found %", two.found, 80.0, sweeps, "value")]
    for noise in (0.6, 4.0):
        far = screen_many(
            replace(EVEN, run_sd=logit_of(noise)), [0.0, -0.4], sweeps, f"screening k=2 noise={noise:g} lead=40"
        )
        yield far, [Figure(f"V3 {far.title} found %", far.found, 100.0, sweeps, "value")]
    for finalists in FINALISTS:
        lead = 0.017 if finalists < max(FINALISTS) else 0.02
        runs = runs_to_find(lead, finalists, 0.006, image_sd(FOLD, FIVE), rise=0.0)
        assert runs is not None
        title = f"confirmation k={finalists} noise=0.6 lead={100 * lead:.1f} runs of the design={runs}"
        leads = [lead] + [0.0] * (finalists - 1)
        tally = confirm_many(replace(of_fold(FOLD, runs), run_sd=logit_of(0.6)), leads, sweeps, title, runs)
        yield tally, _found(tally)
        for noise in (0.6, 1.5):
            world = replace(FOLD, run_sd=logit_of(noise))
            lead = Design(finalists, FIVE, noise / 100, image_sd(FOLD, FIVE), rise=0.0).smallest_lead()
            title = f"confirmation k={finalists} noise={noise:g} lead of the design={100 * lead:.2f}"
            tally = confirm_many(world, [lead] + [0.0] * (finalists - 1), sweeps, title)
            yield tally, _found(tally)


def stated(copies: Sequence[Tally]) -> Iterator[tuple[Tally, list[Figure]]]:
    """Yield how often the lead is found that the verdicts on equal settings state as their detection limit.

    It may be found more often than stated: a setting that is better is replicated more often than one of equals.
    """
    for tally in copies:
        settings, noise, sweeps = len(tally.true), float(tally.title.rpartition("=")[2]), len(tally.verdicts)
        is_confirmation = tally.title.startswith("confirmation")
        world = replace(FOLD if is_confirmation else EVEN, run_sd=logit_of(noise))
        leads = [tally.limit / 2] + [-tally.limit / 2] * (settings - 1)  # the half of it either way: far from the ends
        stage = "confirmation" if is_confirmation else "screening"
        title = f"{stage} k={settings} noise={noise:g} lead as stated={100 * tally.limit:.2f}"
        better = (confirm_many if is_confirmation else screen_many)(world, leads, sweeps, title)
        yield better, _found(better)[:1]


def _found(tally: Tally) -> list[Figure]:
    low, high = FOUND
    name, sweeps = f"V3 {tally.title} found %", len(tally.verdicts)
    return [
        Figure(f"{name}, at least", tally.found, low, sweeps, "value"),
        Figure(f"{name}, at most", tally.found, high, sweeps, "value", at_most=True),
    ]


def of_fold(world: World, folds: int) -> World:
    """Return the world of one of `folds` folds of the same drives; `world` is that of one of five."""
    return replace(world, drives=round(FIVE * world.drives / folds))


def image_sd(fold: World, folds: int, pairs: int = 60) -> float:
    """Return the standard deviation that the images of all folds leave in the difference of two settings."""
    still = replace(fold, drives=folds * fold.drives, run_sd=0.0)
    scores = [[score_of(run) for run in still.evidence([0.0, 0.0], seed)] for seed in range(pairs)]
    return float(np.std(np.subtract(*np.transpose(scores))))

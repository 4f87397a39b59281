"""Simulated evidence whose truth is known: drives and images differ in difficulty, runs in luck, settings in skill."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from scipy.interpolate import CubicSpline

from bddseg.confusion import miou
from bddseg.evidence import Evidence
from bddseg.task import FIVE_CLASSES
from benchmarks.replicated import replicate
from sweeps.statistics.alignment import score_of
from sweeps.statistics.results import Candidate, Finalist

PIXELS = 4000
"""Of an image, in all classes together."""

LOGIT_PER_POINT = 0.0328 / 0.6
"""One point of mIoU in units of the error rate's logit."""

NODES = 9
"""Of the quadrature over the luck of runs."""

WIDE, LONGEST = 2000, 9
"""Drives, and most images of one, over which a truth is taken."""

MOST_SKILL, STEP = 6.0, 0.25
"""Highest skill of the table from which truths are read, and its step."""


def logit_of(points: float) -> float:
    """Return the standard deviation of the logit for a standard deviation between runs in points."""
    return LOGIT_PER_POINT * points


@dataclass(frozen=True)
class World:
    """Distribution of simulated images and runs; deviations are in units of the error rate's logit."""

    drives: int = 140
    images_per_drive: int = 5
    drive_sd: float = 0.35
    """Between drives, shared by all settings."""
    image_sd: float = 0.5
    own_sd: float = 0.255
    """Between runs on one image: a paired difference of about 3 points an image."""
    lasting: float = 0.0
    """The share of that variance which all runs of a setting have in common."""
    run_sd: float = 0.0328
    """Between runs of a setting, on all images alike: 0.6 points of mIoU."""
    common: float = 0.0
    """The share of the variance of runs which all runs of a setting in a confirmation have in common: they train on
    the same images."""
    carries_drives: bool = True
    carries_scenes: bool = True
    longest: int = 0
    """Drives have from 1 to so many images; 0: all have `images_per_drive`."""
    tails: float = 0.0
    """Degrees of freedom of Student's t from which difficulty is drawn; 0: it is normal."""
    rare: float = 0.0
    """The share of drives that the last class occurs in; 0: in all."""
    rise: float | None = None
    """By how much curves rise over the last third of training, in units of the noise between runs; None: no curves."""

    def sizes(self, seed: int) -> np.ndarray:
        """Return how many images each drive has."""
        if not self.longest:
            return np.full(self.drives, self.images_per_drive)
        return np.random.default_rng([seed, 7]).integers(1, self.longest + 1, self.drives)

    @property
    def images(self) -> int:
        assert not self.longest
        return self.drives * self.images_per_drive

    def draw(self, skills: Sequence[float], seed: int, part: str = "val") -> "Drawn":
        """Return images of this world, and settings that are run on them."""
        generator = np.random.default_rng(seed)
        sizes = self.sizes(seed)
        images = int(sizes.sum())
        mix = generator.dirichlet([6, 4, 3, 3, 1], images)
        truth = np.floor(PIXELS * mix).astype(np.int64)  # (N, C)
        if self.rare:
            has_class = np.repeat(generator.random(self.drives) < self.rare, sizes)
            has_class[: sizes[0] + (sizes[1] if len(sizes) > 1 else 0)] = True  # two drives at least
            truth[~has_class, -1] = 0
        hard = np.repeat(self._draw(generator, self.drive_sd, self.drives), sizes)
        hard = hard + self._draw(generator, self.image_sd, images)
        scenes = generator.choice(["city street", "highway", "residential"], images, p=[0.6, 0.25, 0.15])
        own = common = None
        if self.lasting:
            own = math.sqrt(self.lasting) * self.own_sd * generator.normal(size=(len(skills), *truth.shape))
        if self.common:
            common = math.sqrt(self.common) * self.run_sd * generator.normal(size=len(skills))
        drive = np.repeat(np.arange(len(sizes)), sizes)
        return Drawn(self, part, tuple(skills), self._names(sizes), scenes, drive, truth, hard, own, common, generator)

    def evidence(self, skills: Sequence[float], seed: int, part: str = "val") -> list[Evidence]:
        """Return evidence of one run of each setting, all on the same images."""
        drawn = self.draw(skills, seed, part)
        return [drawn.run(setting) for setting in range(len(skills))]

    def _draw(self, generator: np.random.Generator, sd: float, count: int) -> np.ndarray:
        if not self.tails:
            return generator.normal(0, sd, count)
        return sd * generator.standard_t(self.tails, count) / math.sqrt(self.tails / (self.tails - 2))

    def _names(self, sizes: np.ndarray) -> np.ndarray:
        drives = [f"{drive:08x}-{image:08x}" for drive, size in enumerate(sizes) for image in range(size)]
        return np.asarray(drives if self.carries_drives else [f"frame{number:06d}" for number in range(len(drives))])

    def truth(self, skill: float) -> float:
        """Return the mIoU of a setting over all images and runs there could be."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
        still = replace(self, drives=0, run_sd=0.0, common=0.0, rise=None, carries_drives=True, carries_scenes=False)
        return float(np.average(_scores_by_skill(still)(skill - self.run_sd * nodes), weights=weights))

    def skill_for(self, lead: float) -> float:
        """Return the skill that raises the true mIoU by the lead, or lowers it by a negative one."""
        high = MOST_SKILL - 5 * self.run_sd
        low = -high
        while high - low > 1e-5:
            middle = (low + high) / 2
            low, high = (middle, high) if self.truth(middle) - self.truth(0.0) < lead else (low, middle)
        return high

    def screening(self, skills: Sequence[float], seed: int) -> list[Candidate]:
        """Return the candidates of a screening, one run each."""
        runs = self.evidence(skills, seed)
        return [Candidate(f"trial{number}", evidence) for number, evidence in enumerate(runs)]

    def replicated(self, skills: Sequence[float], seed: int) -> list[Candidate]:
        """Return the candidates of a screening as a sweep makes it, with further seeds of its best."""
        drawn = self.draw(skills, seed)

        def train(setting: int, _: int) -> Candidate:
            evidence = drawn.run(setting)
            return Candidate("", evidence, curve=self.curve(score_of(evidence)))

        return replicate(len(skills), train)

    def curve(self, score: float) -> tuple[float, ...]:
        """Return a learning curve that ends at a score; empty where this world has none."""
        if self.rise is None:
            return ()
        return score - self.rise * self.run_sd / LOGIT_PER_POINT / 100, score

    def confirmation(self, skills: Sequence[float], seed: int, runs: int = 5, folds: int = 0) -> list[Finalist]:
        """Return the finalists of a confirmation after so many runs of each, run by run on the folds of one cut after
        another; `folds` as `sweeps.statistics.verdict.confirm` has it. This world is that of one fold.
        """
        rounds = self.rounds(skills, seed, folds or runs)
        for _ in range(runs):
            rounds.train(range(len(skills)))
        return rounds.finalists(range(len(skills)))

    def rounds(self, skills: Sequence[float], seed: int, folds: int) -> "Progress":
        """Return a confirmation of which nothing was run; this world is that of one fold."""
        return Progress(replace(self, drives=folds * self.drives).draw(skills, seed), folds)


@cache
def _scores_by_skill(world: World) -> CubicSpline:
    """Return the mIoU by skill of a world without noise between runs, from very many images."""
    drawn = replace(world, drives=WIDE, longest=min(world.longest, LONGEST)).draw([0.0], 7)
    skills = np.arange(-MOST_SKILL, MOST_SKILL + STEP, STEP)
    runs = [replace(drawn, skills=(float(skill),)).run(0) for skill in skills]
    return CubicSpline(skills, [miou(run.counts.sum(0)) for run in runs])


@dataclass(frozen=True, eq=False)
class Drawn:
    """Images that were drawn, and settings that are run on them.

    Shape:
        names, scenes, drive, hard: (N,).  truth: (N, C).  own: (T, N, C) or None.  common: (T,) or None.
    """

    world: World
    part: str
    skills: tuple[float, ...]
    names: np.ndarray
    scenes: np.ndarray
    drive: np.ndarray
    truth: np.ndarray
    hard: np.ndarray
    own: np.ndarray | None
    common: np.ndarray | None
    generator: np.random.Generator

    def run(self, setting: int, positions: np.ndarray | None = None) -> Evidence:
        """Return evidence of another run of a setting, on the images at these places or on all."""
        chosen = slice(None) if positions is None else positions
        names, scenes = tuple(self.names[chosen].tolist()), tuple(self.scenes[chosen].tolist())
        counts = self._counts(setting, chosen)
        unknown = ("",) * len(names)
        if not self.world.carries_scenes:
            scenes = unknown
        attributes = {"scene": scenes, "weather": unknown, "timeofday": unknown}
        return Evidence(self.part, 1, names, attributes, counts, self.truth[chosen] * 0, "f" * 16)

    def _counts(self, setting: int, chosen: slice | np.ndarray) -> np.ndarray:
        """Return counts of a run: of each class some pixels are taken for the next class.

        Shape:
            returns: (n, C, C).
        """
        world, truth = self.world, self.truth[chosen]
        images, classes = truth.shape
        luck = self.generator.normal(0, world.run_sd * math.sqrt(1 - world.common))
        base = np.linspace(-2.4, -1.2, classes) - self.skills[setting]
        own_sd = world.own_sd * math.sqrt(1 - world.lasting)
        logit = base + self.hard[chosen, None] + self.generator.normal(0, own_sd, truth.shape) + luck
        if self.own is not None:
            logit += self.own[setting][chosen]
        if self.common is not None:
            logit += self.common[setting]
        wrong = np.rint(truth / (1 + np.exp(-logit))).astype(np.int64)
        counts = np.zeros((images, classes, classes), dtype=np.int64)
        diagonal = np.arange(classes)
        counts[:, diagonal, diagonal] = truth - wrong
        counts[:, diagonal, (diagonal + 1) % classes] = wrong
        return counts


@dataclass(eq=False)
class Progress:
    """A simulated confirmation, round by round: run j of every finalist scores fold j of one cut, then of another."""

    drawn: Drawn
    folds: int
    runs: dict[int, list[Evidence]] = field(default_factory=dict)

    def train(self, settings: Sequence[int]) -> None:
        """Add one run of each of the settings."""
        for setting in settings:
            runs = self.runs.setdefault(setting, [])
            runs.append(self.drawn.run(setting, self._fold(len(runs))))

    def _fold(self, number: int) -> np.ndarray:
        """Return the images of the fold that run `number` scores; drives are whole."""
        cut, fold = divmod(number, self.folds)
        drives = np.random.default_rng(cut).permutation(int(self.drawn.drive[-1]) + 1)
        return np.flatnonzero(np.isin(self.drawn.drive, drives[fold :: self.folds]))

    def finalists(self, settings: Sequence[int]) -> list[Finalist]:
        """Return the settings with all their runs."""
        return [self._finalist(setting, self.runs[setting]) for setting in settings]

    def _finalist(self, setting: int, runs: Sequence[Evidence]) -> Finalist:
        curves = tuple(self.drawn.world.curve(score_of(run)) for run in runs)
        return Finalist(f"trial{setting}", tuple(runs), curves=curves)


assert len(FIVE_CLASSES.classes) == 5

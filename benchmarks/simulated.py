"""Simulated evidence whose truth is known: drives and images differ in difficulty, runs in luck, settings in skill."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from bddseg.confusion import miou
from bddseg.evidence import Evidence
from bddseg.labels import CLASSES
from sweeps.statistics.findings import Candidate, Finalist

PIXELS = 4000
"""Of an image, in all classes together."""


@dataclass(frozen=True)
class World:
    """From which images and runs are drawn; deviations are in units of the error rate's logit."""

    drives: int = 140
    images_per_drive: int = 5
    drive_sd: float = 0.35
    """Between drives, shared by all settings."""
    image_sd: float = 0.5
    own_sd: float = 0.255
    """Between settings on one image: a paired difference of about 3 points an image."""
    run_sd: float = 0.0328
    """Between runs of a setting, on all images alike: 0.6 points of mIoU."""
    carries_drives: bool = True
    longest: int = 0
    """Drives have from 1 to so many images; 0: all have `images_per_drive`."""
    tails: float = 0.0
    """Degrees of freedom of Student's t from which difficulty is drawn; 0: it is normal."""
    rare: float = 0.0
    """The share of drives that the last class occurs in; 0: in all."""

    def sizes(self, seed: int) -> np.ndarray:
        """Return how many images each drive has."""
        if not self.longest:
            return np.full(self.drives, self.images_per_drive)
        return np.random.default_rng([seed, 7]).integers(1, self.longest + 1, self.drives)

    @property
    def images(self) -> int:
        assert not self.longest
        return self.drives * self.images_per_drive

    def evidence(self, skills: Sequence[float], seed: int, part: str = "val") -> list[Evidence]:
        """Return evidence of one run of each setting, all on the same images."""
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
        names = self._names(sizes)
        scenes = tuple(generator.choice(["city street", "highway", "residential"], images, p=[0.6, 0.25, 0.15]))
        words = ("",) * images
        return [
            Evidence(
                part, 1, names, scenes, words, words, self._counts(truth, hard, skill, generator), truth * 0, "f" * 16
            )
            for skill in skills
        ]

    def _draw(self, generator: np.random.Generator, sd: float, count: int) -> np.ndarray:
        if not self.tails:
            return generator.normal(0, sd, count)
        return sd * generator.standard_t(self.tails, count) / math.sqrt(self.tails / (self.tails - 2))

    def _names(self, sizes: np.ndarray) -> tuple[str, ...]:
        drives = [f"{drive:08x}-{image:08x}" for drive, size in enumerate(sizes) for image in range(size)]
        return tuple(drives if self.carries_drives else [f"frame{at:06d}" for at in range(len(drives))])

    def _counts(self, truth: np.ndarray, hard: np.ndarray, skill: float, generator: np.random.Generator) -> np.ndarray:
        """Return counts of a run: of each class some pixels are taken for the next class.

        Shape:
            truth: (N, C).  hard: (N,).  returns: (N, C, C).
        """
        images, classes = truth.shape
        luck = generator.normal(0, self.run_sd)
        base = np.linspace(-2.4, -1.2, classes)
        logit = base + hard[:, None] + generator.normal(0, self.own_sd, truth.shape) + luck - skill
        wrong = np.rint(truth / (1 + np.exp(-logit))).astype(np.int64)
        counts = np.zeros((images, classes, classes), dtype=np.int64)
        at = np.arange(classes)
        counts[:, at, at] = truth - wrong
        counts[:, at, (at + 1) % classes] = wrong
        return counts

    @cache  # noqa: B019 - a handful of worlds
    def truth(self, skill: float) -> float:
        """Return the mIoU of a setting over all images and runs there could be, from very many."""
        wide = replace(self, drives=2000, longest=min(self.longest, 9))
        runs = [miou(wide.evidence([skill], seed)[0].counts.sum(0)) for seed in range(1000, 1020)]
        return float(np.mean(runs))

    def skill_for(self, lead: float) -> float:
        """Return the skill that raises the true mIoU by the lead."""
        low, high = 0.0, 3.0
        while high - low > 1e-4:
            middle = (low + high) / 2
            low, high = (middle, high) if self._gain(middle) < lead else (low, middle)
        return high

    def _gain(self, skill: float) -> float:
        wide = replace(self, drives=2000, longest=min(self.longest, 9), run_sd=0.0)
        (better,), (plain,) = wide.evidence([skill], 7), wide.evidence([0.0], 7)
        return float(miou(better.counts.sum(0)) - miou(plain.counts.sum(0)))

    def screening(self, skills: Sequence[float], seed: int) -> list[Candidate]:
        """Return the candidates of a screening, one run each."""
        found = self.evidence(skills, seed)
        return [Candidate(f"trial{at}", evidence) for at, evidence in enumerate(found)]

    def confirmation(self, skills: Sequence[float], seed: int, runs: int = 5) -> list[Finalist]:
        """Return the finalists of a confirmation, each with a run on every fold."""
        folds = [
            [self._renamed(evidence, fold) for evidence in self.evidence(skills, seed * 1000 + fold)]
            for fold in range(runs)
        ]
        return [Finalist(f"trial{at}", tuple(fold[at] for fold in folds)) for at in range(len(skills))]

    def _renamed(self, evidence: Evidence, fold: int) -> Evidence:
        return replace(evidence, names=tuple(f"{fold:x}{name[1:]}" for name in evidence.names))


assert len(CLASSES) == 5

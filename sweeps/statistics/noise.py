"""Run-to-run noise of a screening: measured where the sweep has several seeds of a setting, otherwise assumed."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweeps.statistics.power import RUN_SD

ASSUMED = RUN_SD / 100
"""Standard deviation of mIoU between seeds of one setting, where it is not measured."""

FREEDOM = 4
"""Degrees of freedom from which a measured noise replaces the assumed one: five seeds of one setting."""

SEED = "train.seed"


@dataclass(frozen=True)
class Noise:
    """How much the score of a setting differs from run to run."""

    sd: float
    freedom: int = 0
    """Degrees of freedom with which it was measured; 0: it is assumed."""

    def draw(self, shape: tuple[int, int], seed: int) -> np.ndarray:
        """Return deviations of scores; of a measured noise they are those of Student's t, since it is but an estimate.

        Shape:
            returns: (T, B), float32.
        """
        generator = np.random.default_rng([seed, 2])
        found = generator.standard_normal(shape, dtype=np.float32)
        if self.freedom:
            found /= np.sqrt(generator.chisquare(self.freedom, shape[1]) / self.freedom).astype(np.float32)
        return found * np.float32(self.sd)


def setting_of(settings: Mapping[str, Any]) -> str:
    """Return what is the same for all seeds of a setting, and for them only; empty where nothing is known of it."""
    known = {key: value for key, value in settings.items() if key != SEED}
    return json.dumps(known, sort_keys=True) if known else ""


def measure_noise(scores: np.ndarray, settings: Sequence[str]) -> Noise:
    """Return the noise from the spread of scores within each setting; an empty setting is one of its own.

    A setting whose seeds all have the same score has collapsed, and measures nothing.

    Shape:
        scores: (T,).
    """
    known = np.asarray(settings)
    groups = [scores[known == name] for name in dict.fromkeys(settings) if name]
    groups = [group for group in groups if np.ptp(group) > 0]
    freedom = sum(len(group) - 1 for group in groups)
    if freedom < FREEDOM:
        return Noise(ASSUMED)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return Noise(math.sqrt(squares / freedom), freedom)

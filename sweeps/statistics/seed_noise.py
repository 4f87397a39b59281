"""Estimate run-to-run noise: how much another seed changes a score. Measured on repeats, or bounded by curves.

One formula for all cases: a scaled inverse chi-squared prior, pooled with every repeat of a setting,

    sd^2 = (n0 s0^2 + sum of squared deviations within settings) / (n0 + f),

and Student's t with n0 + f degrees of freedom, where f counts the repeats (runs of a setting beyond its first).
Source: Smyth 2004, Linear models and empirical Bayes methods for assessing differential expression, Statistical
Applications in Genetics and Molecular Biology 3(1), section 3.

The prior's scale s0 follows the learning curves: a sweep whose best values still rise is one whose seeds still differ.
The rise over the last third of training bounds the noise from above (benchmarks/RESULTS.md has both, measured); it
estimates it but roughly. So the prior is a bound where nothing was repeated, and gives way to an estimate as repeats
come in. Repeats that spread more than it says count for more than it: its degrees of freedom shrink by the ratio of
both variances, or a low prior would make few repeats look like many.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FLOOR = 0.006
"""Of the scale: seeds of converged segmentation networks differ by 0.3 to 1.2 points of mIoU in the literature, and by
no less than 0.6 in 32 of 32 settings that were measured here."""

BOUND_FREEDOM, BOUND_SHARE = 8.0, 1.0
"""Without repeats the prior is a bound: the whole rise, with so many degrees of freedom."""

PRIOR_FREEDOM, PRIOR_SHARE = 2.0, 0.4
"""From ENOUGH repeats on it is an estimate: this share of the rise, which is what seeds of good settings differ by."""

ENOUGH = 4
"""Repeats that turn the bound into an estimate, step by step: two more seeds of each of the two best."""

SHRINKAGE = 4
"""Degrees of freedom with which the pooled noise counts beside a setting's own repeats.

Settings differ in noise by a factor of ten and more, and a setting's own few repeats say little of it.
"""

LAST_PART = 1 / 3
"""Share of the epochs over which the rise of the best value is taken."""

SEED = "train.seed"


@dataclass(frozen=True, eq=False)
class Noise:
    """Run-to-run noise of every setting that is compared.

    Shape:
        own_squares, own_freedom, share: (T,).
    """

    sd: float
    """Pooled standard deviation of one run's score."""
    freedom: float
    """Degrees of freedom of the pooled figure; 0: nothing is known of the noise, not even a bound."""
    repeats: int
    """Degrees of freedom that were measured; 0: the noise is bounded, not measured."""
    rise: float | None
    """By how much the best values rose over the last third of training; None without curves."""
    own_squares: np.ndarray
    """Sum of squared deviations between each setting's own runs."""
    own_freedom: np.ndarray
    share: np.ndarray
    """What a run's variance is multiplied by to be that of the score: 1 / runs, and what runs have in common."""

    @property
    def is_unknown(self) -> bool:
        """Return whether nothing bounds the noise."""
        return self.freedom == 0

    @property
    def is_measured(self) -> bool:
        """Return whether any repeat entered it."""
        return self.repeats > 0

    @property
    def run_variance(self) -> np.ndarray:
        """Return the variance of one run's score of each setting: its own repeats, shrunk towards the pooled noise.

        Shape:
            returns: (T,).
        """
        own = (SHRINKAGE * self.sd**2 + self.own_squares) / (SHRINKAGE + self.own_freedom)
        return np.where(self.own_freedom > 0, own, self.sd**2)

    @property
    def variance(self) -> np.ndarray:
        """Return the variance of each setting's score due to its runs.

        Shape:
            returns: (T,).
        """
        return self.run_variance * self.share

    def draw(self, draws: int, seed: int) -> np.ndarray:
        """Return simulated deviations of scores between runs; of Student's t, since sd is an estimate.

        The pooled variance is drawn once for all settings, that of a setting with repeats around it.

        Shape:
            returns: (T, draws), float32; 0 where nothing is known.
        """
        settings = len(self.share)
        if self.is_unknown:
            return np.zeros((settings, draws), dtype=np.float32)
        generator = np.random.default_rng([seed, 2])
        pooled = self.sd**2 * _inverse_chisquare(generator, self.freedom, draws)  # (draws,)
        deviations = generator.standard_normal((settings, draws), dtype=np.float32)
        scale = np.broadcast_to(pooled, (settings, draws)).astype(np.float32)
        for index in np.flatnonzero(self.own_freedom):
            squares, freedom = self.own_squares[index], SHRINKAGE + self.own_freedom[index]
            scale[index] = (SHRINKAGE * pooled + squares) / generator.chisquare(freedom, draws)
        return deviations * np.sqrt(scale * self.share[:, None].astype(np.float32))


def _inverse_chisquare(generator: np.random.Generator, freedom: float, draws: int) -> np.ndarray:
    """Return draws of freedom / chi-squared; 1 where a variance is known."""
    return freedom / generator.chisquare(freedom, draws) if math.isfinite(freedom) else np.ones(draws)


def setting_of(settings: Mapping[str, Any]) -> str:
    """Return a key that all seeds of a setting share, and only they; empty where no settings are recorded."""
    apart_from_seed = {key: value for key, value in settings.items() if key != SEED}
    return json.dumps(apart_from_seed, sort_keys=True) if apart_from_seed else ""


def rise_of(curves: Sequence[Sequence[float]]) -> float | None:
    """Return by how much the best value rose over the last third of training, as a root mean square over the curves.

    NaN, from where a trial had diverged, is no value. None where no curve has two epochs.
    """
    rises = [rise for curve in curves if (rise := _rise(curve)) is not None]
    return math.sqrt(float(np.mean(np.square(rises)))) if rises else None


def _rise(curve: Sequence[float]) -> float | None:
    values = np.asarray(curve, dtype=float)
    early = values[: max(1, round(len(values) * (1 - LAST_PART)))]
    if len(values) < 2 or not np.isfinite(early).any():
        return None
    return float(np.nanmax(values) - np.nanmax(early))


def estimate_noise(run_scores: Sequence[np.ndarray], curves: Sequence[Sequence[float]]) -> Noise:
    """Return the noise of settings from the scores of their runs and from learning curves of runs that completed.

    Args:
        run_scores: of each setting, (its runs,).
        curves: val/miou by epoch, of every completed run.
    """
    squares = np.asarray([_squares(scores) for scores in run_scores])
    freedom = np.asarray([_freedom(scores) for scores in run_scores])
    counts = np.asarray([max(1, len(scores)) for scores in run_scores], dtype=float)
    return pool_noise(float(squares.sum()), int(freedom.sum()), rise_of(curves), squares, freedom, 1 / counts)


def pool_noise(
    squares: float,
    repeats: int,
    rise: float | None,
    own_squares: np.ndarray,
    own_freedom: np.ndarray,
    share: np.ndarray,
    has_floor: bool = False,
) -> Noise:
    """Return the noise by the formula at the top of this file, from sums of squares and their degrees of freedom.

    Args:
        squares: sum of squared deviations over all repeats.
        repeats: its degrees of freedom.
        rise: of the learning curves, see `rise_of`; None without curves.
        own_squares, own_freedom: the same for each setting alone, (T,).
        share: see `Noise.share`, (T,).
        has_floor: whether there is a prior at FLOOR where there are repeats but no curves: that of flat curves with
            ENOUGH repeats, and less than in proportion to the repeats up to there.
    """
    if rise is None and not repeats:
        return Noise(math.nan, 0, 0, None, own_squares, own_freedom, share)
    variance, freedom = (float(value) for value in pool_variance(np.asarray(squares), repeats, rise, has_floor))
    return Noise(math.sqrt(variance), freedom, repeats, rise, own_squares, own_freedom, share)


def pool_variance(
    squares: np.ndarray, repeats: int, rise: float | None, has_floor: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the variances and degrees of freedom of `pool_noise` for many sums of squares at once."""
    floor = FLOOR, has_floor * PRIOR_FREEDOM * min(1.0, repeats / ENOUGH) ** 2
    scale, prior = floor if rise is None else _prior(rise, repeats)
    trust = np.minimum(1.0, scale**2 * repeats / np.maximum(squares, 1e-12))  # 1e-12: a millionth of the score
    held = prior * (trust if repeats else np.ones_like(squares))
    return (held * scale**2 + squares) / (held + repeats), held + repeats


def unlearned_class(class_shares: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """Return how much of its distance to the leader each setting may owe to a class that its only seed did not learn.

    Noise between seeds is not normal: now and then a training does not learn a class, however good its settings. After
    24 epochs 1 of 12 seeds at a learning rate of 1e-3 was 17 points below the next one on real frames and 11 on the
    streets, most of it in one class, where the other eleven were within 2 to 4 points (benchmarks/RESULTS.md, V7).
    Repeats of the two best settings rarely include such a seed, so an estimate from them cannot cover it, and a
    distribution wide enough would exclude nothing. The class by which a setting is furthest behind is therefore not
    counted against it while it has a single seed. With two seeds, both would have to fail.

    Args:
        class_shares: (T, C), what each class adds to the score of each setting.
        runs: (T,), the seeds of each setting.

    Shape:
        returns: (T,), at least 0; 0 for the leader and for settings with several seeds.
    """
    leader = int(np.argmax(class_shares.sum(1)))
    behind = (class_shares[leader] - class_shares).max(1, initial=0.0)
    return np.where(runs > 1, 0.0, np.maximum(behind, 0.0))


def known_noise(sd: float, runs: np.ndarray) -> Noise:
    """Return the noise of settings whose standard deviation is known."""
    nothing = np.zeros(len(runs))
    return Noise(sd, math.inf, 0, None, nothing, nothing, 1 / runs)


def _prior(rise: float, repeats: int) -> tuple[float, float]:
    """Return the scale of the prior and its degrees of freedom."""
    measured = min(1.0, repeats / ENOUGH)
    share = BOUND_SHARE + measured * (PRIOR_SHARE - BOUND_SHARE)
    return max(FLOOR, share * rise), BOUND_FREEDOM + measured * (PRIOR_FREEDOM - BOUND_FREEDOM)


def count_repeats(groups: Sequence[np.ndarray]) -> int:
    """Return the number of runs beyond the first of each setting."""
    return sum(map(_freedom, groups))


def sum_squares(groups: Sequence[np.ndarray]) -> float:
    """Return the sum of squared deviations of scores from the mean of their setting."""
    return sum(map(_squares, groups))


def _freedom(scores: np.ndarray) -> int:
    """Return the number of repeats; 0 where all have the same score: such a setting has collapsed."""
    return len(scores) - 1 if len(scores) > 1 and np.ptp(scores) > 0 else 0


def _squares(scores: np.ndarray) -> float:
    return float(((scores - scores.mean()) ** 2).sum()) if len(scores) > 1 else 0.0

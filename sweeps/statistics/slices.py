"""Compare groups of images, such as city and other scenes: the gap, its equivalence test, and differences of settings.

Drives are drawn alike for all settings, so that gaps compare in pairs and a drive with images of both groups is drawn
with both. What another seed would change in a gap is part of every interval.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from bddseg.confusion import iou, miou
from bddseg.task import Contrast
from sweeps.statistics.alignment import AlignedEvidence
from sweeps.statistics.bootstrap import mean_ratio, weigh
from sweeps.statistics.estimates import ResampledFigure
from sweeps.statistics.hypothesis_tests import ALPHA, holm, holm_levels
from sweeps.statistics.results import Gap, Interval, Scenes, Slice
from sweeps.statistics.seed_noise import SHRINKAGE, Noise
from sweeps.statistics.sides import Sides, attribute_word, join_words, name_sides
from sweeps.statistics.wording import describe_gap, describe_scenes

DRIVES = 10
"""Drives that a group needs for a conclusion."""

TELLING = 2.927
"""Sum of the quantiles of the normal distribution at 95 and 90 %: two one-sided tests at 5 % have a power of 80 %."""

UNSAID = ("", "undefined")
MOST_VALUES = 30
"""Attributes with more values, such as a number of each image, are no slices."""

Figure = Callable[[np.ndarray], np.ndarray]
"""(..., C, C) -> (...)"""


def answer_contrasts(
    aligned: AlignedEvidence,
    draws: np.ndarray,
    shown: Sequence[int],
    margin: float,
    names: Mapping[str, str],
    noise: Noise,
) -> tuple[Scenes, ...]:
    """Return the answer to each comparison of groups; one of which a side has no labelled image is left out.

    Of more than two groups each is compared with the rest, at levels that hold for all comparisons together
    (Bonferroni). Arguments as `answer_scenes` has them; slices are with the first answer.
    """
    contrasts = aligned.task.contrasts
    answers: list[Scenes] = []
    for contrast in contrasts:
        alpha = ALPHA / len(contrasts)
        slices = find_slices(aligned, draws, shown[0], noise) if not answers else ()
        question = Question(contrast, margin, alpha, slices)
        if (answer := answer_scenes(aligned, draws, shown, question, names, noise)) is not None:
            answers.append(answer)
    return tuple(answers)


@dataclass(frozen=True)
class Question:
    """One comparison of groups."""

    contrast: Contrast
    margin: float
    """A gap that does not matter, as a fraction of 1."""
    alpha: float = ALPHA
    slices: tuple[Slice, ...] = ()
    """Exploratory slices that are reported with the answer."""


def answer_scenes(
    aligned: AlignedEvidence,
    draws: np.ndarray,
    shown: Sequence[int],
    question: Question,
    names: Mapping[str, str],
    noise: Noise,
) -> Scenes | None:
    """Return the answer for the settings shown, the leader first; None when a side has no labelled image.

    Args:
        aligned: the evidence of all compared settings.
        draws: the weights of the bootstrap draws, (B, U).
        shown: the indices of the settings, the leader first.
        question: what is compared, and how.
        names: names of settings in sentences, by id.
        noise: the noise between runs.
    """
    sides, words = question.contrast.masks(aligned.groups), name_sides(aligned.task, question.contrast)
    counts = [aligned.counts_of(index) for index in shown]
    if not all(counts[0][side].any() for side in sides):
        return None
    sampled = _resample(aligned, np.stack(counts), sides, draws)
    pairs = [
        _Pair(aligned, index, own_counts, drawn, sides, noise, question, words)
        for index, own_counts, drawn in zip(shown, counts, sampled, strict=True)
    ]
    gaps = tuple(pair.gap(question.margin) for pair in pairs)
    figures = [pair.contrast(miou) for pair in pairs]
    between = _between([aligned.ids[index] for index in shown], figures, question.alpha)
    kinds = join_words(map(attribute_word, aligned.attributes)) if aligned.attributes else ""
    paragraph = describe_scenes(gaps, between, question.slices, question.margin, names, words, kinds)
    return Scenes(question.margin, gaps, between, question.slices, paragraph)


def _between(ids: Sequence[str], gaps: Sequence[ResampledFigure], alpha: float) -> dict[str, Interval]:
    """Return the intervals of the gaps less the leader's, for all of them at once (Holm)."""
    differences = [gap.minus(gaps[0]) for gap in gaps[1:]]
    levels = holm_levels([difference.tests(0.0)[1] for difference in differences], alpha)
    intervals = [difference.interval(level) for difference, level in zip(differences, levels, strict=True)]
    return {name: interval for name, interval in zip(ids[1:], intervals, strict=True) if interval is not None}


@dataclass(frozen=True, eq=False)
class _Pair:
    """Both groups of one setting.

    Shape:
        counts: (N, C, C).  sampled: (2, B, C, C).
    """

    aligned: AlignedEvidence
    index: int
    counts: np.ndarray
    sampled: np.ndarray
    sides: Sequence[np.ndarray]
    noise: Noise
    question: Question
    words: Sides

    def contrast(self, figure: Figure) -> ResampledFigure:
        """Return a figure of the first side less that of the second."""
        city, other = (figure(pooled) for pooled in self.pooled)
        first, second = (figure(sampled) for sampled in self.sampled)
        units = min(count_units(self.aligned, side) for side in self.sides)
        variance, freedom = gap_noise(self.aligned, self.index, self.sides, self.noise, figure)
        return ResampledFigure(float(city - other), first - second, units, variance, freedom)

    @property
    def pooled(self) -> list[np.ndarray]:
        """Shape: returns: (C, C) each."""
        return [self.counts[side].sum(0) for side in self.sides]

    def standardised(self) -> ResampledFigure | None:
        """Return the gap if both groups had the class mix of both together; None without a class in common."""
        truths = [counts.sum(1) for counts in self.pooled]
        common = (truths[0] > 0) & (truths[1] > 0)
        mix = np.where(common, truths[0] + truths[1], 0)
        return self.contrast(lambda counts: standard_miou(counts, mix)) if common.any() else None

    def gap(self, margin: float) -> Gap:
        """Return the gap of the setting with all its tests."""
        aligned, whole, standard = self.aligned, self.contrast(miou), self.standardised()
        sides = dict(zip(self.question.contrast.sides, self.sides, strict=True))
        alpha = self.question.alpha
        images = {group: int(side.sum()) for group, side in sides.items()}
        drives = {group: count_units(aligned, side & aligned.has_drive) for group, side in sides.items()}
        is_known = all(drives.values())
        p_equivalence, p_difference = whole.tests(margin)
        answer = answer_gap(whole, standard, margin, drives, alpha)
        wide = Interval(whole.estimate, -1.0, 1.0)
        needed = drives_to_tell(whole, margin, aligned.drives, alpha) if is_known else None
        return Gap(
            trial_id=aligned.ids[self.index],
            answer=answer,
            why=describe_gap(
                answer, whole.interval(alpha) or wide, margin, drives if is_known else {}, DRIVES, needed, self.words
            ),
            gap=whole.interval(alpha) or wide,
            equivalence=whole.interval(2 * alpha) or wide,
            p_equivalence=p_equivalence,
            p_difference=p_difference,
            by_class={
                name: self.contrast(lambda counts, index=index: iou(counts)[..., index]).interval(alpha)  # type: ignore[misc]
                for index, name in enumerate(aligned.classes)
            },
            standardised=standard.interval(alpha) if standard else None,
            images=images,
            drives=drives if is_known else {},
            drives_to_tell=needed,
        )


def gap_noise(
    aligned: AlignedEvidence, index: int, sides: Sequence[np.ndarray], noise: Noise, figure: Figure
) -> tuple[float, float]:
    """Return the variance that other runs would bring into a setting's gap, and its degrees of freedom.

    A score over a share of the images differs more between runs than one over all: the noise of the whole, scaled by
    the shares, is the prior, pooled with the gaps of the setting's own runs where they saw the same images.
    """
    if noise.is_unknown:
        return float("nan"), 0.0
    shares = [float(side.mean()) for side in sides]
    scaled = float(noise.run_variance[index]) * sum(1 / share for share in shares)
    squares, repeats = 0.0, int(noise.own_freedom[index])
    if repeats:
        runs = aligned.counts_of_runs(index)
        of_runs = np.asarray([figure(run[sides[0]].sum(0)) - figure(run[sides[1]].sum(0)) for run in runs])
        squares = float(((of_runs - of_runs.mean()) ** 2).sum())
        if not np.isfinite(squares):
            squares, repeats = 0.0, 0
    variance = (SHRINKAGE * scaled + squares) / (SHRINKAGE + repeats)
    return variance * float(noise.share[index]), min(noise.freedom, SHRINKAGE + repeats) if repeats else noise.freedom


def telling_quantiles(alpha: float = ALPHA) -> float:
    """Return the standard errors that a margin must have for two one-sided tests at a level to have a power of 80 %."""
    return TELLING + float(ndtri(1 - alpha) - ndtri(1 - ALPHA))


def drives_to_tell(whole: ResampledFigure, margin: float, drives: int, alpha: float = ALPHA) -> int | None:
    """Return the number of drives that shows a gap near 0 to lie within the margin with a power of 80 %.

    None where the noise of runs alone is too large for that. Source: Julious 2004, Sample sizes for clinical trials
    with normal data, section 5 (equivalence).
    """
    error, _ = whole.error()
    room = (margin / telling_quantiles(alpha)) ** 2 - whole.run_variance
    if not np.isfinite(error) or room <= 0:
        return None
    return int(np.ceil(drives * (error**2 - whole.run_variance) / room))


def answer_gap(
    whole: ResampledFigure,
    standard: ResampledFigure | None,
    margin: float,
    drives: Mapping[str, int],
    alpha: float = ALPHA,
) -> str:
    """Return equivalent, different, class mix or cannot tell.

    Without known drives nothing is said: frames of two clips are no sample of roads. A difference that is surely small
    is equivalence; one that vanishes when both groups have the same classes is a difference of class mix.
    """
    if min(drives.values()) < DRIVES:
        return "cannot tell"
    p_equivalence, p_difference = whole.tests(margin)
    if p_equivalence < alpha:
        return "equivalent"
    if p_difference >= alpha:
        return "cannot tell"
    is_same = standard is not None and standard.tests(0.0)[1] < alpha and standard.estimate * whole.estimate > 0
    return "different" if is_same else "class mix"


def standard_miou(counts: np.ndarray, mix: np.ndarray) -> np.ndarray:
    """Return the mIoU if the classes had the pixels of `mix`, and each were mistaken as often as it is.

    So that a group is not called harder because it has fewer cars. Direct standardisation; a class of which there is
    no pixel in counts or mix leaves the mean.

    Shape:
        counts: (..., C, C), rows truth.  mix: (C,).  returns: (...).
    """
    truth = counts.sum(-1, keepdims=True).astype(float)
    shares = np.divide(counts, truth, out=np.zeros(counts.shape), where=truth > 0)
    scaled = shares * mix[:, None]
    above = np.diagonal(scaled, axis1=-2, axis2=-1)
    below = np.where(scaled.sum(-1) > 0, scaled.sum(-1) + scaled.sum(-2) - above, 0.0)
    return np.asarray(mean_ratio(above, below, axis=-1))


def find_slices(aligned: AlignedEvidence, draws: np.ndarray, index: int, noise: Noise) -> tuple[Slice, ...]:
    """Return each value of each attribute against all other images, corrected for their number (Holm)."""
    masks = {
        (attribute_word(name), value): np.asarray(values) == value
        for name, values in aligned.attributes.items()
        if len(set(values)) <= MOST_VALUES
        for value in sorted(set(values))
        if value not in UNSAID
    }
    masks = {key: mask for key, mask in masks.items() if not mask.all()}
    if not masks:
        return ()
    counts = aligned.counts_of(index)
    everything = np.ones(aligned.images, dtype=bool)
    *sampled, whole = _resample(aligned, counts[None], [*masks.values(), everything], draws)[0]
    samples = {}
    for (key, mask), inside in zip(masks.items(), sampled, strict=True):
        estimate = miou(counts[mask].sum(0)) - miou(counts[~mask].sum(0))
        units = min(count_units(aligned, mask), count_units(aligned, ~mask))
        variance, freedom = gap_noise(aligned, index, (mask, ~mask), noise, miou)
        samples[key] = ResampledFigure(float(estimate), miou(inside) - miou(whole - inside), units, variance, freedom)
    return _corrected(samples, {key: int(mask.sum()) for key, mask in masks.items()})


def _corrected(
    samples: Mapping[tuple[str, str], ResampledFigure], images: Mapping[tuple[str, str], int]
) -> tuple[Slice, ...]:
    intervals = {key: figure.interval() for key, figure in samples.items()}
    usable = [key for key, figure in intervals.items() if figure is not None]
    corrected = holm([samples[key].tests(0.0)[1] for key in usable])
    return tuple(
        Slice(*key, images[key], figure, float(p), bool(p < ALPHA))
        for key, p in zip(usable, corrected, strict=True)
        if (figure := intervals[key]) is not None
    )


def count_units(aligned: AlignedEvidence, mask: np.ndarray) -> int:
    """Return the number of units that the chosen images belong to."""
    return len(np.unique(aligned.unit[mask]))


def _resample(
    aligned: AlignedEvidence, counts: np.ndarray, masks: Sequence[np.ndarray], draws: np.ndarray
) -> np.ndarray:
    """Return the pooled counts of each trial on each set of images in every draw.

    Shape:
        counts: (T, N, C, C).  masks: M of (N,).  returns: (T, M, B, C, C), float64.
    """
    chosen = np.stack([counts * mask[:, None, None] for mask in masks], axis=1)  # (T, M, N, C, C)
    table = np.moveaxis(aligned.by_unit(chosen, axis=2), 2, -1)  # (T, M, C, C, U)
    pooled = np.empty((*table.shape[:-1], len(draws)))
    for chosen_draws, sums in weigh(table, draws):
        pooled[..., chosen_draws] = sums
    return np.moveaxis(pooled, -1, 2)

"""Compare groups of images, such as city and other scenes: the gap, its equivalence test, and differences of settings.

Drives are drawn alike for all settings, so that gaps compare in pairs and a drive with images of both groups is drawn
with both. What another seed would change in a gap is part of every interval.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy.special import ndtri

from bddseg.confusion import iou, miou
from bddseg.task import Contrast
from sweeps.statistics.alignment import AlignedEvidence
from sweeps.statistics.bootstrap import mean_ratio
from sweeps.statistics.estimates import ResampledFigure
from sweeps.statistics.hypothesis_tests import ALPHA, holm, holm_levels
from sweeps.statistics.results import Gap, Interval, Scenes, Slice
from sweeps.statistics.seed_noise import Noise
from sweeps.statistics.side_draws import CELLS, Figure, count_units, gap_noise, pool_noise, resample_sides, run_gaps
from sweeps.statistics.sides import Sides, attribute_word, join_words, name_sides
from sweeps.statistics.wording import describe_gap, describe_scenes

DRIVES = 10
"""Drives that a group needs for a conclusion."""

TELLING = 2.927
"""Sum of the quantiles of the normal distribution at 95 and 90 %: two one-sided tests at 5 % have a power of 80 %."""

UNSAID = ("", "undefined")
MOST_VALUES = 30
"""Attributes with more values, such as a number of each image, are no slices."""

WHOLE, STANDARD, BY_CLASS = "mIoU", "mIoU of the same class mix", "IoU of each class"
"""Figures of a gap."""


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
    pairs = [_Pair(aligned, index, sides, draws, noise, question, words) for index in shown]
    if not all(pooled.any() for pooled in pairs[0].pooled):
        return None
    gaps = tuple(pair.gap(question.margin) for pair in pairs)
    figures = [pair.contrast(WHOLE) for pair in pairs]
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
        draws: (B, U).
    """

    aligned: AlignedEvidence
    index: int
    sides: Sequence[np.ndarray]
    draws: np.ndarray
    noise: Noise
    question: Question
    words: Sides

    @cached_property
    def pooled(self) -> list[np.ndarray]:
        """Shape: returns: (C, C) each."""
        counts = self.aligned.counts_of(self.index)
        return [counts[side].sum(0) for side in self.sides]

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Return the figures that are compared; no standardised one without a class in common."""
        truths = [counts.sum(1) for counts in self.pooled]
        common = (truths[0] > 0) & (truths[1] > 0)
        mix = np.where(common, truths[0] + truths[1], 0)
        return {WHOLE: miou, BY_CLASS: iou} | ({STANDARD: partial(standard_miou, mix=mix)} if common.any() else {})

    @cached_property
    def drawn(self) -> dict[str, np.ndarray]:
        """Return each figure of the first side less that of the second in every draw.

        Shape:
            returns: (B,) each, or (B, C).
        """
        parts: dict[str, list[np.ndarray]] = {name: [] for name in self.figures}
        for first, second in resample_sides(self.aligned, self.aligned.counts_of(self.index), self.sides, self.draws):
            for name, figure in self.figures.items():
                parts[name].append(figure(first) - figure(second))
        return {name: np.concatenate(values) for name, values in parts.items()}

    def contrast(self, name: str) -> ResampledFigure:
        """Return a figure of the first side less that of the second."""
        (estimate, draws, gaps), *_ = self._columns(name)
        return self._figure(estimate, draws, gaps)

    def by_class(self) -> dict[str, ResampledFigure]:
        """Return the difference of each class."""
        columns = zip(self.aligned.classes, self._columns(BY_CLASS), strict=True)
        return {name: self._figure(*column) for name, column in columns}

    def _columns(self, name: str) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
        """Yield estimate, draws (B,) and gaps of runs (R,) of a figure; of one with classes those of each."""
        figure = self.figures[name]
        first, second = map(figure, self.pooled)
        gaps = run_gaps(self.aligned, self.index, self.sides, figure) if self.noise.own_freedom[self.index] else None
        estimates, draws = np.atleast_1d(first - second), self.drawn[name].reshape(len(self.draws), -1)
        by_run = np.empty((0, len(estimates))) if gaps is None else gaps.reshape(len(gaps), -1)
        for column, estimate in enumerate(estimates):
            yield float(estimate), draws[:, column], by_run[:, column]

    def _figure(self, estimate: float, draws: np.ndarray, gaps: np.ndarray) -> ResampledFigure:
        units = min(count_units(self.aligned, side) for side in self.sides)
        return ResampledFigure(estimate, draws, units, *pool_noise(self.index, self.sides, self.noise, gaps))

    def gap(self, margin: float) -> Gap:
        """Return the gap of the setting with all its tests."""
        aligned, whole = self.aligned, self.contrast(WHOLE)
        standard = self.contrast(STANDARD) if STANDARD in self.figures else None
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
            by_class={name: figure.interval(alpha) for name, figure in self.by_class().items()},
            standardised=standard.interval(alpha) if standard else None,
            images=images,
            drives=drives if is_known else {},
            drives_to_tell=needed,
        )


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
    samples = {}
    together = max(1, CELLS // (counts[0].size * aligned.units))
    for start in range(0, len(masks), together):
        keys = list(masks)[start : start + together]
        drawn = _draw_slices(aligned, counts, [masks[key] for key in keys], draws)
        for key, own_draws in zip(keys, drawn, strict=True):
            sides = masks[key], ~masks[key]
            estimate = miou(counts[sides[0]].sum(0)) - miou(counts[sides[1]].sum(0))
            units = min(count_units(aligned, side) for side in sides)
            spread = gap_noise(aligned, index, sides, noise, miou)
            samples[key] = ResampledFigure(float(estimate), own_draws, units, *spread)
    return _corrected(samples, {key: int(mask.sum()) for key, mask in masks.items()})


def _draw_slices(
    aligned: AlignedEvidence, counts: np.ndarray, masks: Sequence[np.ndarray], draws: np.ndarray
) -> np.ndarray:
    """Return the score of the images of each mask less that of all others in every draw.

    Shape:
        counts: (N, C, C).  returns: (M, B).
    """
    everything = np.ones(aligned.images, dtype=bool)
    parts = [
        miou(sums[:-1]) - miou(sums[-1] - sums[:-1])
        for sums in resample_sides(aligned, counts, [*masks, everything], draws)
    ]
    return np.concatenate(parts, axis=1)


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

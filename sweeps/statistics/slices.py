"""City against other scenes: how large the gap is, whether it is surely small, and whether trials differ in it.

Drives (images, where names carry none) are drawn alike for all trials, so that gaps compare in pairs and a drive with
images of both groups is drawn with both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bddseg.confusion import iou, miou
from bddseg.labels import GROUPS, group_of
from sweeps.statistics.findings import Gap, Interval, Scenes, Slice
from sweeps.statistics.lineup import Lineup
from sweeps.statistics.resampling import mean_ratio, weigh
from sweeps.statistics.sample import Sample
from sweeps.statistics.sentences import say_gap, say_scenes
from sweeps.statistics.significance import ALPHA, holm

DRIVES = 10
"""With fewer drives in a group nothing can be said of it."""

KINDS = ("scene", "weather", "time of day")
UNSAID = ("", "undefined")

Figure = Callable[[np.ndarray], np.ndarray]
"""(..., C, C) -> (...)"""


def answer_scenes(
    lineup: Lineup, draws: np.ndarray, shown: Sequence[int], margin: float, names: Mapping[str, str]
) -> Scenes | None:
    """Return the answer for the trials shown, the leader first; None when a group has no labelled image."""
    groups = np.asarray([group_of(scene) for scene in lineup.scenes])
    sides = [groups == group for group in GROUPS]
    counts = [lineup.counts_of(place) for place in shown]
    if not all(counts[0][side].any() for side in sides):
        return None
    sampled = _resample(lineup, np.stack(counts), sides, draws)
    pairs = [_Pair(lineup, *found, sides) for found in zip(shown, counts, sampled, strict=True)]
    gaps = tuple(pair.gap(margin) for pair in pairs)
    whole = [pair.contrast(miou) for pair in pairs]
    ids = [lineup.ids[place] for place in shown]
    apart = {name: found.minus(whole[0]).interval() for name, found in zip(ids[1:], whole[1:], strict=True)}
    between = {name: found for name, found in apart.items() if found is not None}
    slices = find_slices(lineup, draws, shown[0])
    return Scenes(margin, gaps, between, slices, say_scenes(gaps, between, slices, margin, names, lineup.runs))


@dataclass(frozen=True, eq=False)
class _Pair:
    """Both groups of one trial.

    Shape:
        counts: (N, C, C).  sampled: (2, B, C, C).
    """

    lineup: Lineup
    place: int
    counts: np.ndarray
    sampled: np.ndarray
    sides: Sequence[np.ndarray]

    def contrast(self, figure: Figure) -> Sample:
        """Return a figure of the city images less that of the others."""
        city, other = (figure(pooled) for pooled in self.pooled)
        first, second = (figure(sampled) for sampled in self.sampled)
        by_run = [figure(_by_run(self.lineup, self.counts, side)) for side in self.sides]
        units = min(count_units(self.lineup, side) for side in self.sides)
        return Sample(float(city - other), first - second, units, by_run[0] - by_run[1])

    @property
    def pooled(self) -> list[np.ndarray]:
        """Shape: returns: (C, C) each."""
        return [self.counts[side].sum(0) for side in self.sides]

    def standardised(self) -> Sample | None:
        """Return the gap if both groups had the class mix of both together; None without a class in common."""
        truths = [counts.sum(1) for counts in self.pooled]
        common = (truths[0] > 0) & (truths[1] > 0)
        mix = np.where(common, truths[0] + truths[1], 0)
        return self.contrast(lambda counts: standard_miou(counts, mix)) if common.any() else None

    def gap(self, margin: float) -> Gap:
        """Return all that is said of the trial."""
        lineup, whole = self.lineup, self.contrast(miou)
        images = {group: int(side.sum()) for group, side in zip(GROUPS, self.sides, strict=True)}
        units = {group: count_units(lineup, side) for group, side in zip(GROUPS, self.sides, strict=True)}
        drives = units if lineup.by_drive else {}
        p_equivalence, p_difference = whole.tests(margin)
        answer = answer_gap(p_equivalence, p_difference, drives)
        wide = Interval(whole.estimate, -1.0, 1.0)
        standard = self.standardised()
        return Gap(
            trial_id=lineup.ids[self.place],
            answer=answer,
            why=say_gap(answer, whole.interval() or wide, margin, drives, DRIVES),
            gap=whole.interval() or wide,
            equivalence=whole.interval(2 * ALPHA) or wide,
            p_equivalence=p_equivalence,
            p_difference=p_difference,
            by_class={
                name: self.contrast(lambda counts, at=at: iou(counts)[..., at]).interval()  # type: ignore[misc]
                for at, name in enumerate(lineup.classes)
            },
            standardised=standard.interval() if standard else None,
            images=images,
            drives=drives,
        )


def answer_gap(p_equivalence: float, p_difference: float, drives: Mapping[str, int]) -> str:
    """Return equivalent, different or cannot tell; a difference that is surely small is equivalence."""
    if drives and min(drives.values()) < DRIVES:
        return "cannot tell"
    if p_equivalence < ALPHA:
        return "equivalent"
    return "different" if p_difference < ALPHA else "cannot tell"


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


def find_slices(lineup: Lineup, draws: np.ndarray, place: int) -> tuple[Slice, ...]:
    """Return each scene, weather and time of day against all other images, corrected for their number (Holm)."""
    labels = zip(KINDS, (lineup.scenes, lineup.weathers, lineup.times_of_day), strict=True)
    masks = {
        (kind, value): np.asarray(values) == value
        for kind, values in labels
        for value in sorted(set(values))
        if value not in UNSAID
    }
    masks = {key: mask for key, mask in masks.items() if not mask.all()}
    if not masks:
        return ()
    counts = lineup.counts_of(place)
    everything = np.ones(lineup.images, dtype=bool)
    *sampled, whole = _resample(lineup, counts[None], [*masks.values(), everything], draws)[0]
    samples = {}
    for (key, mask), inside in zip(masks.items(), sampled, strict=True):
        estimate = miou(counts[mask].sum(0)) - miou(counts[~mask].sum(0))
        units = min(count_units(lineup, mask), count_units(lineup, ~mask))
        by_run = miou(_by_run(lineup, counts, mask)) - miou(_by_run(lineup, counts, ~mask))
        samples[key] = Sample(float(estimate), miou(inside) - miou(whole - inside), units, by_run)
    return _corrected(samples, {key: int(mask.sum()) for key, mask in masks.items()})


def _corrected(samples: Mapping[tuple[str, str], Sample], images: Mapping[tuple[str, str], int]) -> tuple[Slice, ...]:
    intervals = {key: found.interval() for key, found in samples.items()}
    usable = [key for key, found in intervals.items() if found is not None]
    corrected = holm([samples[key].tests(0.0)[1] for key in usable])
    return tuple(
        Slice(*key, images[key], found, float(p), bool(p < ALPHA))
        for key, p in zip(usable, corrected, strict=True)
        if (found := intervals[key]) is not None
    )


def count_units(lineup: Lineup, mask: np.ndarray) -> int:
    """Return over how many drives, or images, the chosen images are spread."""
    return len(np.unique(lineup.unit[mask]))


def _by_run(lineup: Lineup, counts: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the pooled counts of the chosen images in each run; of a single run nothing.

    Shape:
        counts: (N, C, C).  returns: (R, C, C), or (0, C, C).
    """
    runs = range(lineup.runs if lineup.runs > 1 else 0)
    found = [counts[mask & (lineup.run == run)].sum(0) for run in runs]
    return np.asarray(found).reshape(len(runs), *counts.shape[1:])


def _resample(lineup: Lineup, counts: np.ndarray, masks: Sequence[np.ndarray], draws: np.ndarray) -> np.ndarray:
    """Return the pooled counts of each trial on each set of images in every draw.

    Shape:
        counts: (T, N, C, C).  masks: M of (N,).  returns: (T, M, B, C, C), float64.
    """
    chosen = np.stack([counts * mask[:, None, None] for mask in masks], axis=1)  # (T, M, N, C, C)
    table = np.moveaxis(lineup.by_unit(chosen, axis=2), 2, -1)  # (T, M, C, C, U)
    found = np.empty((*table.shape[:-1], len(draws)))
    for at, sums in weigh(table, draws):
        found[..., at] = sums
    return np.moveaxis(found, -1, 2)

"""Align the evidence of settings on the same images in the same order, and say why others cannot be compared."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np

from bddseg.data.folders import in_short
from bddseg.evidence import Evidence
from bddseg.task import Task
from bddseg.words import count
from sweeps.statistics.units import Units, find_units

Images = tuple[str, tuple[str, ...], str, int]
"""What two runs must have in common to be of the same images: part, classes, fingerprint, a hash of the names."""


@dataclass(frozen=True, eq=False)
class AlignmentInput:
    """A setting to be compared: its id, and the evidence of each of its runs."""

    trial_id: str
    runs: tuple[Evidence, ...]
    """In a screening all on the same images, with other seeds; in a confirmation run r on the r-th fold."""
    missing: str = ""
    """Why there is no evidence."""
    is_reference: bool = False


@dataclass(frozen=True, eq=False)
class AlignedEvidence:
    """The compared settings, with images sorted by resampling unit and name.

    Counts of an image are summed over the runs of a setting that scored it.

    Shape:
        unit: (N,), ascending.  intersection, union: (T, N, C).  truth: (N, C).  runs: (T,).
    """

    entrants: tuple[AlignmentInput, ...]
    task: Task
    attributes: Mapping[str, tuple[str, ...]]
    """Attribute -> its value for each image."""
    unit: np.ndarray
    has_drive: np.ndarray
    """Shape: (N,), whether the name of an image carries its drive."""
    drives: int
    intersection: np.ndarray
    union: np.ndarray
    truth: np.ndarray
    """Pixels of each class in the mask, per run of the first setting."""
    left_out: dict[str, str]
    image_order: "_ImageOrder"

    @property
    def classes(self) -> tuple[str, ...]:
        return self.task.classes

    @property
    def groups(self) -> np.ndarray:
        """Return the group of each image; empty texts without groups.

        Shape:
            returns: (N,), names.
        """
        values = self.attributes.get(self.task.attribute) or ("",) * self.images
        return np.asarray(self.task.groups_of(values))

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(entrant.trial_id for entrant in self.entrants)

    @property
    def images(self) -> int:
        return len(self.unit)

    @property
    def units(self) -> int:
        return int(self.unit[-1]) + 1

    @property
    def without_drive(self) -> int:
        """Return the number of images whose name has no drive."""
        return int((~self.has_drive).sum())

    @cached_property
    def runs(self) -> np.ndarray:
        """Shape: returns: (T,), how many runs each setting has."""
        return np.asarray([len(entrant.runs) for entrant in self.entrants])

    @cached_property
    def scores(self) -> np.ndarray:
        """Return the mIoU of each, counts summed first and divided once.

        Shape:
            returns: (T,), float64.
        """
        return mean_iou(self.intersection.sum(1), self.union.sum(1), self.truth.sum(0))

    @cached_property
    def class_shares(self) -> np.ndarray:
        """Return what each class adds to the mIoU of each setting; 0 for a class that no mask has.

        Shape:
            returns: (T, C), float64.
        """
        present = self.truth.sum(0) > 0
        below = np.where(present, self.union.sum(1), 1)
        return np.where(present, self.intersection.sum(1) / below, 0.0) / max(1, int(present.sum()))

    @cached_property
    def run_scores(self) -> tuple[np.ndarray, ...]:
        """Return the mIoU of each run of each setting; T arrays of (its runs,), float64."""
        return tuple(np.asarray([score_of(run) for run in entrant.runs]) for entrant in self.entrants)

    def counts_of(self, index: int) -> np.ndarray:
        """Shape: returns: (N, C, C)."""
        return self.image_order.counts(self.entrants[index].runs)

    def runs_of(self, index: int) -> Iterator[np.ndarray]:
        """Yield the counts of each run, (N, C, C): all at once would take gigabytes for many classes."""
        return (self.image_order.counts([run]) for run in self.entrants[index].runs)

    @cached_property
    def bearing_units(self) -> np.ndarray:
        """Return the number of units whose masks have each class.

        Shape:
            returns: (C,).
        """
        return (self.by_unit(self.truth, axis=0) > 0).sum(0)

    @cached_property
    def above(self) -> np.ndarray:
        """Return the intersection by class and unit.

        Shape:
            returns: (T, C, U).
        """
        return np.moveaxis(self.by_unit(self.intersection, axis=1), 1, 2)

    @cached_property
    def below(self) -> np.ndarray:
        """Return the union likewise."""
        return np.moveaxis(self.by_unit(self.union, axis=1), 1, 2)

    @cached_property
    def true(self) -> np.ndarray:
        """Return the pixels of each class in the masks of each unit.

        Shape:
            returns: (C, U).
        """
        return self.by_unit(self.truth, axis=0).T

    def by_unit(self, values: np.ndarray, axis: int) -> np.ndarray:
        """Return sums over the images of each unit, along the axis of images."""
        starts = np.searchsorted(self.unit, np.arange(self.units))
        return values if self.units == self.images else np.add.reduceat(values, starts, axis=axis)


def mean_iou(intersection: np.ndarray, union: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the mean of intersection / union over the classes that the truth has; NaN where it has none.

    Shape:
        intersection, union: (..., C).  truth: (C,).  returns: (...).
    """
    present = truth > 0
    if not present.any():
        return np.full(intersection.shape[:-1], np.nan)
    return np.asarray((intersection[..., present] / union[..., present]).mean(-1))


def align_evidence(entrants: Sequence[AlignmentInput]) -> AlignedEvidence | None:
    """Return the settings that can be compared; None if there are none.

    Evidence is comparable when it is of the same images of the same frames, each scored equally often. Of several
    comparable groups the largest is kept; of equally large groups that with the reference, then the earlier.
    """
    left_out = {entrant.trial_id: entrant.missing or "it left no evidence" for entrant in entrants if not entrant.runs}
    present = [entrant for entrant in entrants if entrant.runs]
    if not present:
        return None
    coverages = {entrant.trial_id: _coverage(entrant.runs) for entrant in present}
    size = Counter(coverages.values())
    referred = {coverages[entrant.trial_id] for entrant in present if entrant.is_reference}
    chosen = max(dict.fromkeys(coverages.values()), key=lambda coverage: (size[coverage], coverage in referred))
    alike = [entrant for entrant in present if coverages[entrant.trial_id] == chosen]
    left_out |= {
        entrant.trial_id: _difference(entrant, alike[0]) for entrant in present if coverages[entrant.trial_id] != chosen
    }
    objections = _objections(alike)
    left_out |= {name: reason for name, reason in objections.items() if reason}
    comparable = [entrant for entrant in alike if not objections[entrant.trial_id]]
    return _align(comparable, left_out) if comparable else None


@dataclass(frozen=True, eq=False)
class _ImageOrder:
    """The index of each image in the aligned order."""

    number: Mapping[str, int]
    """Image -> its index."""
    indices: dict[tuple[str, ...], np.ndarray]

    def of(self, names: tuple[str, ...]) -> np.ndarray:
        """Shape: returns: (images of the run,)."""
        if names not in self.indices:
            self.indices[names] = np.asarray([self.number[name] for name in names], dtype=np.intp)
        return self.indices[names]

    def counts(self, runs: Sequence[Evidence]) -> np.ndarray:
        """Return the counts summed over runs, in the aligned order.

        Shape:
            returns: (N, C, C), int64.
        """
        total = np.zeros((len(self.number), *runs[0].counts.shape[1:]), dtype=np.int64)
        for run in runs:
            total[self.of(run.names)] += run.counts  # a run has every image once
        return total


def _images(run: Evidence) -> Images:
    return run.part, run.classes, run.fingerprint, hash(frozenset(run.names)) ^ len(run.names)


def _coverage(runs: Sequence[Evidence]) -> frozenset[tuple[Images, int]]:
    """Return the images that the runs scored, and how often relative to each other."""
    often = Counter(_images(run) for run in runs)
    is_even = len(set(often.values())) == 1
    return frozenset((images, 1 if is_even else times) for images, times in often.items())


def _objections(entrants: Sequence[AlignmentInput]) -> dict[str, str]:
    """Return why the counts of each cannot be compared; empty for those that can."""
    truths = {entrant.trial_id: {_images(run): _truth_digest(run) for run in entrant.runs} for entrant in entrants}
    usual = {
        images: Counter(digests[images] for digests in truths.values()).most_common(1)[0][0]
        for images in truths[entrants[0].trial_id]
    }
    return {entrant.trial_id: _objection(entrant, truths[entrant.trial_id] == usual) for entrant in entrants}


def _objection(entrant: AlignmentInput, is_same_truth: bool) -> str:
    if any(run.counts.min(initial=0) < 0 for run in entrant.runs):
        return "its counts are damaged: some are negative"
    if not is_same_truth:
        return "its counts are of other masks: on the same images the classes have other pixels"
    return "" if any(run.counts.any() for run in entrant.runs) else "its evidence has no pixel of any class"


def _truth_digest(run: Evidence) -> bytes:
    order = sorted(range(len(run.names)), key=run.names.__getitem__)
    return sha256(run.counts.sum(2)[order].tobytes()).digest()


def _difference(entrant: AlignmentInput, model: AlignmentInput) -> str:
    """Return how a setting's evidence differs from that of the compared settings."""
    own, usual = Counter(_images(run) for run in entrant.runs), Counter(_images(run) for run in model.runs)
    if len(own) != len(usual):
        return f"it has evidence of {count(len(entrant.runs), 'run')}, the others of {len(model.runs)}"
    pairs = zip(_in_order(entrant), _in_order(model), strict=True)
    for number, (run, like) in enumerate(pairs, start=1):
        where = f" in run {number}" if len(usual) > 1 else ""
        if run.classes != like.classes:
            return f"its evidence is of other classes{where}: {in_short(run.classes)}, not {in_short(like.classes)}"
        if run.fingerprint != like.fingerprint:
            return f"its evidence is of other frames{where}: {run.fingerprint}, the others' of {like.fingerprint}"
        if set(run.names) != set(like.names) or len(run.names) != len(like.names):
            common = len(set(run.names) & set(like.names))
            return (
                f"its evidence is of another split{where}: {count(len(run.names), 'image')}, of which {common} are "
                f"among the others' {len(like.names)}"
            )
        if run.part != like.part:
            return f"its evidence is of another part{where}: {run.part}"
    return f"it has evidence of {count(len(entrant.runs), 'run')}, the others of {len(model.runs)}"


def _in_order(entrant: AlignmentInput) -> list[Evidence]:
    """Return one run of each set of images, in the order of the runs."""
    return list({_images(run): run for run in reversed(entrant.runs)}.values())[::-1]


def score_of(run: Evidence) -> float:
    """Return the mIoU of one run."""
    pooled = run.counts.sum(0)
    above, truth = np.diagonal(pooled), pooled.sum(1)
    return float(mean_iou(above, truth + pooled.sum(0) - above, truth))


def _align(comparable: Sequence[AlignmentInput], left_out: dict[str, str]) -> AlignedEvidence:
    model = comparable[0]
    labels = image_attributes(model.runs)
    drives = {name: drive for run in model.runs for name, drive in zip(run.names, run.drives, strict=bool(run.drives))}
    names = list(labels)
    units = find_units(names, [drives[name] for name in names] if drives else ())
    order = sorted(range(len(names)), key=lambda index: (units.labels[index], names[index]))
    ordered = [names[index] for index in order]
    image_order = _ImageOrder({name: index for index, name in enumerate(ordered)}, {})
    cells = [_cells(image_order.counts(entrant.runs)) for entrant in comparable]
    keys = model.runs[0].attributes
    return AlignedEvidence(
        entrants=tuple(comparable),
        task=model.runs[0].task,
        attributes={key: tuple(labels[name].get(key, "") for name in ordered) for key in keys},
        unit=_numbers(units, order),
        has_drive=units.has_drive[order],
        drives=units.drives,
        intersection=np.stack([above for above, _ in cells]),
        union=np.stack([below for _, below in cells]),
        truth=image_order.counts(model.runs).sum(2),
        left_out=left_out,
        image_order=image_order,
    )


def image_attributes(runs: Sequence[Evidence]) -> dict[str, dict[str, str]]:
    """Return the attributes of every image of the runs, by its name; a later run replaces an earlier one."""
    return {
        name: {key: values[index] for key, values in run.attributes.items()}
        for run in runs
        for index, name in enumerate(run.names)
    }


def _numbers(units: Units, order: Sequence[int]) -> np.ndarray:
    """Return the units of the images in order, numbered from 0 in order of appearance."""
    labels = [units.labels[index] for index in order]
    return np.cumsum([0, *(int(after != before) for before, after in itertools.pairwise(labels))])


def _cells(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shape: counts: (N, C, C).  returns: intersection and union, (N, C) each."""
    above = np.diagonal(counts, axis1=1, axis2=2)
    return above, counts.sum(1) + counts.sum(2) - above

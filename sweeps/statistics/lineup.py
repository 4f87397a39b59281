"""Candidates or finalists -> those that can be compared, on the same images in the same order, and why not others."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np

from bddseg.evidence import Evidence
from bddseg.split import drive_of
from bddseg.words import count


@dataclass(frozen=True, eq=False)
class Entrant:
    """Who asks to be compared: an id, and the evidence of each of its runs."""

    trial_id: str
    runs: tuple[Evidence, ...]
    missing: str = ""
    """Why there is no evidence."""
    is_reference: bool = False


@dataclass(frozen=True, eq=False)
class Lineup:
    """Those that are compared. Images are in order of run, drive and name, whatever order they came in.

    Shape:
        run: (N,).  unit: (N,), ascending; what is drawn as a whole: a drive, or an image where names carry no drive.
        intersection, union: (T, N, C).
    """

    entrants: tuple[Entrant, ...]
    classes: tuple[str, ...]
    scenes: tuple[str, ...]
    weathers: tuple[str, ...]
    times_of_day: tuple[str, ...]
    run: np.ndarray
    unit: np.ndarray
    by_drive: bool
    """Whether any name carries a drive; an image whose name does not is a unit of its own."""
    without_drive: int
    """Names that carry none."""
    intersection: np.ndarray
    union: np.ndarray
    left_out: dict[str, str]
    order: "_Order"

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(it.trial_id for it in self.entrants)

    @property
    def images(self) -> int:
        return len(self.unit)

    @property
    def units(self) -> int:
        return int(self.unit[-1]) + 1

    @property
    def runs(self) -> int:
        return int(self.run[-1]) + 1

    @property
    def drives(self) -> int:
        """Return how many drives there are; 0 where names carry none."""
        return self.units if self.by_drive else 0

    @cached_property
    def run_of_unit(self) -> np.ndarray:
        """Shape: returns: (U,)."""
        return self.run[np.searchsorted(self.unit, np.arange(self.units))]

    @cached_property
    def scores(self) -> np.ndarray:
        """Return the mIoU of each, counts summed first and divided once.

        Shape:
            returns: (T,), float64.
        """
        return mean_iou(self.intersection.sum(1), self.union.sum(1))

    @cached_property
    def run_scores(self) -> np.ndarray:
        """Return the mIoU of each on each run.

        Shape:
            returns: (T, R), float64.
        """
        places = [self.run == run for run in range(self.runs)]
        found = [mean_iou(self.intersection[:, at].sum(1), self.union[:, at].sum(1)) for at in places]
        return np.stack(found, axis=1)

    def counts_of(self, place: int) -> np.ndarray:
        """Shape: returns: (N, C, C)."""
        return self.order.counts(self.entrants[place])

    @cached_property
    def occurrences(self) -> dict[str, int]:
        """Return in how many units each class occurs in the masks; those that occur nowhere are left out."""
        units = (self.by_unit(self.counts_of(0).sum(2), axis=0) > 0).sum(0)
        return {name: int(found) for name, found in zip(self.classes, units, strict=True) if found}

    @property
    def bearing_units(self) -> int:
        """Return on how many units the mean rests: those that have the rarest of its classes."""
        return min(self.occurrences.values(), default=0)

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

    def by_unit(self, values: np.ndarray, axis: int) -> np.ndarray:
        """Return sums over the images of each unit, along the axis of images."""
        starts = np.searchsorted(self.unit, np.arange(self.units))
        return values if self.units == self.images else np.add.reduceat(values, starts, axis=axis)


def mean_iou(intersection: np.ndarray, union: np.ndarray) -> np.ndarray:
    """Return the mean of intersection / union over the classes whose union is not empty; NaN where all are.

    Shape:
        intersection, union: (..., C).  returns: (...).
    """
    present = union > 0
    ratio = np.divide(intersection, union, out=np.zeros(union.shape), where=present)
    number = present.sum(-1)
    return np.divide(ratio.sum(-1), number, out=np.full(number.shape, np.nan), where=number > 0)


def build_lineup(entrants: Sequence[Entrant]) -> Lineup | None:
    """Return those that can be compared; None when nobody can.

    Evidence compares when it is of the same images of the same frames, run by run. Of several groups that do the
    largest stays; of equally large ones that with the reference, then the earlier.
    """
    left_out = {it.trial_id: it.missing or "it left no evidence" for it in entrants if not it.runs}
    present = [it for it in entrants if it.runs]
    keys = {id(it): tuple(_key(run) for run in it.runs) for it in present}
    if not present:
        return None
    size = Counter(keys.values())
    referred = {keys[id(it)] for it in present if it.is_reference}
    chosen = max(dict.fromkeys(keys.values()), key=lambda key: (size[key], key in referred))
    alike = [it for it in present if keys[id(it)] == chosen]
    model = alike[0]
    left_out |= {it.trial_id: _difference(it, model) for it in present if keys[id(it)] != chosen}
    order = _Order(tuple(map(_order, model.runs)), tuple(run.names for run in model.runs))
    found = {it.trial_id: _read(order.counts(it)) for it in alike}
    (truth, _), *_ = Counter(cells.truth for cells in found.values()).most_common(1)
    objections = {name: _objection(cells, truth) for name, cells in found.items()}
    left_out |= {name: reason for name, reason in objections.items() if reason}
    kept = [it for it in alike if not objections[it.trial_id]]
    return _lineup(kept, [found[it.trial_id] for it in kept], model, order, left_out) if kept else None


@dataclass(frozen=True, eq=False)
class _Order:
    """Where each image of a run stands in the lineup, and the names for which that was found."""

    places: tuple[np.ndarray, ...]
    names: tuple[tuple[str, ...], ...]

    def counts(self, it: Entrant) -> np.ndarray:
        """Return the counts of all runs, one after another, in order of drive and name."""
        known = zip(it.runs, self.places, self.names, strict=True)
        return np.concatenate([run.counts[at if run.names == names else _order(run)] for run, at, names in known])


def _key(evidence: Evidence) -> tuple[str, tuple[str, ...], str, int]:
    names = evidence.names
    return evidence.part, evidence.classes, evidence.fingerprint, hash(frozenset(names)) ^ len(names)


def _order(evidence: Evidence) -> np.ndarray:
    keys = [(drive_of(name) or "", name) for name in evidence.names]
    return np.asarray(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)


@dataclass(frozen=True, eq=False)
class _Cells:
    """Intersection and union of every class on every image, (N, C) each, and what tells masks from others."""

    intersection: np.ndarray
    union: np.ndarray
    truth: bytes
    is_damaged: bool


def _read(counts: np.ndarray) -> _Cells:
    above, truth = np.diagonal(counts, axis1=1, axis2=2), counts.sum(2)
    return _Cells(above, counts.sum(1) + truth - above, sha256(truth).digest(), bool(counts.min(initial=0) < 0))


def _objection(cells: _Cells, truth: bytes) -> str:
    """Return why these counts cannot be compared; empty when they can."""
    if cells.is_damaged:
        return "its counts are damaged: some are negative"
    if cells.truth != truth:
        return "its counts are of other masks: on the same images the classes have other pixels"
    return "" if cells.union.any() else "its evidence has no pixel of any class"


def _difference(it: Entrant, model: Entrant) -> str:
    if len(it.runs) != len(model.runs):
        return f"it has evidence of {count(len(it.runs), 'run')}, the others of {len(model.runs)}"
    for number, (run, like) in enumerate(zip(it.runs, model.runs, strict=True), start=1):
        where = f" in run {number}" if len(model.runs) > 1 else ""
        if run.fingerprint != like.fingerprint:
            return f"its evidence is of other frames{where}: {run.fingerprint}, the others' of {like.fingerprint}"
        if set(run.names) != set(like.names) or len(run.names) != len(like.names):
            common = len(set(run.names) & set(like.names))
            return (
                f"its evidence is of another split{where}: {count(len(run.names), 'image')}, of which {common} are "
                f"among the others' {len(like.names)}"
            )
        if run.part != like.part or run.classes != like.classes:
            return f"its evidence is of other classes or another part{where}: {run.part}"
    return "its evidence cannot be compared"


def _lineup(
    kept: Sequence[Entrant], cells: Sequence[_Cells], model: Entrant, order: _Order, left_out: dict[str, str]
) -> Lineup:
    def words(attribute: str) -> tuple[str, ...]:
        pairs = zip(model.runs, order.places, strict=True)
        return tuple(str(getattr(run, attribute)[place]) for run, places in pairs for place in places)

    names = words("names")
    run = np.repeat(np.arange(len(order.places)), [len(places) for places in order.places])
    drives = [drive_of(name) for name in names]
    # a name without a drive is drawn alone: one stray file must not let neighbouring frames count as independent
    keys = [(number, drive or at) for at, (number, drive) in enumerate(zip(run, drives, strict=True))]
    return Lineup(
        entrants=tuple(kept),
        classes=model.runs[0].classes,
        scenes=words("scenes"),
        weathers=words("weathers"),
        times_of_day=words("times_of_day"),
        run=run,
        unit=np.cumsum([0, *(int(now != before) for before, now in itertools.pairwise(keys))]),
        by_drive=any(drives),
        without_drive=len({name for name, drive in zip(names, drives, strict=True) if drive is None}),
        intersection=np.stack([found.intersection for found in cells]),
        union=np.stack([found.union for found in cells]),
        left_out=left_out,
        order=order,
    )

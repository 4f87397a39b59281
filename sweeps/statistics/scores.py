"""Rank trials, score evidence, find the Pareto front, and verify figures. No I/O."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np

from bddseg.confusion import boundary_iou, iou, miou, miou_by_group, pool
from bddseg.evidence import Evidence
from sweeps.sanitize import DECIMALS, figure, finite_number

TOLERANCE = 1e-6
"""Allowed difference between two countings of the same pixels: the rounding of single precision."""

SCORE = "best/miou"
"""The deciding metric: the highest validation mIoU that a trial reached."""

CAVEAT = "This is the arg-max of one run each; it cannot see run-to-run noise."
"""The caveat of every leader without a verdict."""

FAILED = "FAILED"
"""Status of a trial that diverged, ran out of memory or broke: its figures do not count."""


class Scored(Protocol):
    """The attributes of a trial that ranking needs."""

    @property
    def status(self) -> str: ...
    @property
    def metrics(self) -> Mapping[str, float]: ...


TrialT = TypeVar("TrialT", bound=Scored)
PointT = TypeVar("PointT")


@dataclass(frozen=True)
class Scores:
    """Figures of one trial on one part; None where there is nothing to measure."""

    miou: float | None
    iou: dict[str, float | None]
    """By class."""
    groups: dict[str, float | None]
    """Mean IoU by group, in the order of the task."""
    images: dict[str, int]
    """Images by group; empty where that is not known."""
    boundary: dict[str, float | None] = field(default_factory=dict)
    """Boundary IoU by class, see `bddseg.boundary`; empty where it was not counted."""

    @property
    def boundary_iou(self) -> float | None:
        """Return the mean boundary IoU over the classes that the truth has; None where it was not counted."""
        values = [
            value for name, value in self.boundary.items() if value is not None and self.iou.get(name) is not None
        ]
        return figure(sum(values) / len(values)) if values else None

    @property
    def gap(self) -> float | None:
        """The first of two groups less the second; None for another number of groups."""
        if len(self.groups) != 2:
            return None
        first, second = self.groups.values()
        return None if first is None or second is None else round(first - second, DECIMALS)


@dataclass(frozen=True)
class VerificationResult:
    """The leader's figures, counted by the sweep and by torchmetrics from the saved weights."""

    part: str
    images: int | None
    rows: tuple[tuple[str, float | None, float | None], ...]
    """Name, ours, torchmetrics."""
    difference: float | None

    @property
    def agrees(self) -> bool:
        return self.difference is not None and self.difference <= TOLERANCE


def score(trial: Scored) -> float:
    """Return the trial's score; NaN for one that failed or has none."""
    value = trial.metrics.get(SCORE, math.nan)
    return value if math.isfinite(value) and trial.status != FAILED else math.nan


def rank(trials: Sequence[TrialT]) -> list[TrialT]:
    """Return the trials that have a score, the best first; equal scores keep the order of the plan."""
    return sorted((trial for trial in trials if not math.isnan(score(trial))), key=score, reverse=True)


def pareto_front(
    points: Iterable[PointT], cost: Callable[[PointT], float], value: Callable[[PointT], float]
) -> list[PointT]:
    """Return the points that no other point beats or equals in both cost and value, the cheapest first.

    Of (1 ms, 0.5), (2 ms, 0.4) and (3 ms, 0.6) the second is beaten by the first.
    """
    front: list[PointT] = []
    for point in sorted(points, key=lambda point: (cost(point), -value(point))):
        if not front or value(point) > value(front[-1]):
            front.append(point)
    return front


def score_evidence(evidence: Evidence) -> Scores:
    """Return the figures of the evidence: counts are summed first and divided once."""
    pooled = pool(evidence.counts)
    groups, names = evidence.groups, evidence.task.group_names
    return Scores(
        miou=figure(float(miou(pooled))),
        iou={name: figure(float(value)) for name, value in zip(evidence.classes, iou(pooled), strict=True)},
        groups={group: figure(value) for group, value in miou_by_group(evidence.counts, groups, names).items()},
        images={group: groups.count(group) for group in names},
        boundary=_boundary(evidence),
    )


def _boundary(evidence: Evidence) -> dict[str, float | None]:
    if evidence.boundary is None:
        return {}
    values = boundary_iou(evidence.boundary.sum(0))
    return {name: figure(float(value)) for name, value in zip(evidence.classes, values, strict=True)}


def compare_figures(record: Mapping[str, Any]) -> VerificationResult:
    """Return the comparison; the largest difference is taken from the figures shown, not from a summary of them."""
    ours, theirs = (_flat(record.get(side)) for side in ("evidence", "torchmetrics"))
    rows = tuple((name, ours.get(name), theirs.get(name)) for name in dict.fromkeys([*ours, *theirs]))
    differences = [abs(a - b) for _, a, b in rows if a is not None and b is not None]
    recorded = [*differences, finite_number(record.get("max_difference")) or 0.0]
    one_sided = any((a is None) != (b is None) for _, a, b in rows)
    images = record.get("images")
    return VerificationResult(
        part=str(record.get("part", "")),
        images=images if isinstance(images, int) else None,
        rows=rows,
        difference=None if one_sided or not differences else max(recorded),
    )


def _flat(side: Any) -> dict[str, float | None]:
    """Return mean and class IoUs of one side, unrounded: the seventh decimal matters."""
    if not isinstance(side, Mapping):
        return {}
    classes = side.get("iou")
    values = {"mIoU": side.get("miou"), **(classes if isinstance(classes, Mapping) else {})}
    return {str(name): finite_number(value) for name, value in values.items()}


@dataclass(frozen=True)
class Column:
    """The figures of one set of images."""

    title: str
    images: int | None
    """None where it is not known."""
    miou: float | None
    iou: Mapping[str, float | None]


def score_images(evidence: Evidence, keep: np.ndarray | None, title: str) -> Column:
    """Return the pooled figures of some images."""
    pooled = pool(evidence.counts, keep)
    values = zip(evidence.classes, iou(pooled), strict=True)
    images = len(evidence.names) if keep is None else int(keep.sum())
    return Column(title, images, figure(float(miou(pooled))), {name: figure(float(value)) for name, value in values})

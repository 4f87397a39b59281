"""Rank images by how many of their pixels are probably labelled wrong, with the main reasons of each. No I/O.

Labelled pixels: those that are confidently of another class, each by the margin of that class over the label.

Ignored pixels have no label to disagree with, and models that never learned what is ignored see a known class in it: a
pavement looks like road. A class is missing as far as three things hold: ignored pixels look like it, the mask has less
of it than most other images, and more of what looks like it is ignored than is usual. Usual is what the other images of
the drive have, and where they are few, all images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sweeps.statistics.confident_learning import estimate_joint

LOW = 0.25
"""Quantile of the other images' labels: a mask with less of a class than it lacks some."""

MISSING = 0.1
"""A class is missing where the mask has less than this share of what is usual, else a part of it is."""

MOST_FAULTS = 3


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """Labels of images beside what models predict there; all but `losses` in pixels.

    Shape:
        joint: (N, C, C), the confident joint of each image.  margins: (N, C, C), sums of margins of the confident class
        over the label.  labels: (N, C + 1), the last column is of ignored pixels.  ignored: (N, C), sums of
        probabilities over ignored pixels.  losses: (N, C), mean loss of the label; NaN without one.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    """Equal for images of one drive."""
    classes: tuple[str, ...]
    joint: np.ndarray
    margins: np.ndarray
    labels: np.ndarray
    ignored: np.ndarray
    losses: np.ndarray

    def estimated(self) -> np.ndarray:
        """Return the estimated share of all labelled pixels by label and true class.

        Shape:
            returns: (C, C)
        """
        return estimate_joint(self.joint.sum(0), self.labels[:, : len(self.classes)].sum(0))


@dataclass(frozen=True)
class Fault:
    """One reason to doubt the mask of an image; all figures are shares of the image."""

    label: str
    """Class that the mask has there; "" where it is ignored."""
    predicted: str
    """Class that the models see there."""
    share: float
    """The part of the image's score."""
    seen: float
    """Pixels of that kind."""
    labelled: float
    """Pixels with the predicted class as their label."""
    usual: float
    """The same in other images: three quarters have at least so many."""

    @property
    def is_missing(self) -> bool:
        """Return whether the mask lacks nearly all of the class."""
        return not self.label and self.labelled < MISSING * self.usual

    def sentence(self) -> str:
        """Return the fault in words."""
        if self.label:
            return f"labelled {self.label}, probably {self.predicted}: {_percent(self.seen)} of the image"
        part = "" if self.is_missing else "part of "
        return (
            f"{part}{self.predicted} is missing: the mask has {_percent(self.labelled)}, usually at least "
            f"{_percent(self.usual)}, and {_percent(self.seen)} of the image is ignored and looks like it"
        )


@dataclass(frozen=True)
class Suspect:
    """An image with the share of its pixels that are probably labelled wrong."""

    name: str
    score: float
    """From 0 to 1."""
    faults: tuple[Fault, ...]
    """The largest first, at most three."""

    @property
    def reason(self) -> str:
        """Return the main reason in words."""
        return self.faults[0].sentence() if self.faults else "nothing unusual"


def rank_suspects(counts: LabelCounts) -> tuple[Suspect, ...]:
    """Return all images, the most suspect first; equal scores are ordered by name."""
    shares = fault_shares(counts)  # (N, C + 1, C)
    scores = np.minimum(shares.sum((1, 2)), 1.0)
    usual = usual_labels(counts)
    order = sorted(range(len(counts.names)), key=lambda image: (-scores[image], counts.names[image]))
    return tuple(
        Suspect(counts.names[image], float(scores[image]), _faults(counts, shares[image], usual[image], image))
        for image in order
    )


def fault_shares(counts: LabelCounts) -> np.ndarray:
    """Return the share of each image that is probably wrong, by label and predicted class.

    Shape:
        returns: (N, C + 1, C), float64, >= 0; the last row is of ignored pixels.
    """
    pixels = _pixels(counts)
    margins = counts.margins / pixels[:, None, None]
    labelled = np.maximum(margins - _of_others(margins, counts.units, _median), 0.0)
    return np.concatenate([labelled, missing_shares(counts)[:, None]], axis=1)


def missing_shares(counts: LabelCounts) -> np.ndarray:
    """Return how much of each class an image lacks: no more than it has less than usual, nor than ignored pixels show.

    Shape:
        returns: (N, C), float64, >= 0.
    """
    pixels = _pixels(counts)
    labelled, ignored = counts.labels[:, :-1] / pixels[:, None], counts.ignored / pixels[:, None]
    unlabelled = ignored / np.maximum(labelled + ignored, 1e-9)  # of what looks like the class
    usual = _of_others(unlabelled, counts.units, _median)
    excess = np.clip((unlabelled - usual) / np.maximum(1 - usual, 1e-9), 0.0, 1.0)
    lacking = np.maximum(usual_labels(counts) - labelled, 0.0)
    shares: np.ndarray = np.minimum(ignored, lacking) * excess**2
    return shares


def usual_labels(counts: LabelCounts) -> np.ndarray:
    """Return the share of an image that three quarters of the other images have of each class at least.

    Shape:
        returns: (N, C)
    """
    return _of_others(counts.labels[:, :-1] / _pixels(counts)[:, None], counts.units, _low)


def _of_others(values: np.ndarray, units: Sequence[str], summarise: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the summary of the other images of each image's drive; that of all images counts like one more of them.

    Shape:
        values, returns: (N, ...).
    """
    everywhere = summarise(values)
    result = np.empty_like(values)
    _, unit = np.unique(np.asarray(units), return_inverse=True)
    members = [np.flatnonzero(unit == number) for number in range(int(unit.max(initial=-1)) + 1)]
    for positions in members:
        for position in positions:
            others = values[positions[positions != position]]
            own = summarise(others) * len(others) if len(others) else 0.0
            result[position] = (own + everywhere) / (len(others) + 1)
    return result


def _median(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.median(values, axis=0))


def _low(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.quantile(values, LOW, axis=0))


def _pixels(counts: LabelCounts) -> np.ndarray:
    return np.maximum(counts.labels.sum(1), 1)


def _faults(counts: LabelCounts, shares: np.ndarray, usual: np.ndarray, image: int) -> tuple[Fault, ...]:
    classes, pixels = counts.classes, max(1, int(counts.labels[image].sum()))
    order = np.argsort(-shares, axis=None, kind="stable")[:MOST_FAULTS]
    rows, columns = np.unravel_index(order, shares.shape)
    seen = np.concatenate([counts.joint[image], counts.ignored[image][None]]) / pixels
    return tuple(
        Fault(
            label=classes[row] if row < len(classes) else "",
            predicted=classes[column],
            share=float(shares[row, column]),
            seen=float(seen[row, column]),
            labelled=float(counts.labels[image, column] / pixels),
            usual=float(usual[column]),
        )
        for row, column in zip(rows, columns, strict=True)
        if shares[row, column] > 0
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 or share == 0 else f"{100 * share:.1f} %"

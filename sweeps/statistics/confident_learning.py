"""Confident learning on segmentation masks: where are models sure of another class than the mask has? No I/O.

A pixel counts as confidently of class j when its probability of j is at least the mean probability that pixels labelled
j have of j, so that a class that is hard to learn has a low bar. Ignored pixels have no label and are counted apart.

Source: Northcutt, Jiang and Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels, sections 3.1
and 3.2.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bddseg.task import IGNORE

UNSURE = -1
"""Class of a pixel for which no class reaches its bar."""

LIKELY = 0.5
"""Share of the highest probability that a class must have for an ignored pixel to look like it.

Confident classes are too few here: networks are unsure of what they never learned, above all at night.
"""

LEAST_PROBABILITY = 1e-6
"""Lower bound of a probability, so that a loss stays finite."""


@dataclass(frozen=True, eq=False)
class SelfConfidence:
    """Sums over labelled pixels, from which the bars follow.

    Shape:
        sums, pixels: (C,), by the class of the label.
    """

    sums: np.ndarray
    pixels: np.ndarray

    @classmethod
    def of(cls, probabilities: np.ndarray, truth: np.ndarray) -> Self:
        """Return the sums of some images.

        Shape:
            probabilities: (N, C, H, W).  truth: (N, H, W), classes or IGNORE.
        """
        classes = probabilities.shape[1]
        labels, own = _own_probabilities(probabilities, truth)
        return cls(np.bincount(labels, own, classes), np.bincount(labels, minlength=classes))

    def __add__(self, other: Self) -> "SelfConfidence":
        return SelfConfidence(self.sums + other.sums, self.pixels + other.pixels)

    def bars(self) -> np.ndarray:
        """Return the least probability at which a pixel is confidently of each class; infinite without a label.

        Shape:
            returns: (C,), float64.
        """
        bars = np.full(len(self.sums), np.inf)
        np.divide(self.sums, self.pixels, out=bars, where=self.pixels > 0)
        return bars


def confident_classes(probabilities: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """Return the class that a pixel confidently has: of those that reach their bars the most probable, else UNSURE.

    Shape:
        probabilities: (N, C, H, W).  bars: (C,).  returns: (N, H, W), int16.
    """
    reached = np.where(probabilities >= bars[:, None, None], probabilities, -1.0)
    return np.where(reached.max(1) >= 0, reached.argmax(1), UNSURE).astype(np.int16)


def count_confident(truth: np.ndarray, confident: np.ndarray, classes: int) -> np.ndarray:
    """Return the confident joint of each image: its labelled pixels by label and confident class.

    Shape:
        truth, confident: (N, H, W).  returns: (N, C, C), int64.
    """
    is_counted = (truth != IGNORE) & (confident != UNSURE)
    index = _pairs(truth, confident, classes)[is_counted]
    return np.bincount(index, minlength=len(truth) * classes**2).reshape(len(truth), classes, classes)


def sum_margins(probabilities: np.ndarray, truth: np.ndarray, confident: np.ndarray) -> np.ndarray:
    """Return by how much the confident class is more probable than the label, summed over the pixels where they differ.

    Shape:
        probabilities: (N, C, H, W).  truth, confident: (N, H, W).  returns: (N, C, C), float64, by label and class.
    """
    images, classes = probabilities.shape[:2]
    differs = (truth != IGNORE) & (confident != UNSURE) & (confident != truth)
    own, other = (
        np.take_along_axis(probabilities, np.where(differs, chosen, 0)[:, None].astype(np.int64), axis=1)[:, 0]
        for chosen in (truth, confident)
    )
    index = _pairs(truth, confident, classes)[differs]
    margins = np.maximum(other - own, 0.0)[differs]
    return np.bincount(index, margins, images * classes**2).reshape(images, classes, classes)


def look_like(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return which ignored pixels look like each class: it is at least half as probable as the most probable class.

    Shape:
        probabilities: (N, C, H, W).  truth: (N, H, W).  returns: (N, C, H, W), bool.
    """
    is_likely = probabilities >= LIKELY * probabilities.max(1, keepdims=True)
    return np.asarray(is_likely & (truth == IGNORE)[:, None])


def sum_ignored(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the probabilities of each class, summed over the ignored pixels that look like it.

    Shape:
        probabilities: (N, C, H, W).  truth: (N, H, W).  returns: (N, C), float64.
    """
    sums: np.ndarray = (probabilities * look_like(probabilities, truth)).sum((2, 3), dtype=np.float64)
    return sums


def count_labels(truth: np.ndarray, classes: int) -> np.ndarray:
    """Return the pixels of each image by label; the last column is of ignored ones.

    Shape:
        truth: (N, H, W).  returns: (N, C + 1), int64.
    """
    rows = np.where(truth == IGNORE, classes, truth).astype(np.int64).reshape(len(truth), -1)
    index = np.arange(len(truth))[:, None] * (classes + 1) + rows
    return np.bincount(index.ravel(), minlength=len(truth) * (classes + 1)).reshape(len(truth), classes + 1)


def truth_losses(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the mean loss of the label, minus the logarithm of its probability, by image and class; NaN without one.

    Shape:
        probabilities: (N, C, H, W).  truth: (N, H, W).  returns: (N, C), float64.
    """
    images, classes = probabilities.shape[:2]
    labels, own = _own_probabilities(probabilities, truth)
    image = np.nonzero(truth != IGNORE)[0]
    index = image * classes + labels
    losses = -np.log(np.maximum(own, LEAST_PROBABILITY))
    sums = np.bincount(index, losses, images * classes)
    pixels = np.bincount(index, minlength=images * classes)
    means = np.full(images * classes, np.nan)
    np.divide(sums, pixels, out=means, where=pixels > 0)
    return means.reshape(images, classes)


def estimate_joint(joint: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the estimated share of all labelled pixels by label and true class: rows calibrated to the labels.

    Shape:
        joint: (C, C), the confident joint of all images.  labels: (C,), pixels.  returns: (C, C), its sum is 1.
    """
    totals = joint.sum(1, keepdims=True)
    shares = np.where(totals > 0, joint / np.maximum(totals, 1), np.eye(len(joint)))
    calibrated: np.ndarray = shares * labels[:, None]
    return calibrated / max(1, labels.sum())


def _pairs(truth: np.ndarray, confident: np.ndarray, classes: int) -> np.ndarray:
    """Return a number for image, label and confident class of each pixel; meaningless where one of them is missing."""
    image = np.arange(len(truth), dtype=np.int64)[:, None, None]
    return (image * classes + truth.astype(np.int64)) * classes + confident


def _own_probabilities(probabilities: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return label, and probability of the label, of every labelled pixel, in the order of the pixels."""
    is_labelled = truth != IGNORE
    labels = np.where(is_labelled, truth, 0).astype(np.int64)
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    return labels[is_labelled], own[is_labelled].astype(np.float64)

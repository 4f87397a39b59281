"""Mean probabilities of models on images that none of them trained on -> counts of labels and confident classes.

The probabilities lie in a temporary file: the bars of confident learning are known only once every image was predicted.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from bddseg.checkpoint import load_checkpoint
from bddseg.data.drives import unit_of
from bddseg.errors import DataError
from bddseg.predictor import load_trained
from bddseg.probabilities import in_batches, predict_probabilities
from sweeps.environment import cache_folder
from sweeps.planning.dataset import Dataset
from sweeps.registry.weights import open_weights
from sweeps.review.unseen import Reviewer, Reviewers
from sweeps.statistics.confident_learning import (
    SelfConfidence,
    confident_classes,
    count_confident,
    count_labels,
    sum_ignored,
    sum_margins,
    truth_losses,
)
from sweeps.statistics.label_faults import LabelCounts
from sweeps.tracking.reader import Store


@contextmanager
def open_probabilities(
    reviewers: Reviewers, material: Dataset, store: Store, device: torch.device, *, is_quiet: bool
) -> Iterator[np.ndarray]:
    """Give the mean probabilities of every reviewed image for as long as the context lasts.

    Shape:
        yields: (M, C, H, W), float16; rows as `reviewers.images`.

    Raises:
        DataError: when weights cannot be used, or the temporary file cannot be written.
    """
    size, classes = material.frames.size_px, len(reviewers.classes)
    shape = (len(reviewers.images), classes, size, size)
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="review-", dir=cache_folder()) as folder:
            sums = np.memmap(Path(folder) / "probabilities", np.float16, "w+", shape=shape)
            _predict_all(reviewers, material, store, device, sums, is_quiet=is_quiet)
            yield sums
    except OSError as error:
        raise DataError(f"probabilities cannot be written below {cache_folder()}: {error.strerror}") from error


def _predict_all(
    reviewers: Reviewers, material: Dataset, store: Store, device: torch.device, sums: np.ndarray, *, is_quiet: bool
) -> None:
    row_of = {image: row for row, image in enumerate(reviewers.images)}
    weights = Counter(image for reviewer in reviewers.reviewers for image in reviewer.images)
    total = sum(len(reviewer.images) for reviewer in reviewers.reviewers)
    with tqdm(total=total, desc="predicting", unit="image", file=sys.stderr, disable=is_quiet) as bar:
        for reviewer in reviewers.reviewers:
            for images, probabilities in _predictions(reviewer, material, store, device):
                shares = np.asarray([1 / weights[image] for image in images])[:, None, None, None]
                sums[[row_of[image] for image in images]] += (probabilities * shares).astype(sums.dtype)
                bar.update(len(images))


def _predictions(
    reviewer: Reviewer, material: Dataset, store: Store, device: torch.device
) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    with open_weights(reviewer.row.run_id, store) as path:
        network = load_trained(load_checkpoint(path), device)
    for batch, probabilities in predict_probabilities(network, material.frames.images, reviewer.images):
        yield reviewer.images[batch], probabilities


def count_review(probabilities: np.ndarray, reviewers: Reviewers, material: Dataset) -> tuple[LabelCounts, np.ndarray]:
    """Return the counts of every reviewed image, and the bar of each class.

    Shape:
        probabilities: (M, C, H, W).  the bars: (C,).
    """
    images = list(reviewers.images)
    names = tuple(material.frames.names[image] for image in images)
    units = tuple(unit_of(name, material.split.drive_pattern) for name in names)
    return count_images(probabilities, material.frames.masks[images], names, units, reviewers.classes)


def count_images(
    probabilities: np.ndarray, masks: np.ndarray, names: Sequence[str], units: Sequence[str], classes: Sequence[str]
) -> tuple[LabelCounts, np.ndarray]:
    """Return the counts of images, and the bar of each class, a batch of images at a time.

    Shape:
        probabilities: (M, C, H, W).  masks: (M, H, W).  the bars: (C,).
    """
    batches = list(in_batches(len(masks)))
    confidence = SelfConfidence(np.zeros(len(classes)), np.zeros(len(classes), dtype=np.int64))
    for batch in batches:
        confidence += SelfConfidence.of(np.asarray(probabilities[batch], np.float32), masks[batch])
    bars = confidence.bars()
    parts = [_count(probabilities[batch], masks[batch], bars) for batch in batches]
    joint, margins, labels, ignored, losses = (np.concatenate(column) for column in zip(*parts, strict=True))
    counts = LabelCounts(tuple(names), tuple(units), tuple(classes), joint, margins, labels, ignored, losses)
    return counts, bars


def _count(probabilities: np.ndarray, masks: np.ndarray, bars: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return joint, margins, labels, ignored mass and losses of a batch of images."""
    predicted, truth, classes = np.asarray(probabilities, np.float32), np.asarray(masks), len(bars)
    confident = confident_classes(predicted, bars)
    return (
        count_confident(truth, confident, classes),
        sum_margins(predicted, truth, confident),
        count_labels(truth, classes),
        sum_ignored(predicted, truth),
        truth_losses(predicted, truth),
    )

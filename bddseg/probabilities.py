"""Probabilities of the classes of many images, a batch at a time."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from bddseg.predictor import Predictor

BATCH = 16
"""Images that are predicted at once."""


def predict_probabilities(
    network: Predictor, images: np.ndarray, positions: Sequence[int]
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the probabilities of the images at the positions, a batch at a time, with the batch's place among them.

    Shape:
        images: (N, H, W, 3), uint8.  yields: (n, C, H, W), float32.
    """
    for batch in in_batches(len(positions)):
        scores = network.score(images[list(positions[batch])])
        yield batch, torch.softmax(scores.float(), dim=1).cpu().numpy()


def in_batches(total: int) -> Iterator[slice]:
    """Yield slices that cover so many rows."""
    for start in range(0, total, BATCH):
        yield slice(start, min(start + BATCH, total))

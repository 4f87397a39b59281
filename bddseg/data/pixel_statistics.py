"""What training measures of its frames: means and deviations of channels, pixels of classes. Needs no torch."""

from collections.abc import Sequence

import numpy as np


def channel_statistics(images: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each colour channel, of values scaled to 0..1.

    Shape:
        images: (N, H, W, 3), uint8.  returns: two of (3,), float32.
    """
    histogram = np.zeros((3, 256), dtype=np.int64)
    for index in indices:
        for channel in range(3):
            histogram[channel] += np.bincount(images[index, :, :, channel].ravel(), minlength=256)
    levels = np.arange(256) / 255
    pixels = histogram.sum(axis=1)
    average = histogram @ levels / pixels
    variance = histogram @ levels**2 / pixels - average**2
    deviation = np.sqrt(np.maximum(variance, 1e-12))  # a channel of one value: no division by zero
    return average.astype(np.float32), deviation.astype(np.float32)


def class_pixels(masks: np.ndarray, indices: Sequence[int] | np.ndarray, classes: int) -> np.ndarray:
    """Return how many pixels of each class the images have; IGNORE does not count.

    Shape:
        masks: (N, H, W), uint8.  returns: (C,), int64.
    """
    total = np.zeros(256, dtype=np.int64)
    for index in indices:
        total += np.bincount(masks[index].ravel(), minlength=256)
    return total[:classes]

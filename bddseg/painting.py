"""Predicted classes -> pictures: colours over the image, a mask in the palette's colours, BDD100K's own numbers."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from bddseg.labels import BDD_CLASSES, CLASSES, IGNORE, PALETTE

OPACITY = 0.5
"""Of the colours over the image."""


def fit_classes(classes: np.ndarray, image: Image.Image) -> np.ndarray:
    """Return predicted classes at the size of the image they are of: each pixel takes the nearest one's class.

    Shape:
        classes: (h, w), integers.  returns: (H, W), uint8.
    """
    small = Image.fromarray(classes.astype(np.uint8))
    return np.asarray(small.resize(image.size, Image.Resampling.NEAREST))


def paint_overlay(image: Image.Image, classes: np.ndarray) -> Image.Image:
    """Return the image with the colour of each pixel's class over it; both have the same size."""
    return Image.blend(image.convert("RGB"), paint_mask(image, classes).convert("RGB"), OPACITY)


def paint_mask(_: Image.Image, classes: np.ndarray) -> Image.Image:
    """Return the classes as an image with a palette: its values are the classes, its colours those of the pictures."""
    mask = Image.fromarray(classes.astype(np.uint8)).convert("P")
    mask.putpalette([value for colour in PALETTE for value in colour])
    return mask


def paint_labels(_: Image.Image, classes: np.ndarray) -> Image.Image:
    """Return the classes in the numbers that BDD100K masks have, in grey."""
    table = np.full(256, IGNORE, dtype=np.uint8)
    table[: len(CLASSES)] = [BDD_CLASSES.index(name) for name in CLASSES]
    return Image.fromarray(table[classes])


PICTURES: dict[str, tuple[str, Callable[[Image.Image, np.ndarray], Image.Image]]] = {
    "overlay": ("overlay.jpg", paint_overlay),
    "mask": ("mask.png", paint_mask),
    "labels": ("labels.png", paint_labels),
}
"""Kind of picture -> how its file's name ends, and what paints it."""

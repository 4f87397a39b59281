"""Synthetic frames in memory, for measurements that depend only on their number and size."""

import numpy as np
from bddseg.labels import CLASSES, SCENES

from bddseg.data.frames import Frames
from bddseg.data.split import Split

SEED = 3
BLOCK_PX = 8
"""Side of the squares of one class that a mask is made of."""


def synthetic_frames(images: int, size_px: int) -> Frames:
    """Return frames of coloured squares with noise; the colour tells the class."""
    rng = np.random.default_rng(SEED)
    blocks = -(-size_px // BLOCK_PX)
    labels = rng.integers(0, len(CLASSES), (images, blocks, blocks), dtype=np.uint8)
    masks = labels.repeat(BLOCK_PX, axis=1).repeat(BLOCK_PX, axis=2)[:, :size_px, :size_px].copy()
    pixels = rng.integers(0, 128, (images, size_px, size_px, 3), dtype=np.uint8)
    pixels += 24 * masks[..., None]
    return Frames(
        images=pixels,
        masks=masks,
        names=tuple(f"synthetic-{number:04d}" for number in range(images)),
        scenes=(SCENES[0],) * images,
        weathers=("clear",) * images,
        times_of_day=("daytime",) * images,
        fingerprint=f"{SEED:08x}{images:08x}",
    )


def synthetic_split(train: int, val: int, test: int) -> Split:
    """Return parts of these sizes, one after the other."""
    numbers = tuple(range(train + val + test))
    return Split(numbers[:train], numbers[train : train + val], numbers[train + val :], by_drive=False, warning="")

"""Synthetic frames in memory, for measurements that depend only on their number and size."""

import numpy as np

from bddseg.data.bdd100k_labels import SCENES
from bddseg.data.frames import Frames
from bddseg.data.split import Split
from bddseg.task import FIVE_CLASSES

SEED = 3
BLOCK_PX = 8
"""Side of the squares of one class that a mask is made of."""


def synthetic_frames(images: int, size_px: int) -> Frames:
    """Return frames of coloured squares with noise; the colour tells the class."""
    rng = np.random.default_rng(SEED)
    blocks = -(-size_px // BLOCK_PX)
    labels = rng.integers(0, len(FIVE_CLASSES.classes), (images, blocks, blocks), dtype=np.uint8)
    masks = labels.repeat(BLOCK_PX, axis=1).repeat(BLOCK_PX, axis=2)[:, :size_px, :size_px].copy()
    pixels = rng.integers(0, 128, (images, size_px, size_px, 3), dtype=np.uint8)
    pixels += 24 * masks[..., None]
    return Frames(
        images=pixels,
        masks=masks,
        names=tuple(f"synthetic-{number:04d}" for number in range(images)),
        attributes={"scene": (SCENES[0],) * images, "weather": ("clear",) * images, "timeofday": ("daytime",) * images},
        fingerprint=f"{SEED:08x}{images:08x}",
    )


def synthetic_split(train: int, val: int, test: int) -> Split:
    """Return parts of these sizes, one after the other."""
    numbers = tuple(range(train + val + test))
    return Split(numbers[:train], numbers[train : train + val], numbers[train + val :], by_drive=False, warning="")

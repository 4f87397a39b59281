"""Draw docs/augment.jpg: what each augmentation does to images and masks. Run: python -m docs.augment_sheet"""

import tempfile
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot as plt

from bddseg.augment import AUGMENTATIONS
from bddseg.data.catalog import read_catalog
from bddseg.data.frames import Frames, build_frames
from bddseg.data.streets.dataset import streets_folder, write_streets
from bddseg.task import FIVE_CLASSES, IGNORE

SHEET = Path(__file__).with_name("augment.jpg")
COLUMNS = (("none", 0), ("flip", 3), ("standard", 1), ("standard", 2), ("standard", 3))
"""Augmentation and seed of each column."""

ROWS = ("city street", "residential", "highway")
SIZE_PX = 192
ROAD = FIVE_CLASSES.classes.index("road")


def main() -> None:
    """Write the sheet: for each scene a row of images and a row of their masks."""
    matplotlib.use("Agg")
    frames = street_frames()
    figure, axes = plt.subplots(2 * len(ROWS), len(COLUMNS), figsize=(9, 10.8), layout="constrained")
    for row, scene in enumerate(ROWS):
        index = next(i for i, name in enumerate(frames.scenes) if name == scene and ROAD in frames.masks[i])
        for column, (name, seed) in enumerate(COLUMNS):
            image, mask = augmented(frames, index, name, seed)
            axes[2 * row, column].imshow(image)
            axes[2 * row + 1, column].imshow(painted(mask))
            if row == 0:
                axes[0, column].set_title(f"{name}" + (f", draw {seed}" if name == "standard" else ""))
        axes[2 * row, 0].set_ylabel(scene)
        axes[2 * row + 1, 0].set_ylabel("mask")
    for axis in axes.flat:
        axis.set_xticks([], labels=[])
        axis.set_yticks([], labels=[])
    figure.savefig(SHEET, dpi=110)


def street_frames() -> Frames:
    """Return the embedded streets, as trials see them."""
    with tempfile.TemporaryDirectory() as folder:
        root = streets_folder(Path(folder))
        write_streets(root)
        frames = build_frames(read_catalog(root).samples, SIZE_PX, Path(folder))
        return Frames(**{**vars(frames), "images": np.array(frames.images), "masks": np.array(frames.masks)})


def augmented(frames: Frames, index: int, name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one image and its mask after an augmentation.

    Shape:
        returns: (H, W, 3), values 0..1, and (H, W)
    """
    torch.manual_seed(seed)
    images = torch.from_numpy(frames.images[[index]]).permute(0, 3, 1, 2).float() / 255
    masks = torch.from_numpy(frames.masks[[index]]).long()
    image, mask = AUGMENTATIONS[name](images, masks)
    return image[0].permute(1, 2, 0).numpy(), mask[0].numpy()


def painted(mask: np.ndarray) -> np.ndarray:
    """Return a mask in the colours of the task, IGNORE in black.

    Shape:
        mask: (H, W).  returns: (H, W, 3), uint8.
    """
    colours = np.zeros((IGNORE + 1, 3), dtype=np.uint8)
    colours[: len(FIVE_CLASSES.classes)] = FIVE_CLASSES.palette
    return colours[mask]


if __name__ == "__main__":
    main()

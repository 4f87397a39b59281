"""A folder of images and masks as a user has one: boats in a harbour, seen by several cameras."""

from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 64, 48
SKY, WATER, BOAT, CABIN, UNLABELLED = 1, 2, 3, 4, 255
COLOURS = {SKY: (140, 180, 230), WATER: (70, 90, 120), BOAT: (190, 50, 40), CABIN: (230, 220, 90)}
WEATHERS = {"sunny": 1.0, "rainy": 0.7, "foggy": 0.85}
"""Their brightness."""


def write_wharf(root: Path, *, cameras: int = 12, frames_each: int = 4) -> Path:
    """Write `images`, `masks` and `weather.csv`, and return the folder."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    rows = ["name,weather"]
    for camera in range(cameras):
        rng, weather = np.random.default_rng(camera), list(WEATHERS)[camera % len(WEATHERS)]
        horizon = int(rng.integers(14, 26))
        for frame in range(frames_each):
            name, mask = f"cam{camera:02}_{frame:04}", draw_mask(horizon, 4 + 9 * frame)
            Image.fromarray(paint(mask, WEATHERS[weather], rng)).save(root / f"images/{name}.jpg", quality=92)
            Image.fromarray(mask).save(root / f"masks/{name}.png")
            rows.append(f"{name},{weather}")
    (root / "weather.csv").write_text("\n".join(rows) + "\n")
    return root


def draw_mask(horizon: int, left: int) -> np.ndarray:
    """Return a boat on the water below the sky; the last two rows have no label."""
    mask = np.full((HEIGHT, WIDTH), SKY, np.uint8)
    mask[horizon:] = WATER
    mask[horizon - 2 : horizon + 8, left : left + 20] = BOAT
    mask[horizon - 6 : horizon - 2, left + 5 : left + 13] = CABIN
    mask[-2:] = UNLABELLED
    return mask


def paint(mask: np.ndarray, brightness: float, rng: np.random.Generator) -> np.ndarray:
    """Return the image of a mask, with noise."""
    colours = np.zeros((256, 3))
    colours[list(COLOURS)] = list(COLOURS.values())
    return (colours[mask] * brightness + rng.normal(0, 10, (*mask.shape, 3))).clip(0, 255).astype(np.uint8)

"""The 19 BDD100K classes, the five-class task, and the scenes with their two groups."""

import re

import numpy as np

IGNORE = 255
"""Mask value of pixels that are excluded from the loss and from every metric."""

BDD_CLASSES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
"""Class of each mask value 0..18 (Cityscapes train ids, as BDD100K uses them)."""

CLASSES = ("road", "building", "vegetation", "sky", "car")
"""The task: the five BDD100K classes with the most pixels, in the order of the model's outputs."""

PALETTE = ((128, 64, 128), (110, 110, 110), (34, 139, 34), (70, 130, 180), (220, 60, 30))
"""RGB colour of each task class in all pictures."""

CITY = "city street"
"""The scene of the first group."""

SCENES = (CITY, "highway", "residential", "parking lot", "tunnel", "gas stations", "undefined")
"""Values of the scene attribute in the BDD100K detection labels."""

WEATHERS = ("clear", "overcast", "partly cloudy", "rainy", "snowy", "foggy", "undefined")
TIMES_OF_DAY = ("daytime", "night", "dawn/dusk", "undefined")
"""Values of the other two attributes of an image."""

GROUPS = ("city", "non_city")
"""The two sides of the research question."""


def group_of(scene: str) -> str:
    """Return the scene group: `city` for city streets, `non_city` for every other scene."""
    return "city" if scene == CITY else "non_city"


def slug(name: str) -> str:
    """Return a name as a part of metric names: lower case, words joined by `_`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def remap_table() -> np.ndarray:
    """Return the look-up table from BDD100K mask values to task classes.

    Shape:
        returns: (256,), uint8; every value outside the task maps to IGNORE.
    """
    table = np.full(256, IGNORE, dtype=np.uint8)
    for index, name in enumerate(CLASSES):
        table[BDD_CLASSES.index(name)] = index
    return table


def is_known_label() -> np.ndarray:
    """Return which of the 256 mask values BDD100K defines (0..18 and IGNORE).

    Shape:
        returns: (256,), bool
    """
    is_known = np.zeros(256, dtype=bool)
    is_known[: len(BDD_CLASSES)] = True
    is_known[IGNORE] = True
    return is_known

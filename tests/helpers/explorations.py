"""Small folders of images and masks, described and surveyed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bddseg.data.catalog import read_catalog
from bddseg.data.description import Description
from bddseg.data.description_parser import parse_description
from sweeps.exploration.measurement import measure_all
from sweeps.exploration.source import Folder
from sweeps.exploration.survey import Survey, build_survey

ENTRY: dict[str, Any] = {
    "images": "images/{name}.png",
    "masks": "masks/{name}.png",
    "classes": {
        "sky": {"values": 0, "colour": [0, 0, 200]},
        "road": {"values": 1, "colour": [100, 100, 100]},
        "car": {"values": 2, "colour": [200, 0, 0]},
    },
}
SKY, ROAD, CAR, IGNORED = 0, 1, 2, 255
SIZE_PX = 16


def describe(**changes: Any) -> Description:
    """Return the description of the small folders."""
    return parse_description("small", {**ENTRY, **changes}, "small")


def scene(*, car: bool = False, side: int = 32) -> np.ndarray:
    """Return a mask: sky above, road below, with a car or without."""
    mask = np.full((side, side), ROAD, dtype=np.uint8)
    mask[: side // 2] = SKY
    if car:
        mask[side - 8 : side - 2, 4:12] = CAR
    return mask


def write_pairs(
    root: Path, masks: Mapping[str, np.ndarray], attributes: Mapping[str, str] | None = None, level: int = 128
) -> Path:
    """Write a mask and an image of noise around a level for each name, and `attributes.csv` with their weather."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number, (name, mask) in enumerate(masks.items()):
        noise = np.random.default_rng(number).integers(-20, 21, (*mask.shape, 3)) if 20 < level < 235 else 0
        Image.fromarray(np.full((*mask.shape, 3), level + noise).astype(np.uint8)).save(root / f"images/{name}.png")
        Image.fromarray(mask).save(root / f"masks/{name}.png")
    if attributes is not None:
        lines = ["name,weather", *(f"{name},{weather}" for name, weather in attributes.items())]
        (root / "attributes.csv").write_text("\n".join(lines) + "\n")
    return root


def survey_folder(root: Path, **changes: Any) -> Survey:
    """Return the survey of a folder that `write_pairs` wrote."""
    description = describe(**changes)
    folder = Folder(description, read_catalog(root, description))
    return build_survey(folder, measure_all(folder.samples, description, SIZE_PX), SIZE_PX)


def survey_masks(root: Path, masks: Sequence[np.ndarray], **changes: Any) -> Survey:
    """Return the survey of masks, which are named a_00, a_01 and so on."""
    write_pairs(root, {f"a_{number:02}": mask for number, mask in enumerate(masks)})
    return survey_folder(root, **changes)

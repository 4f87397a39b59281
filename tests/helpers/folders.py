"""Tiny folders in BDD100K's layout, and where the real frames are."""

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIZE = (24, 16)
"""Width and height of the tiny images."""

REAL_DATA = Path(os.environ.get("BDDSEG_REAL_DATA") or "/nonexistent")
needs_real_data = pytest.mark.skipif(not REAL_DATA.is_dir(), reason="BDDSEG_REAL_DATA names no folder")


def write_image(root: Path, name: str, *, part: str = "train", size: tuple[int, int] = SIZE) -> Path:
    """Write a JPEG of noise that depends on the name alone."""
    path = root / f"images/10k/{part}/{name}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_noise(name).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(path)
    return path


def write_mask(
    root: Path,
    name: str,
    *,
    part: str = "train",
    size: tuple[int, int] = SIZE,
    mode: str = "L",
    label: int | None = None,
) -> Path:
    """Write a PNG mask: known labels in places that depend on the name alone, or one label everywhere."""
    path = root / f"labels/sem_seg/masks/{part}/{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.array([0, 2, 8, 10, 13, 5, 18, 255] if label is None else [label], dtype=np.uint8)
    mask = Image.fromarray(_noise(name).choice(labels, (size[1], size[0])))
    if mode == "P":
        mask.putpalette([value for index in range(256) for value in (255 - index, index, 0)])
    (mask if mask.mode == mode else mask.convert(mode)).save(path)
    return path


def write_det(root: Path, scenes: Mapping[str, str], *, part: str = "train") -> Path:
    """Write the det file of a part: a scene for each name, clear weather by day."""
    path = root / f"labels/det_20/det_{part}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    light = {"weather": "clear", "timeofday": "daytime"}
    entries = [{"name": f"{name}.jpg", "attributes": {**light, "scene": scene}} for name, scene in scenes.items()]
    path.write_text(json.dumps(entries))
    return path


def write_folder(root: Path, scenes: Mapping[str, str], *, part: str = "train") -> Path:
    """Write image, mask and scene for each name and return the folder."""
    for name in scenes:
        write_image(root, name, part=part)
        write_mask(root, name, part=part)
    write_det(root, scenes, part=part)
    return root


def _noise(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(os.fsencode(name)))


def save_image(path: Path, name: str = "", *, size: tuple[int, int] = SIZE) -> Path:
    """Write an image of noise that depends on the name, or on that of the file, in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_noise(name or path.stem).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(path)
    return path


def save_mask(path: Path, values: Sequence[object] = (0, 1), *, size: tuple[int, int] = SIZE) -> Path:
    """Write a mask whose rows repeat values, or colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    marks = np.array(values, dtype=np.uint8)
    Image.fromarray(np.repeat(marks[np.arange(size[1]) % len(marks)][:, None], size[0], axis=1)).save(path)
    return path


def write_pairs(root: Path, names: Sequence[str], values: Sequence[object] = (0, 1)) -> Path:
    """Write two folders, images and masks, and return their parent."""
    for name in names:
        save_image(root / "images" / f"{name}.jpg")
        save_mask(root / "masks" / f"{name}.png", values)
    return root

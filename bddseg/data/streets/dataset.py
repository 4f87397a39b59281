"""Generated street scenes in the BDD100K layout: the embedded default dataset, deterministic and difficult.

A drive is a street with its own buildings, trees, traffic, light and weather; its frames look along it from places some
metres apart. City, residential and highway scenes differ, and so does every drive from the next of its kind.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bddseg.data.streets.objects import LABELS
from bddseg.data.streets.render import draw
from bddseg.data.streets.scene import Drive, make_drive
from bddseg.errors import DataError
from bddseg.file_locks import locked
from bddseg.files import read_json, write_json
from bddseg.task import IGNORE

VERSION = 1
"""Raised by one whenever the same settings would give other pictures."""

SETTINGS_FILE, WRONG_FILE = "streets.json", "wrong_masks.json"
IMAGES, SEED, WIDTH_PX, HEIGHT_PX = 260, 7, 320, 180
FRAMES_PER_DRIVE = 5
WRONG_SHARE = 0.04
"""Share of the masks without a road, as in some of BDD100K's."""


def streets_folder(
    cache: Path, *, images: int = IMAGES, seed: int = SEED, width: int = WIDTH_PX, height: int = HEIGHT_PX
) -> Path:
    """Return the folder of the scenes of these settings in a cache; its name depends on settings and version."""
    text = json.dumps([VERSION, images, seed, width, height])
    return cache / f"streets-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def write_streets(
    root: Path, *, images: int = IMAGES, seed: int = SEED, width: int = WIDTH_PX, height: int = HEIGHT_PX
) -> None:
    """Write usable images with masks and scenes, and a few incomplete ones, as in the real data.

    The folder is written atomically. An existing one with the same settings is kept.

    Args:
        root: the folder to write.
        images: number of usable images.
        seed: of the scenes.
        width: of the images, in pixels.
        height: of the images, in pixels.

    Raises:
        DataError: when the folder cannot be written, or has other content.
    """
    settings = {"version": VERSION, "images": images, "seed": seed, "width": width, "height": height}
    root = root.absolute()
    temporary = root.parent / f".{root.name}-{os.getpid()}"
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with locked(root.parent / f".{root.name}.lock"):
            if _is_whole(root, settings):
                return
            if root.exists() and any(root.iterdir()) and not (root / SETTINGS_FILE).exists():
                raise DataError(f"{root} is to hold the embedded streets, but holds something else: move that away")
            _write_all(temporary, images, seed, (width, height))
            files = sum(path.is_file() for path in temporary.rglob("*"))
            write_json(temporary / SETTINGS_FILE, {**settings, "files": files})
            shutil.rmtree(root, ignore_errors=True)
            temporary.rename(root)
    except OSError as error:
        raise DataError(f"the embedded streets cannot be written to {root}: {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_whole(root: Path, settings: dict[str, Any]) -> bool:
    """Return whether the folder was written with these settings and still has all its files."""
    try:
        recorded = read_json(root / SETTINGS_FILE)
    except (OSError, ValueError):
        return False
    files = sum(path.is_file() for path in root.rglob("*")) - 1
    return recorded == {**settings, "files": files}


def _write_all(root: Path, images: int, seed: int, size: tuple[int, int]) -> None:
    entries: dict[str, list[dict[str, Any]]] = {"train": [], "val": []}
    wrong: list[str] = []
    for part in entries:
        for folder in ("images/10k", "labels/sem_seg/masks"):
            (root / folder / part).mkdir(parents=True)
    without_scene, unlabelled = max(1, images // 70), max(2, images // 40)
    for index, (drive, frame, name) in enumerate(_frames(seed, images + without_scene + unlabelled)):
        is_unlabelled = index >= images + without_scene
        rng = np.random.Generator(np.random.PCG64([seed, 1, index]))
        picture, mask = draw(drive, frame, size, rng)
        if index < images and rng.random() < WRONG_SHARE:
            mask = np.where(mask == LABELS["road"], rng.choice([IGNORE, LABELS["sidewalk"]]), mask).astype(np.uint8)
            wrong.append(name)
        part = "val" if is_unlabelled else "train"
        picture.save(root / "images/10k" / part / f"{name}.jpg", quality=int(rng.integers(70, 93)))
        Image.fromarray(mask).save(root / "labels/sem_seg/masks" / part / f"{name}.png")
        if index < images:
            entries["val" if index % 8 == 7 else "train"].append(_entry(drive, name))
        elif index % 2:  # an entry whose image is not in the 10k subset
            entries["train"].append(_entry(drive, f"{name[:8]}-{index:08x}"))
    (root / "labels/det_20").mkdir(parents=True)
    for part, part_entries in entries.items():
        write_json(root / f"labels/det_20/det_{part}.json", part_entries)
    write_json(root / WRONG_FILE, sorted(wrong), indent=1)


def _entry(drive: Drive, name: str) -> dict[str, Any]:
    attributes = {"weather": drive.weather, "timeofday": drive.timeofday, "scene": drive.scene}
    return {"name": f"{name}.jpg", "attributes": attributes, "timestamp": 10000, "labels": []}


def _frames(seed: int, number: int) -> Iterator[tuple[Drive, int, str]]:
    """Yield drive, index in the drive and name of a number of frames."""
    done = index = 0
    while done < number:
        drive = make_drive(seed, index)
        for frame in range(min(FRAMES_PER_DRIVE - 1 + index % 3, number - done)):
            digest = hashlib.sha256(f"{seed}/{index}/{frame}".encode()).hexdigest()[:8]
            yield drive, frame, f"{drive.name}-{digest}"
            done += 1
        index += 1

"""Tiny frames of coloured shapes that a small net learns in seconds, with split and settings."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bddseg.config import TrainConfig
from bddseg.data.frames import Frames
from bddseg.data.split import Split
from bddseg.task import FIVE_CLASSES, IGNORE

SCENES = ("city street", "highway", "residential", "city street")
CLASS = {name: index for index, name in enumerate(FIVE_CLASSES.classes)}


def make_frames(images: int = 24, size: int = 16, seed: int = 0) -> Frames:
    """Return frames whose colour tells the class, with noise, read-only as those in Ray's object store are."""
    rng = np.random.default_rng(seed)
    masks = np.stack([_mask(rng, size) for _ in range(images)])
    colours = np.array([*FIVE_CLASSES.palette, *[(0, 0, 0)] * (256 - len(FIVE_CLASSES.palette))])
    pixels = colours[masks] + rng.normal(0, 20, (images, size, size, 3))
    frames = Frames(
        images=np.clip(pixels, 0, 255).astype(np.uint8),
        masks=masks,
        names=tuple(f"frame-{index:03d}" for index in range(images)),
        attributes={
            "scene": tuple(SCENES[index % len(SCENES)] for index in range(images)),
            "weather": ("clear",) * images,
            "timeofday": ("daytime",) * images,
        },
        fingerprint="0123456789abcdef",
    )
    frames.images.flags.writeable = frames.masks.flags.writeable = False
    return frames


def make_split(images: int = 24) -> Split:
    """Return two thirds for training, a fifth for validation and the rest for testing."""
    val, test = images * 2 // 3, images * 2 // 3 + images // 5
    return Split(tuple(range(val)), tuple(range(val, test)), tuple(range(test, images)), by_drive=False, warning="")


def make_config(**changes: Any) -> TrainConfig:
    """Return settings of a run that takes a second; `changes` as `optim_lr=1e-3`."""
    tiny = {
        "data.size": 16,
        "model.base_filters": 4,
        "optim.lr": 1e-2,
        "train.epochs": 3,
        "train.batch_size": 4,
        "train.patience": 0,
        "train.precision": "fp32",
    }
    return TrainConfig().with_overrides(tiny | {key.replace("_", ".", 1): value for key, value in changes.items()})


def _mask(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return road below, sky above, a building, a tree, in half of all masks a car, and an ignored bonnet.

    Shape:
        returns: (H, W), uint8
    """
    mask = np.full((size, size), CLASS["sky"], dtype=np.uint8)
    horizon = int(rng.integers(size // 3, size // 2))
    mask[horizon:] = CLASS["road"]
    mask[2:horizon, : int(rng.integers(3, size // 2))] = CLASS["building"]
    mask[2:horizon, int(rng.integers(size // 2, size - 3)) :] = CLASS["vegetation"]
    if rng.random() < 0.5:
        left = int(rng.integers(0, size - 6))
        mask[horizon : horizon + 4, left : left + 6] = CLASS["car"]
    mask[-1] = IGNORE
    return mask


def kill_while_writing(writer: str, path: Path) -> None:
    """Run a writer that says "ready" and then saves to the path; kill -9 it as soon as its temporary file has grown."""
    with subprocess.Popen([sys.executable, "-c", writer], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        while process.poll() is None and not any(part.stat().st_size for part in path.parent.glob(f".{path.name}-*")):
            time.sleep(0.001)
        process.kill()
    assert process.returncode == -signal.SIGKILL

"""Inputs that all contenders of a benchmark share: settings, split, and statistics of the training part."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bddseg.config import TrainConfig
from bddseg.data.frames import Frames
from bddseg.data.split import Split
from bddseg.losses import balanced_weights
from bddseg.task import FIVE_CLASSES, IGNORE


@dataclass(frozen=True)
class ContenderInputs:
    """Settings, channel statistics and class weights, computed in advance so that no contender is charged for them."""

    config: TrainConfig
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    weights: tuple[float, ...]

    def save(self, path: Path) -> Path:
        """Write it as JSON and return the path; `load` is the reader."""
        path.write_text(json.dumps({**self.__dict__, "config": self.config.to_dict()}))
        return path

    @classmethod
    def load(cls, path: Path) -> "ContenderInputs":
        """Return what `save` wrote."""
        fields = json.loads(path.read_text())
        settings = TrainConfig.from_dict(fields.pop("config"))
        return cls(settings, **{name: tuple(values) for name, values in fields.items()})


def settings(**changes: Any) -> TrainConfig:
    """Return settings without early stopping; `changes` as `optim_lr=1e-3`."""
    overrides = {key.replace("_", ".", 1): value for key, value in changes.items()}
    return TrainConfig().with_overrides({"train.patience": 0, "optim.lr": 1e-3, **overrides})


def fractions(train: int, val: int, test: int) -> dict[str, float]:
    """Return the settings that make `split_samples` give parts of these sizes where names carry no drive."""
    whole = train + val + test
    return {"data_val_fraction": round(val / whole, 6), "data_test_fraction": round(test / whole, 6)}


def measure(frames: Frames, split: Split, config: TrainConfig) -> ContenderInputs:
    """Return the statistics of the training part, computed here from its pixels rather than by the engine."""
    train = list(split.train)
    pixels = np.stack([frames.images[index] for index in train]).reshape(-1, 3) / 255
    masks = np.stack([frames.masks[index] for index in train])
    counts = np.bincount(masks[masks != IGNORE], minlength=len(FIVE_CLASSES.classes))
    return ContenderInputs(
        config,
        mean=tuple(map(float, pixels.mean(0))),
        deviation=tuple(map(float, pixels.std(0))),
        weights=tuple(map(float, balanced_weights(counts))),
    )

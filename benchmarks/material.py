"""A folder -> what a scenario runs on: samples, frames, split, and what the contenders are given."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import Sampler

from bddseg.config import TrainConfig
from bddseg.data.bdd100k import Sample, read_catalog
from bddseg.data.frames import Frames, build_frames
from bddseg.data.split import Split
from bddseg.engine import Engine
from benchmarks.given import Given, measure, split_of
from benchmarks.p0 import Plain
from benchmarks.p2 import Careful, tensors


@dataclass(frozen=True)
class Material:
    """One data set at one size, for all contenders."""

    samples: Sequence[Sample]
    frames: Frames
    split: Split
    given: Given

    def ours(self, config: TrainConfig, device: torch.device) -> Engine:
        """Return the product's engine over the training part."""
        return Engine(config, self.frames, self.split.train, device)

    def plain(self, config: TrainConfig, device: torch.device, order: Sampler[int] | None = None) -> Plain:
        """Return P0 over the same parts."""
        return Plain(self._with(config), self.samples, self.split.train, self.split.val, device, order)

    def careful(self, config: TrainConfig, device: torch.device) -> Careful:
        """Return P2 over the same parts."""
        images, masks = tensors(self.frames.images, self.frames.masks, self.given)
        return Careful(self._with(config), images, masks, self.split.train, self.split.val, device)

    def _with(self, config: TrainConfig) -> Given:
        return Given(config, self.given.mean, self.given.deviation, self.given.weights)


def load(root: Path, config: TrainConfig, cache: Path) -> Material:
    """Return the material of a folder in the BDD100K layout."""
    samples = read_catalog(root).samples
    frames = build_frames(samples, config.data.size, cache)
    split = split_of(frames.names, frames.scenes, config)
    return Material(samples, frames, split, measure(frames, split, config))

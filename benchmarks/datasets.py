"""A dataset folder -> samples, frames, split and contender inputs of a benchmark scenario."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.utils.data import Sampler

from bddseg.config import TrainConfig
from bddseg.data.catalog import Sample, read_catalog
from bddseg.data.frames import Frames, build_frames
from bddseg.data.split import Split, usual_split
from bddseg.engine import Engine
from benchmarks.baseline_careful import Careful, tensors
from benchmarks.baseline_plain import Plain
from benchmarks.contender_inputs import ContenderInputs, measure


@dataclass(frozen=True)
class BenchmarkData:
    """One dataset at one image size, shared by all contenders."""

    samples: Sequence[Sample]
    frames: Frames
    split: Split
    inputs: ContenderInputs

    def ours(self, config: TrainConfig, device: torch.device) -> Engine:
        """Return the product's engine over the training part."""
        return Engine(config, self.frames, self.split.train, device)

    def plain(self, config: TrainConfig, device: torch.device, order: Sampler[int] | None = None) -> Plain:
        """Return P0 over the same parts."""
        return Plain(self._with(config), self.samples, self.split.train, self.split.val, device, order)

    def careful(self, config: TrainConfig, device: torch.device) -> Careful:
        """Return P2 over the same parts."""
        images, masks = tensors(self.frames.images, self.frames.masks, self.inputs)
        return Careful(self._with(config), images, masks, self.split.train, self.split.val, device)

    def _with(self, config: TrainConfig) -> ContenderInputs:
        return replace(self.inputs, config=config)


def load(root: Path, config: TrainConfig, cache: Path) -> BenchmarkData:
    """Return the benchmark data of a folder in the BDD100K layout."""
    samples = read_catalog(root).samples
    frames = build_frames(samples, config.data.size, cache)
    split = usual_split(config.data, frames.names, frames.strata())
    return BenchmarkData(samples, frames, split, measure(frames, split, config))

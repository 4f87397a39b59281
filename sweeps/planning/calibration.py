"""Speed of this device on the trials of a plan: their training steps are timed for a few seconds."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from bddseg.config import TrainConfig
from bddseg.device import use_threads
from bddseg.engine import Engine
from bddseg.flops import count_forward
from bddseg.memory import make_noise
from bddseg.words import count
from sweeps.planning.cost import BACKWARD_SHARE, flops_per_second
from sweeps.planning.resources import kind

STEPS, FEWEST_STEPS = 20, 4
"""Training steps of each kind of trial, fewer where they are slow: the first half warms up, the second is timed."""

SECONDS = 12.0
"""Limit of the timing; kinds beyond it are estimated from the largest timed one, by their operation counts."""

Key = tuple[str, int]
"""Kind of trial (with its device) and threads."""

_timed: dict[Key, "MeasuredSpeed"] = {}
"""Speeds that this process has timed; never kept on disk, because the next process may share the machine."""


@dataclass(frozen=True)
class MeasuredSpeed:
    """Seconds per image, in training and in validation."""

    train_s: float
    val_s: float
    is_timed: bool

    def epoch_s(self, train_images: int, val_images: int) -> float:
        """Return the seconds of one epoch."""
        return train_images * self.train_s + val_images * self.val_s


@dataclass(frozen=True)
class Calibration:
    """The speed of every kind of trial of a plan on one device."""

    speeds: Mapping[str, MeasuredSpeed]
    classes: int
    device: str
    threads: int
    seconds: float
    """Duration of the timing itself."""

    def of(self, config: TrainConfig) -> MeasuredSpeed:
        """Return the speed of a configuration's kind."""
        return self.speeds[kind(config, self.classes, self.device)]

    def sentence(self) -> str:
        """Return how the speed was determined, as a sentence."""
        timed, kinds = sum(speed.is_timed for speed in self.speeds.values()), len(self.speeds)
        how = f"on {self.device}, {count(self.threads, 'thread')}, without other trials"
        counted = "speed estimated by counting operations, good to about a factor of two"
        if not timed:
            return counted
        trials = "such trials" if timed == kinds else f"{timed} of {kinds} kinds of trial"
        sentence = f"speed measured by a few training steps of {trials} {how}, in {self.seconds:.0f} s"
        return sentence if timed == kinds else f"{sentence}; the others' {counted}"


def calibrate(
    configs: Sequence[TrainConfig], classes: int, device: torch.device, threads: int = 1, seconds: float = SECONDS
) -> Calibration:
    """Return the speed of each kind of trial among the configurations; the cheapest is timed first.

    A kind is timed for as many steps as should fit into the rest of `seconds`, by its operation count and the speed of
    the kind timed before it.
    """
    began = time.perf_counter()
    kinds = {kind(config, classes, device.type): config for config in configs}
    flops = {name: count_forward(config, classes).flops for name, config in kinds.items()}
    cost = {name: flops[name] * config.train.batch_size for name, config in kinds.items()}
    rate = flops_per_second(kinds[min(cost, key=lambda name: cost[name])], classes, device)
    speeds: dict[str, MeasuredSpeed] = {}
    for name in sorted(kinds, key=lambda name: cost[name]):
        key, step_s = (name, threads), cost[name] * (2 + BACKWARD_SHARE) / rate
        steps = min(STEPS, int((seconds - (time.perf_counter() - began)) / step_s))
        if key not in _timed and steps >= FEWEST_STEPS:
            _timed[key] = _time(kinds[name], classes, device, threads, steps)
        speeds[name] = _timed.get(key) or _counted(flops[name], rate)
        rate = (1 + BACKWARD_SHARE) * flops[name] / speeds[name].train_s
    return Calibration(speeds, classes, device.type, threads, time.perf_counter() - began)


def _time(config: TrainConfig, classes: int, device: torch.device, threads: int, steps: int) -> MeasuredSpeed:
    """Train twice on half the steps' images, then evaluate them twice; the second time counts."""
    before, images = torch.get_num_threads(), steps // 2 * config.train.batch_size
    use_threads(threads)
    try:
        engine = Engine(config, make_noise(images, config.data.size, classes), range(images), device)
        engine.train_epoch(1)
        train_s = _seconds(lambda: engine.train_epoch(2))
        engine.evaluate(range(images))
        val_s = _seconds(lambda: engine.evaluate(range(images)))
    finally:
        use_threads(before)
    return MeasuredSpeed(train_s / images, val_s / images, is_timed=True)


def _counted(flops: float, rate: float) -> MeasuredSpeed:
    """Return the speed of a kind by its operation count, at a rate in operations per second."""
    return MeasuredSpeed((1 + BACKWARD_SHARE) * flops / rate, flops / rate, is_timed=False)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()  # ends with a read from the device, so all of its work is done
    return time.perf_counter() - began

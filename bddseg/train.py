"""fit(): the training loop, a generator of epochs. The caller decides what to save and when to stop."""

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bddseg.config import TrainConfig
from bddseg.confusion import iou, miou, miou_by_group, miou_by_value, miou_gap, pool
from bddseg.counting import PassCounts
from bddseg.data.bdd100k_labels import SCENES
from bddseg.data.drives import drive_of
from bddseg.data.frames import Frames
from bddseg.data.split import Split
from bddseg.device import peak_memory_mb
from bddseg.engine import Engine
from bddseg.errors import DataError
from bddseg.evidence import Evidence
from bddseg.result import SCENE_MIOU, EpochResult, class_metric, gap_metric, group_metric
from bddseg.system_metrics import measure_system
from bddseg.task import FIVE_CLASSES, Task, slug

MOST_SCENES = 30
"""Most values of the attribute that decides the groups that have a metric, the most frequent ones."""


def fit(
    config: TrainConfig,
    frames: Frames,
    split: Split,
    device: torch.device,
    resume: Mapping[str, Any] | None = None,
) -> Iterator[EpochResult]:
    """Train one configuration and yield an `EpochResult` after every epoch.

    Ends with the epoch budget, after `train.patience` epochs without a better val/miou, or when the loss is no longer
    finite. With `train.keep` "last" every epoch replaces the best one; without validation images the figures of the
    validation part are NaN.

    Batch order and dropout derive from (seed, epoch): a training resumed from a `state()` equals an uninterrupted one,
    bitwise on the CPU in fp32.

    Args:
        config: the settings.
        frames: every image of the dataset.
        split: training, validation and test part.
        device: where to train.
        resume: a `state()` of the same configuration to continue from.

    Raises:
        DataError: when `resume` belongs to another configuration.
    """
    engine = Engine(config, frames, split.train, device)
    best, done = _resumed(engine, config, resume) if resume else (_Best(config.train.keep), 0)
    if _is_plateau(config, done, best):
        return
    measure_system(device)  # the load of the CPU is measured from call to call
    for epoch in range(done + 1, config.train.epochs + 1):
        began = time.perf_counter()
        train, validation = engine.run_epoch(epoch, split.val)
        seconds = time.perf_counter() - began

        metrics = _metrics(train, validation, frames.task, _scenes(frames, split.val))
        metrics |= _costs(seconds, len(split.train), device)
        best.offer(epoch, metrics["val/miou"], validation, engine)
        stop_reason = _stop_reason(config, epoch, best, metrics)
        yield EpochResult(
            epoch=epoch,
            metrics=metrics,
            best_epoch=best.epoch,
            best_miou=best.miou,
            stop_reason=stop_reason,
            state=partial(_state, engine, config, frames.task, epoch, best),
            best_evidence=partial(_best_evidence, engine, frames, split, best),
        )
        if stop_reason:
            return


@dataclass
class _Best:
    """The epoch that is kept so far: its weights and their counts on the validation part."""

    keep: str = "best"
    epoch: int = 0
    miou: float = math.nan
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    validation: PassCounts | None = None
    boundary: np.ndarray | None = None
    """Boundary counts of the validation part; None until they are needed."""

    def offer(self, epoch: int, value: float, validation: PassCounts, engine: Engine) -> None:
        """Keep the epoch if its val/miou is the highest so far, or if `keep` is last."""
        is_judged = len(validation.counts) > 0
        if (is_judged and math.isnan(value)) or (self.keep == "best" and value <= self.miou):
            return
        self.epoch, self.miou, self.validation, self.weights = epoch, value, validation, engine.scored_weights()
        self.boundary = None


def _stop_reason(config: TrainConfig, epoch: int, best: _Best, metrics: Mapping[str, float]) -> str | None:
    losses = ("train/loss", "val/loss") if config.data.has_validation else ("train/loss",)
    if not all(math.isfinite(metrics[name]) for name in losses):
        return "diverged"
    if epoch >= config.train.epochs:
        return "max_epochs"
    return "plateau" if _is_plateau(config, epoch, best) else None


def _is_plateau(config: TrainConfig, epoch: int, best: _Best) -> bool:
    return config.train.patience > 0 and epoch - best.epoch >= config.train.patience


@dataclass(frozen=True)
class _Scenes:
    """The attribute that decides the groups: its value for each validation image, and all values of the dataset."""

    values: tuple[str, ...]
    known: tuple[str, ...]


def _scenes(frames: Frames, indices: Sequence[int]) -> _Scenes:
    values, task = frames.scenes, frames.task
    own = tuple(values[index] for index in indices)
    if (task.attribute, task.groups) == (FIVE_CLASSES.attribute, FIVE_CLASSES.groups):
        return _Scenes(own, SCENES)  # each has its metric in every record, whichever of them occur
    frequent = [value for value, _ in Counter(filter(slug, values)).most_common(MOST_SCENES)]
    return _Scenes(own, tuple(sorted(frequent)))


def _metrics(train: PassCounts, validation: PassCounts, task: Task, scenes: _Scenes) -> dict[str, float]:
    """Return the metrics of the epoch; a validation whose loss is not finite has no IoU."""
    metrics = {"train/loss": train.loss, "val/loss": validation.loss}
    counts = validation.counts if math.isfinite(train.loss + validation.loss) else np.zeros_like(validation.counts)
    per_class = iou(pool(counts))
    groups = task.groups_of(scenes.values)
    by_group = miou_by_group(counts, groups, task.group_names)
    by_scene = miou_by_value(counts, [slug(value) for value in scenes.values])
    return metrics | {
        "train/miou": float(miou(pool(train.counts))),
        "val/miou": float(miou(pool(counts))),
        "val/classes": float(np.isfinite(per_class).sum()),
        **{f"val/{class_metric(name)}": float(value) for name, value in zip(task.classes, per_class, strict=True)},
        **{f"val/{group_metric(name)}": value for name, value in by_group.items()},
        **{f"val/{gap_metric(contrast)}": miou_gap(counts, groups, contrast) for contrast in task.contrasts},
        **{f"val/{SCENE_MIOU}/{name}": by_scene.get(name, math.nan) for name in map(slug, scenes.known)},
    }


def _costs(seconds: float, images: int, device: torch.device) -> dict[str, float]:
    return {
        "time/epoch_s": seconds,
        "throughput/img_s": images / seconds,
        "system/memory_mb": peak_memory_mb(device),
        **measure_system(device),
    }


def _state(engine: Engine, config: TrainConfig, task: Task, epoch: int, best: _Best) -> dict[str, Any]:
    """Return the state that a resumed training needs, in tensors and plain values; `_resumed` reads it."""
    best_state: dict[str, Any] = {
        "task": task.to_dict(),
        "epoch": best.epoch,
        "miou": best.miou,
        "weights": dict(best.weights),
        "config": config.to_dict(),
        "normalisation": engine.network.normalisation,
    }
    if best.validation is not None:
        best_state["loss"] = best.validation.loss
        best_state["counts"] = torch.from_numpy(best.validation.counts)
        best_state["ignored"] = torch.from_numpy(best.validation.ignored)
    return {"digest": config.digest(), "epoch": epoch, "best": best_state, **engine.state()}


def _resumed(engine: Engine, config: TrainConfig, state: Mapping[str, Any]) -> tuple[_Best, int]:
    if state["digest"] != config.digest():
        raise DataError(f"the checkpoint is of trial {state['digest']}, but must be of {config.digest()}")
    engine.load_state(state)
    best_state = state["best"]
    validation = None
    if "counts" in best_state:
        validation = PassCounts(
            best_state["loss"], best_state["counts"].cpu().numpy(), best_state["ignored"].cpu().numpy()
        )
    return _Best(config.train.keep, best_state["epoch"], best_state["miou"], best_state["weights"], validation), state[
        "epoch"
    ]


def _best_evidence(engine: Engine, frames: Frames, split: Split, best: _Best, part: str) -> Evidence:
    """Return the evidence of the best weights on the validation or test part.

    Raises:
        DataError: when no epoch had a usable val/miou.
    """
    if best.validation is None:
        raise DataError("there is no evidence: no epoch had a finite loss")
    indices = {"val": split.val, "test": split.test}[part]
    scored, boundary = best.validation, best.boundary
    if part == "test" or boundary is None:
        with engine.with_weights(best.weights):
            evaluated, boundary = engine.evaluate_boundaries(indices)
        scored = evaluated if part == "test" else scored  # what was recorded of the validation part stays
    if part == "val":
        best.boundary = boundary  # the next checkpoint mostly asks for the same epoch
    return Evidence(
        part=part,
        epoch=best.epoch,
        names=tuple(frames.names[index] for index in indices),
        attributes={name: tuple(values[index] for index in indices) for name, values in frames.attributes.items()},
        counts=scored.counts,
        ignored=scored.ignored,
        fingerprint=frames.fingerprint,
        task=frames.task,
        drives=_drives([frames.names[index] for index in indices], split.drive_pattern),
        boundary=boundary,
    )


def _drives(names: Sequence[str], pattern: str) -> tuple[str, ...]:
    """Return the drive of each image; nothing where readers of the evidence can take it from the names."""
    return tuple(drive_of(name, pattern) or "" for name in names) if pattern else ()

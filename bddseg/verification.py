"""Verification of a trial: its figures recomputed from the saved weights with torchmetrics, image by image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bddseg.confusion import iou, miou, pool
from bddseg.data.frames import Frames
from bddseg.evidence import Evidence
from bddseg.predictor import load_trained
from bddseg.task import IGNORE

MEAN = "miou"
"""Name of the mean over the classes among the figures."""


@dataclass(frozen=True)
class Verification:
    """The figures of one part as recorded and as recomputed by torchmetrics from the saved weights."""

    part: str
    images: int
    recorded: Mapping[str, float]
    """`miou` and the IoU of each class, from the evidence."""
    recomputed: Mapping[str, float]

    @property
    def max_difference(self) -> float:
        """Largest absolute difference; none for a class that is absent in both, infinite if it is absent in one."""
        pairs = [(self.recorded[name], self.recomputed[name]) for name in self.recorded]
        pairs = [pair for pair in pairs if not np.isnan(pair).all()]
        return max((np.inf if np.isnan(a - b) else abs(a - b) for a, b in pairs), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "part": self.part,
            "images": self.images,
            "evidence": _nested(self.recorded),
            "torchmetrics": _nested(self.recomputed),
            "max_difference": self.max_difference,
        }


def verify(best: Mapping[str, Any], frames: Frames, indices: Sequence[int], evidence: Evidence) -> Verification:
    """Predict a part with the weights of a `best.pt`, one image at a time, and compare with the evidence.

    It shares only the network and the pixels with the engine, not the batches, the counting or the division.
    """
    from torchmetrics.classification import MulticlassJaccardIndex

    trained = load_trained(best)
    metric = MulticlassJaccardIndex(len(evidence.classes), average=None, ignore_index=IGNORE)
    for index in indices:
        predicted = trained.predict(frames.images[index : index + 1])
        metric.update(torch.from_numpy(predicted), _truth(frames, index))
    per_class = metric.compute().double().numpy()
    per_class[metric.confmat.sum(1).numpy() == 0] = np.nan  # torchmetrics calls the IoU of an absent class 0
    present = per_class[~np.isnan(per_class)]
    recomputed = {MEAN: float(present.mean()) if len(present) else np.nan, **_named(evidence.classes, per_class)}
    counts = pool(evidence.counts)
    recorded = {MEAN: float(miou(counts)), **_named(evidence.classes, iou(counts))}
    return Verification(evidence.part, len(indices), recorded, recomputed)


def _truth(frames: Frames, index: int) -> Tensor:
    return torch.from_numpy(np.array(frames.masks[index]))[None].long()  # (1, H, W)


def _named(classes: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in zip(classes, values, strict=True)}


def _nested(values: Mapping[str, float]) -> dict[str, Any]:
    return {MEAN: values[MEAN], "iou": {name: value for name, value in values.items() if name != MEAN}}

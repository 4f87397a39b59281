"""A trial's saved weights + frames -> its figures once more, by another road: torchmetrics over single images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bddseg.config import TrainConfig
from bddseg.confusion import iou, miou, pool
from bddseg.device import resolve_precision
from bddseg.evidence import Evidence
from bddseg.frames import Frames
from bddseg.labels import CLASSES, IGNORE
from bddseg.models import build_model


@dataclass(frozen=True)
class Verification:
    """The figures of one part as recorded, and as torchmetrics finds them from the saved weights."""

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

    Shares with the engine only the network and the pixels: not the batches, not the counting, not the division.
    """
    from torchmetrics.classification import MulticlassJaccardIndex

    model, mean, deviation, precision = _load(best)
    metric = MulticlassJaccardIndex(len(CLASSES), average=None, ignore_index=IGNORE)
    for index in indices:
        metric.update(_predict(model, frames.images[index], mean, deviation, precision), _truth(frames, index))
    per_class = metric.compute().double().numpy()
    confusion = metric.confmat.numpy()
    per_class[confusion.sum(0) + confusion.sum(1) == 0] = np.nan  # torchmetrics calls the IoU of an absent class 0
    present = per_class[~np.isnan(per_class)]
    recomputed = {"miou": float(present.mean()) if len(present) else np.nan, **_named(per_class)}
    counts = pool(evidence.counts)
    recorded = {"miou": float(miou(counts)), **_named(iou(counts))}
    return Verification(evidence.part, len(indices), recorded, recomputed)


def _load(best: Mapping[str, Any]) -> tuple[torch.nn.Module, Tensor, Tensor, str]:
    config = TrainConfig.from_dict(best["config"])
    settings = config.model
    model = build_model(
        settings.name, classes=len(CLASSES), base_filters=settings.base_filters, dropout=settings.dropout
    )
    model.load_state_dict(best["weights"])
    model.eval()
    scale = best["normalisation"]
    precision = resolve_precision(config.train.precision, torch.device("cpu"))
    return (
        model.to(memory_format=torch.channels_last),
        scale["mean"].view(1, 3, 1, 1),
        scale["deviation"].view(1, 3, 1, 1),
        precision,
    )


@torch.no_grad()
def _predict(model: torch.nn.Module, image: np.ndarray, mean: Tensor, deviation: Tensor, precision: str) -> Tensor:
    """Return the predicted classes of one image.

    Shape:
        image: (H, W, 3), uint8.  returns: (1, H, W), int64.
    """
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
    pixels = (pixels / 255 - mean) / deviation
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        logits = model(pixels.to(memory_format=torch.channels_last))
    return logits.argmax(1)


def _truth(frames: Frames, index: int) -> Tensor:
    return torch.from_numpy(np.array(frames.masks[index]))[None].long()  # (1, H, W)


def _named(values: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in zip(CLASSES, values, strict=True)}


def _nested(values: Mapping[str, float]) -> dict[str, Any]:
    return {"miou": values["miou"], "iou": {name: values[name] for name in CLASSES}}

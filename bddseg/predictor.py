"""A trial's saved weights as a network that is ready for inference."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bddseg.config import TrainConfig
from bddseg.device import resolve_precision
from bddseg.errors import ConfigError, DataError, one_line
from bddseg.models import model_of
from bddseg.task import FIVE_CLASSES, Task

CPU = torch.device("cpu")
REASON_CHARS = 160
"""Length limit of torch's message, which names every tensor that does not fit."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """A network with its best weights, ready for inference, and its training settings."""

    model: nn.Module
    """In evaluation mode, channels last."""
    mean: Tensor
    deviation: Tensor
    """Mean and standard deviation of each channel, of pixels from 0 to 1; shape (1, 3, 1, 1)."""
    precision: str
    """fp32 or bf16: what `train.precision` means on the device."""
    config: TrainConfig
    task: Task
    """The classes that it predicts, with their colours."""
    device: torch.device

    def normalise(self, images: np.ndarray) -> Tensor:
        """Return images normalised for the network.

        Shape:
            images: (N, H, W, 3), uint8.  returns: (N, 3, H, W), float32, channels last.
        """
        pixels = torch.from_numpy(np.array(images)).to(self.device).permute(0, 3, 1, 2).float()
        pixels = (pixels / 255 - self.mean) / self.deviation
        return pixels.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def score(self, images: np.ndarray) -> Tensor:
        """Return the raw score of each class.

        Shape:
            images: (N, H, W, 3), uint8.  returns: (N, C, H, W).
        """
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits: Tensor = self.model(self.normalise(images))
        return logits

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the predicted class of every pixel.

        Shape:
            images: (N, H, W, 3), uint8.  returns: (N, H, W), int64.
        """
        return self.score(images).argmax(1).cpu().numpy()


def load_trained(best: Mapping[str, Any], device: torch.device = CPU) -> Predictor:
    """Return the network of a `best.pt` as `load_checkpoint` gives it.

    Raises:
        DataError: when it is incomplete, or its weights do not fit its configuration.
    """
    try:
        config = TrainConfig.from_record(best["config"])
        task = Task.from_dict(best["task"]) if "task" in best else FIVE_CLASSES
        model = model_of(config.model, len(task.classes))
        model.load_state_dict(best["weights"])
        mean, deviation = (best["normalisation"][name].view(1, 3, 1, 1).to(device) for name in ("mean", "deviation"))
    except (LookupError, TypeError, AttributeError, RuntimeError, ConfigError) as error:
        reason = one_line(error)[:REASON_CHARS]
        raise DataError(f"weights cannot be used, they are of no trial of this version: {reason}") from error
    return Predictor(
        model=model.eval().to(device).to(memory_format=torch.channels_last),
        mean=mean,
        deviation=deviation,
        precision=resolve_precision(config.train.precision, device),
        config=config,
        task=task,
        device=device,
    )

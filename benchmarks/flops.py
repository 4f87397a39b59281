"""FLOPs of a network per image, and the peak FLOP/s of a device."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from bddseg.config import TrainConfig
from bddseg.models import build_model
from bddseg.task import FIVE_CLASSES

MEASURED_PEAKS = {"H200": 790e12, "H100 80GB HBM3": 790e12}
"""Part of a device's name -> bf16 FLOP/s that large matrix products reach on it, measured on an H200."""


def flops_per_image(config: TrainConfig) -> tuple[int, int]:
    """Return the floating-point operations of one image, in training (forward and backward) and in evaluation.

    Counted on tensors without memory; one multiplication with its addition is two.
    """
    with torch.device("meta"):
        model = build_model(
            config.model.name, classes=len(FIVE_CLASSES.classes), base_filters=config.model.base_filters
        )
        images = torch.empty(1, 3, config.data.size, config.data.size)
    with FlopCounterMode(display=False) as forward:
        logits = model(images)
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    return forward.get_total_flops() + backward.get_total_flops(), forward.get_total_flops()


def peak(device: torch.device) -> float | None:
    """Return the FLOP/s a device reaches in bf16, None if it was not measured."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((value for part, value in MEASURED_PEAKS.items() if part in name), None)

"""Optimisers by name, fused into few kernels."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer

from bddseg.errors import ConfigError

OPTIMIZERS: dict[str, type[Optimizer]] = {"adam": Adam, "adamw": AdamW}


def build_optimizer(
    name: str, parameters: Iterable[Tensor], *, lr: float, weight_decay: float, device: torch.device
) -> Optimizer:
    """Return the named optimiser over the parameters.

    On CUDA its learning rate is a tensor and its step counts on the device, so that a CUDA graph can capture it.

    Raises:
        ConfigError: listing the known names.
    """
    if name not in OPTIMIZERS:
        raise ConfigError(f"optim.name is {name!r}, but must be one of {', '.join(OPTIMIZERS)}")
    options: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay, "fused": True}
    if device.type == "cuda":
        options |= {"lr": torch.tensor(lr, device=device), "capturable": True}
    optimizer = OPTIMIZERS[name](parameters, **options)
    optimizer._warned_capturable_if_run_uncaptured = True  # eager steps come first
    return optimizer

"""Optimisers by name, fused into few kernels."""

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, optim
from torch.optim import Optimizer

from bddseg.errors import ConfigError


class _Uncompiled(Optimizer):
    """An optimiser whose methods torch's compiler may see.

    Torch hides these, and the steps, and loads the compiler to do so: a second in every process, for nothing.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)


class Adam(_Uncompiled, optim.Adam):
    """Adam (Kingma and Ba 2015, algorithm 1), its weight decay an L2 term of the gradient."""

    step = torch.no_grad()(inspect.unwrap(optim.Adam.step))


class AdamW(_Uncompiled, optim.AdamW):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2)."""

    step = torch.no_grad()(inspect.unwrap(optim.AdamW.step))


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

"""Optimisers by name, with fused kernels."""

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, optim
from torch.optim import Optimizer

from bddseg.errors import ConfigError


class _Uncompiled(Optimizer):
    """Base of optimisers without the decorator with which torch keeps its methods from its compiler.

    That decorator (`torch._disable_dynamo`) imports the whole compiler at its first call: 1.4 of 1.5 s of CPU time
    in the first training of a process, and 886 modules (torch 2.15, n = 3 each). We compile nothing, so the methods and
    `step` are unwrapped. This is no longer needed once `torch._dynamo` is absent from `sys.modules` after a step of
    `torch.optim.Adam`.
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


class Sgd(_Uncompiled, optim.SGD):
    """Gradient descent with momentum (Sutskever et al. 2013), its weight decay an L2 term of the gradient."""

    step = torch.no_grad()(inspect.unwrap(optim.SGD.step))


OPTIMIZERS: dict[str, type[Optimizer]] = {"adam": Adam, "adamw": AdamW, "sgd": Sgd}


def build_optimizer(
    name: str,
    parameters: Iterable[Tensor],
    *,
    lr: float,
    weight_decay: float,
    device: torch.device,
    momentum: float = 0.0,
) -> Optimizer:
    """Return the named optimiser over the parameters.

    On CUDA its learning rate is a tensor and it counts its steps on the device, so that a CUDA graph can capture it.

    Args:
        name: one of OPTIMIZERS.
        parameters: the weights that are trained.
        lr: the learning rate.
        weight_decay: an L2 term of the gradient for adam and sgd, decoupled from it for adamw.
        device: where the weights are.
        momentum: of sgd; the others have moments of their own.

    Raises:
        ConfigError: listing the known names.
    """
    if name not in OPTIMIZERS:
        raise ConfigError(f"optim.name is {name!r}, but must be one of {', '.join(OPTIMIZERS)}")
    is_sgd = name == "sgd"
    options: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay, "fused": True}
    if device.type == "cuda":
        options["lr"] = torch.tensor(lr, device=device)
        options |= {} if is_sgd else {"capturable": True}  # sgd counts no steps
    if is_sgd:
        options["momentum"] = momentum
    optimizer = OPTIMIZERS[name](parameters, **options)
    optimizer._warned_capturable_if_run_uncaptured = True  # eager steps come first, which torch would warn of
    return optimizer


def set_learning_rate(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of the steps to come; on CUDA in place, where a captured step reads it."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr

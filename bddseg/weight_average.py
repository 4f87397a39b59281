"""The mean of a network's weights over the last epochs of a training."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class WeightAverage:
    """A running mean of weights, epoch by epoch; BatchNorm statistics are averaged like weights.

    With a constant learning rate the last epochs wander around a minimum: their mean is nearer to it than any of
    them, and differs less between seeds (benchmarks/RESULTS.md). Source: Izmailov et al. 2018, Averaging weights leads
    to wider optima and better generalization, arXiv:1803.05407, section 3; every epoch counts the same.
    """

    def __init__(self) -> None:
        self._mean: dict[str, Tensor] = {}
        self._epochs = 0

    @property
    def is_empty(self) -> bool:
        """Return whether no epoch was added."""
        return not self._mean

    def add(self, weights: Mapping[str, Tensor]) -> None:
        """Add the weights of an epoch."""
        self._epochs += 1
        if not self._mean:
            self._mean = {name: tensor.detach().clone() for name, tensor in weights.items()}
            return
        for name, tensor in weights.items():
            if tensor.is_floating_point():
                self._mean[name] += (tensor - self._mean[name]) / self._epochs
            else:
                self._mean[name] = tensor.clone()  # counts of batches

    def mean(self) -> dict[str, Tensor]:
        """Return a copy of the mean; empty before the first epoch is added."""
        return {name: tensor.clone() for name, tensor in self._mean.items()}

    def state(self) -> dict[str, Any]:
        """Return the state that a resumed training needs."""
        return {"epochs": self._epochs, "mean": dict(self._mean)}

    def load_state(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Continue from what `state` returned."""
        self._epochs = int(state["epochs"])
        self._mean = {name: tensor.to(device) for name, tensor in state["mean"].items()}

"""Cost of a network's forward pass: weights, FLOPs and activations, counted on shapes without computing images."""

import math
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor, nn

from bddseg.config import ModelSettings, TrainConfig
from bddseg.models import UNet, build_model, count_parameters, model_of
from bddseg.plugins import is_own


@dataclass(frozen=True)
class Forward:
    """Cost of the forward pass of one image."""

    weights: int
    """Trainable weights of the network."""
    flops: int
    """Floating-point operations of its convolutions: two, a product and a sum, per weight and position."""
    outputs: int
    """Output values of its convolutions, which the backward pass needs."""


def count_forward(config: TrainConfig, classes: int) -> Forward:
    """Return the cost of one image for the network of a configuration with so many classes.

    Both figures of convolutions are proportional to the image's area, so counting on the smallest image is exact.
    Torch's meta device would count any image, but it imports torch's compiler, which takes a second in every command.
    """
    if is_own(config.model.name):
        return _count_own(config.model, classes, config.data.size)
    multiple, smallest = _count_smallest(config.model.name, classes, config.model.base_filters)
    areas = math.ceil(config.data.size / multiple) ** 2
    return Forward(smallest.weights, smallest.flops * areas, smallest.outputs * areas)


@cache
def _count_smallest(name: str, classes: int, base_filters: int) -> tuple[int, Forward]:
    """Return the side of the smallest image that a network accepts, and its cost."""
    with torch.device("meta"):
        network = build_model(name, classes=classes, base_filters=base_filters).eval()
    assert isinstance(network, UNet)
    flops: list[int] = []
    outputs: list[int] = []

    def outline(layer: nn.Conv2d | nn.ConvTranspose2d, images: Tensor) -> Tensor:
        """Return zeros in the layer's output shape; our layers keep the sides or enlarge them by their stride."""
        count, _, height, width = images.shape
        factor = layer.stride[0] if isinstance(layer, nn.ConvTranspose2d) else 1
        output = images.new_zeros(count, layer.out_channels, height * factor, width * factor)
        flops.append(
            2 * count * height * width * layer.weight.numel()
        )  # the kernel is applied at each position of the input
        outputs.append(output.numel())
        return output

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.forward = partial(outline, layer)  # type: ignore[method-assign]
        elif isinstance(layer, nn.BatchNorm2d):
            layer.to_empty(device="cpu")
    with torch.no_grad():
        network(torch.zeros(1, 3, network.multiple, network.multiple))
    return network.multiple, Forward(count_parameters(network), sum(flops), sum(outputs))


@cache
def _count_own(settings: ModelSettings, classes: int, size_px: int) -> Forward:
    """Return the cost of one image for a plug-in network, which is built and predicts one image."""
    network = model_of(settings, classes).eval()
    flops: list[int] = []
    outputs: list[int] = []

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        """Count two operations per weight and position, as `_count_smallest` does."""
        weight = layer.weight
        assert isinstance(weight, Tensor)
        positions = output.numel() // (weight.shape[1] if isinstance(layer, nn.ConvTranspose2d) else weight.shape[0])
        if isinstance(layer, nn.ConvTranspose2d):
            positions //= math.prod(layer.stride)
        flops.append(2 * positions * weight.numel())
        outputs.append(output.numel())

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 3, size_px, size_px))
    return Forward(count_parameters(network), sum(flops), sum(outputs))

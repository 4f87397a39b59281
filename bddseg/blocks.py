"""Blocks of the U-Nets: double convolution, attention gate, weight initialisation."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each with BatchNorm and ReLU, and channel dropout where p > 0.

    The convolutions have no bias: BatchNorm subtracts whatever they would add. On an H200 adding them and summing their
    gradients took 0.65 of the 4.5 ms of a step (vanilla, 32 filters), 1.5 of 9.4 ms (attention, 64).

    Shape:
        input: (N, inputs, H, W).  returns: (N, outputs, H, W).

    Source: Ronneberger et al. 2015, U-Net, section 2; BatchNorm and padding keep the size.
    """

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.0) -> None:
        layers: list[nn.Module] = []
        for width in (inputs, outputs):
            layers += [nn.Conv2d(width, outputs, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
            layers += [nn.Dropout2d(dropout)] if dropout > 0 else []
        super().__init__(*layers)


class AttentionGate(nn.Module):
    """Scales a skip connection, pixel by pixel, by what the deeper decoder feature finds relevant.

    The coefficients are the output of `psi`: hook it to see them.

    Shape:
        gate: (N, 2C, h, w), the deeper decoder feature.  skip: (N, C, H, W).  returns: (N, C, H, W).

    Source: Oktay et al. 2018, Attention U-Net, arXiv:1804.03999, section 3, equations 1 and 2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.of_gate = nn.Sequential(nn.Conv2d(2 * channels, inner, 1, bias=False), nn.BatchNorm2d(inner))
        self.of_skip = nn.Sequential(nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner))
        self.psi = nn.Sequential(nn.Conv2d(inner, 1, 1, bias=False), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, gate: Tensor, skip: Tensor) -> Tensor:
        """Return the skip connection times its coefficients."""
        gate = self.of_gate(gate)
        if gate.shape[-2:] != skip.shape[-2:]:
            gate = interpolate(gate, skip.shape[-2:], mode="bilinear", align_corners=False)
        return skip * self.psi(torch.relu(gate + self.of_skip(skip)))  # (N, 1, H, W) broadcasts over channels


def initialise(module: nn.Module, name: str) -> None:
    """Draw fresh convolution weights as named in INITIALISERS; set BatchNorm to 1 and 0.

    Weights on the meta device have no values and stay as they are; to draw them would load torch's compiler.
    """
    for layer in module.modules():
        if any(weight.is_meta for weight in layer.parameters(recurse=False)):
            continue
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            INITIALISERS[name](layer)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


def _kaiming_uniform(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Leave a layer as torch draws it: uniform with a variance of 1 / (3 fan-in).

    The weights before a BatchNorm have no scale of their own: smaller ones turn faster at the same learning rate. These
    are about 2.4 times smaller than the original ones; benchmarks/RESULTS.md has what that does to mean and spread.
    """


def _original(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Draw from Kaiming's normal distribution by fan-out, as the original study did.

    Source: He et al. 2015, Delving Deep into Rectifiers, section 2.2, backward-propagation case. For a transposed
    convolution torch counts the other side as its fan-out.
    """
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


INITIALISERS: dict[str, Callable[[nn.Conv2d | nn.ConvTranspose2d], None]] = {
    "kaiming_uniform": _kaiming_uniform,
    "original": _original,
}

"""U-Nets by name: one implementation, three architectures."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from bddseg.blocks import AttentionGate, DoubleConv, initialise
from bddseg.config import ModelSettings
from bddseg.errors import ConfigError, one_line
from bddseg.plugins import is_own, load_own


class UNet(nn.Module):
    """Encoder, bottleneck and decoder with skip connections, `levels` deep.

    A side that is no multiple of 2**levels is padded at the right and bottom with copies of the last pixels, and the
    logits are cropped: the output has the size of the input.

    Args:
        classes: number of output channels.
        base_filters: channels of the first level; each deeper level has twice as many.
        levels: number of times that the encoder halves the sides.
        dropout: probability of channel dropout after each ReLU.
        init: one of `bddseg.blocks.INITIALISERS`.
        has_gates: whether attention gates weigh the skip connections.

    Shape:
        images: (N, 3, H, W), normalised.  returns: (N, classes, H, W), raw scores.

    Source: Ronneberger et al. 2015, U-Net; gates: Oktay et al. 2018, Attention U-Net.
    """

    multiple: int
    """Sides of images are padded to a multiple of this."""

    def __init__(
        self, classes: int, base_filters: int, *, levels: int, dropout: float, init: str, has_gates: bool
    ) -> None:
        super().__init__()
        widths = [base_filters * 2**level for level in range(levels)]
        bottleneck = base_filters * 2**levels
        deeper = [*widths[1:], bottleneck]
        self.encoder = nn.ModuleList(DoubleConv(i, o, dropout) for i, o in zip([3, *widths], widths, strict=False))
        self.bottleneck = DoubleConv(widths[-1], bottleneck, dropout)
        self.up = nn.ModuleList(nn.ConvTranspose2d(d, w, 2, stride=2) for d, w in zip(deeper, widths, strict=True))
        self.gates = nn.ModuleList(AttentionGate(width) if has_gates else _Open() for width in widths)
        self.decoder = nn.ModuleList(DoubleConv(2 * width, width, dropout) for width in widths)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(widths[0], classes, 1)
        self.multiple = 2**levels
        initialise(self, init)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        height, width = images.shape[-2:]
        x = self._padded(images)
        skips = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
            x = self.pool(x)
        x = self.bottleneck(x)
        for level in reversed(range(len(skips))):
            skip = self.gates[level](x, skips[level])
            x = self.decoder[level](torch.cat([skip, self.up[level](x)], dim=1))
        logits = self.head(x)
        return logits if logits.shape[-2:] == (height, width) else logits[..., :height, :width]

    def _padded(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        bottom, right = -height % self.multiple, -width % self.multiple
        return pad(images, (0, right, 0, bottom), mode="replicate") if bottom or right else images


class _Open(nn.Module):
    """A gate that is always open."""

    def forward(self, gate: Tensor, skip: Tensor) -> Tensor:
        """Return the skip connection as it is."""
        return skip


MODELS: dict[str, Callable[..., UNet]] = {
    "unet": partial(UNet, levels=3, has_gates=False),
    "vanilla_unet": partial(UNet, levels=4, has_gates=False),
    "attention_unet": partial(UNet, levels=4, has_gates=True),
}

USES_DROPOUT = frozenset({"attention_unet"})


def build_model(
    name: str, *, classes: int, base_filters: int, dropout: float = 0.0, init: str = "kaiming_uniform"
) -> nn.Module:
    """Return the named network with fresh weights, drawn from torch's global generator.

    A name of the form `package.module:Class` is a plug-in: called with classes, base_filters and dropout, it takes
    images (N, 3, H, W) and returns logits (N, classes, H, W).

    Raises:
        ConfigError: for an unknown name, listing the known ones, or an odd width for gates, which halve it.
    """
    if is_own(name):
        return _build_own(name, classes=classes, base_filters=base_filters, dropout=dropout)
    if name not in MODELS:
        raise ConfigError(f"model.name is {name!r}, but must be one of {', '.join(MODELS)}, or package.module:Class")
    if name == "attention_unet" and (base_filters < 2 or base_filters % 2):
        raise ConfigError(f"model.base_filters is {base_filters}, but must be even and at least 2 for attention_unet")
    return MODELS[name](classes, base_filters, dropout=dropout if name in USES_DROPOUT else 0.0, init=init)


def model_of(settings: ModelSettings, classes: int) -> nn.Module:
    """Return the network of a configuration for so many classes with fresh weights, see `build_model`."""
    return build_model(
        settings.name,
        classes=classes,
        base_filters=settings.base_filters,
        dropout=settings.dropout,
        init=settings.init,
    )


def _build_own(name: str, **settings: Any) -> nn.Module:
    try:
        model = load_own("model.name", name)(**settings)
    except ConfigError:
        raise
    except Exception as error:  # any error of the user's class is theirs to correct
        arguments = ", ".join(f"{key}={value}" for key, value in settings.items())
        raise ConfigError(f"model.name is {name!r}, but {name}({arguments}) fails: {one_line(error)}") from error
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model.name is {name!r}, but it makes a {type(model).__name__}, not a torch.nn.Module")
    return model


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

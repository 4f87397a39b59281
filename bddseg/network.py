"""A trial's network with its frames and its loss on one device: a batch -> logits, masks and loss terms."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bddseg.augment import Batch, nothing
from bddseg.batches import Pixels, Placed
from bddseg.config import TrainConfig
from bddseg.data.frames import Frames
from bddseg.device import resolve_precision
from bddseg.losses import balanced_weights, build_loss
from bddseg.models import model_of


class Network:
    """The model of one trial on one device, the frames that it sees and the loss that is minimised.

    Args:
        config: the settings of the trial.
        frames: every image of the dataset.
        train: indices of the training images, which channel statistics and class weights are taken from.
        device: where everything is computed.
    """

    def __init__(self, config: TrainConfig, frames: Frames, train: Sequence[int], device: torch.device) -> None:
        self.device, self.classes = device, len(frames.task.classes)
        self.precision = resolve_precision(config.train.precision, device)
        self.pixels = Pixels(frames, np.asarray(train), device)
        self.model = model_of(config.model, self.classes)
        self.model.to(device).to(memory_format=torch.channels_last)
        self.loss = build_loss(config.loss.name, weight=self._class_weights(config), gamma=config.loss.gamma)

    def forward(self, placed: Placed, augment: Callable[[Tensor, Tensor], Batch] = nothing) -> tuple[Tensor, Tensor]:
        """Return the logits (N, C, H, W) and the masks (N, H, W) of a batch."""
        images, masks = self.pixels.load(placed, augment)
        is_bf16 = self.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=is_bf16, cache_enabled=False):
            logits = self.model(images)
        return logits, masks

    @property
    def normalisation(self) -> dict[str, Tensor]:
        """Mean and standard deviation of each channel, by which the network's images are normalised."""
        return {"mean": self.pixels.mean.flatten(), "deviation": self.pixels.deviation.flatten()}

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the current weights, on the device."""
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    @torch.no_grad()
    def initialise_statistics(self, placed: Placed) -> None:
        """Set BatchNorm's running statistics to those of a batch, the first one of a training.

        They start at mean 0 and variance 1, and each batch changes them by a tenth: after few steps, or with
        activations far from variance 1, a validation would measure the initial values rather than the data.
        """
        norms = [module for module in self.model.modules() if isinstance(module, nn.BatchNorm2d)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0
        self.forward(placed)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    def _class_weights(self, config: TrainConfig) -> Tensor | None:
        if config.loss.weighting == "none":
            return None
        return torch.from_numpy(balanced_weights(self.pixels.class_pixels)).to(self.device)

"""Check of plug-in models and losses before any training: one step on two random images."""

import torch
from torch import Tensor, nn

from bddseg.config import TrainConfig
from bddseg.errors import ConfigError
from bddseg.losses import LossTerms, build_loss, mean
from bddseg.models import count_parameters, model_of
from bddseg.task import IGNORE

IMAGES = 2


def check_own(config: TrainConfig, classes: int) -> None:
    """Build the plug-ins of a configuration for so many classes and take one training step with them.

    Raises:
        ConfigError: when a plug-in cannot be built, fails, or returns another type or shape.
    """
    if not config.own_names():
        return
    model, size = model_of(config.model, classes).train(), config.data.size
    logits = _predict(model, torch.rand(IMAGES, 3, size, size), classes, config.model.name)
    loss = _measure(config, logits)
    try:
        loss.backward()
    except RuntimeError as error:
        raise ConfigError(f"no gradient can be computed with {_named(config)}: {_line(error)}") from error
    if not any(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters()):
        raise ConfigError(f"no weight gets a finite gradient with {_named(config)}, so nothing would be learnt")


def _predict(model: nn.Module, images: Tensor, classes: int, name: str) -> Tensor:
    wanted = (IMAGES, classes, *images.shape[-2:])
    if not count_parameters(model):
        raise ConfigError(f"model.name is {name!r}, but it has no weight that can be trained")
    try:
        logits = model(images)
    except Exception as error:  # any error of the user's network is theirs to correct
        raise ConfigError(
            f"model.name is {name!r}, but it fails on images of shape {tuple(images.shape)}: {_line(error)}"
        ) from error
    if not isinstance(logits, Tensor) or tuple(logits.shape) != wanted:
        returned = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ConfigError(f"model.name is {name!r}, but it returns {returned} for two images, and must return {wanted}")
    return logits


def _measure(config: TrainConfig, logits: Tensor) -> Tensor:
    name, classes = config.loss.name, logits.shape[1]
    target = torch.arange(logits[:, 0].numel()).view(logits[:, 0].shape) % classes
    target[:, :1] = IGNORE
    try:
        terms: LossTerms = build_loss(name, weight=torch.ones(classes), gamma=config.loss.gamma)(logits, target)
        loss = mean(terms)
    except ConfigError:
        raise
    except Exception as error:  # any error of the user's loss is theirs to correct
        raise ConfigError(f"loss.name is {name!r}, but it fails on two images: {_line(error)}") from error
    if loss.shape != () or not bool(loss.isfinite()):
        raise ConfigError(f"loss.name is {name!r}, but the loss of two images is {loss.tolist()}, not a finite number")
    return loss


def _named(config: TrainConfig) -> str:
    return " and ".join(f"{key} {name!r}" for key, name in config.own_names().items())


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"

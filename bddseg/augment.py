"""Augmentation by name: batch operations on the device, image and mask together, resampled for each image.

Every random number is drawn on the device from its default generator, so that a step stays free of host reads and can
be captured in a CUDA graph. (torchvision's transforms draw one set of Python numbers for a whole batch.)
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from bddseg.errors import ConfigError

SMALLEST_CROP = 0.6
"""Side of the smallest part of an image that fills the frame, as a share of the whole side."""

COLOUR_STRENGTH = 0.3
"""Brightness, contrast and saturation are each multiplied by 1 - this .. 1 + this."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness. Source: ITU-R BT.601."""

Batch = tuple[Tensor, Tensor]


def nothing(images: Tensor, masks: Tensor) -> Batch:
    """Return the batch as it is."""
    return images, masks


def flip(images: Tensor, masks: Tensor) -> Batch:
    """Mirror about half of the images, and their masks, left to right.

    Shape:
        images: (N, 3, H, W), values 0..1.  masks: (N, H, W).  returns: the same.
    """
    mirrored = torch.rand(len(images), 1, 1, device=images.device) < 0.5
    return torch.where(mirrored.unsqueeze(1), images.flip(-1), images), torch.where(mirrored, masks.flip(-1), masks)


def standard(images: Tensor, masks: Tensor) -> Batch:
    """Mirror, enlarge a random part to the whole frame, and change colours.

    Images are interpolated, masks take the nearest pixel: a mask never gains a class.

    Shape:
        images: (N, 3, H, W), values 0..1.  masks: (N, H, W).  returns: the same.
    """
    images, masks = _crop(*flip(images, masks))
    return _recolour(images), masks


AUGMENTATIONS: dict[str, Callable[[Tensor, Tensor], Batch]] = {"none": nothing, "flip": flip, "standard": standard}


def build_augmentation(name: str) -> Callable[[Tensor, Tensor], Batch]:
    """Return the named augmentation as a function of (images, masks).

    Raises:
        ConfigError: listing the known names.
    """
    if name not in AUGMENTATIONS:
        raise ConfigError(f"data.augment is {name!r}, but must be one of {', '.join(AUGMENTATIONS)}")
    return AUGMENTATIONS[name]


def _crop(images: Tensor, masks: Tensor) -> Batch:
    """Enlarge a random part of each image, and the same part of its mask."""
    number, device = len(images), images.device
    side = SMALLEST_CROP + (1 - SMALLEST_CROP) * torch.rand(number, device=device)
    centre = (2 * torch.rand(number, 2, device=device) - 1) * (1 - side).unsqueeze(1)
    scale = torch.diag_embed(side.unsqueeze(1).expand(-1, 2))  # (N, 2, 2)
    grid = affine_grid(torch.cat([scale, centre.unsqueeze(2)], dim=2), list(images.shape), align_corners=False)
    enlarged = grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    labels = masks.unsqueeze(1).to(images.dtype)  # grid_sample wants floats; 255 is exact in them
    labels = grid_sample(labels, grid, mode="nearest", padding_mode="border", align_corners=False)
    return enlarged, labels.squeeze(1).to(masks.dtype)


def _recolour(images: Tensor) -> Tensor:
    """Change brightness, contrast and saturation of each image by factors of its own."""
    factors = 1 + COLOUR_STRENGTH * (2 * torch.rand(3, len(images), 1, 1, 1, device=images.device) - 1)
    brightness, contrast, saturation = factors
    images = images * brightness
    images = (images - images.mean((1, 2, 3), keepdim=True)) * contrast + images.mean((1, 2, 3), keepdim=True)
    grey = (images * _luma(images.device)).sum(1, keepdim=True)
    return ((images - grey) * saturation + grey).clamp(0, 1)


@functools.cache
def _luma(device: torch.device) -> Tensor:
    """Return the channel weights on the device; cached, since a CUDA graph cannot capture a copy from the host.

    Shape:
        returns: (1, 3, 1, 1)
    """
    return torch.tensor(LUMA, device=device).view(1, 3, 1, 1)

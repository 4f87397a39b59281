"""Boundary IoU: overlap of predicted and true outlines, counted per image and class."""

import math

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, pad

from bddseg.task import IGNORE

BAND = 0.02
"""Width of the band along an outline, as a share of the image's diagonal. Source: Cheng et al. 2021, section 4.4."""


def band_px(height: int, width: int) -> int:
    """Return the width of the band in pixels, at least one."""
    return max(1, round(BAND * math.hypot(height, width)))


def count_boundaries(truth: Tensor, prediction: Tensor, classes: int) -> Tensor:
    """Count, per image and class, the pixels of both bands in common, and in either.

    The band of a class is what its mask loses when it shrinks by `band_px`; the image's edge is an outline too. Pixels
    where the truth is IGNORE are not counted, and take the predicted class: they neither make an outline nor hide one.

    Shape:
        truth, prediction: (N, H, W), int64.  returns: (N, classes, 2), int64: intersection and union.

    Source: Cheng et al. 2021, Boundary IoU: Improving object-centric image segmentation evaluation, arXiv:2103.16562,
    equation 2.
    """
    width_px = band_px(*truth.shape[-2:])
    valid = truth != IGNORE
    filled = torch.where(valid, truth, prediction)
    first, second = (_bands(masks, classes, width_px) & valid.unsqueeze(1) for masks in (filled, prediction))
    intersection, union = (first & second).sum((2, 3)), (first | second).sum((2, 3))
    return torch.stack([intersection, union], dim=2)


def _bands(masks: Tensor, classes: int, width_px: int) -> Tensor:
    """Return where each class lies within so many pixels of its outline.

    Shape:
        masks: (N, H, W), int64.  returns: (N, classes, H, W), bool.
    """
    inside = masks.unsqueeze(1) == torch.arange(classes, device=masks.device).view(1, -1, 1, 1)
    outside = pad((~inside).float(), [width_px] * 4, value=1.0)  # beyond the edge is outside
    size = 2 * width_px + 1
    grown = max_pool2d(max_pool2d(outside, (size, 1), stride=1), (1, size), stride=1)  # a square, one side at a time
    return inside & grown.bool()

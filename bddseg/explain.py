"""Explanations of predictions: correct and wrong pixels, IoU per image, attention maps."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from bddseg.blocks import AttentionGate
from bddseg.confusion import count_pixels, miou
from bddseg.predictor import Predictor
from bddseg.task import IGNORE

RIGHT, WRONG, NOT_JUDGED = 0, 1, 2
"""Values of `compare`; a pixel whose truth is IGNORE is not judged."""


def compare(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return for every pixel whether the prediction is RIGHT, WRONG or NOT_JUDGED.

    Shape:
        truth, predicted: (..., H, W).  returns: (..., H, W), uint8.
    """
    verdict = np.where(truth == predicted, RIGHT, WRONG)
    return np.where(truth == IGNORE, NOT_JUDGED, verdict).astype(np.uint8)


def score_images(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return the mIoU of each image; NaN if none of its pixels is judged.

    Shape:
        truth, predicted: (N, H, W).  returns: (N,), float64.
    """
    return miou(count_pixels(truth, predicted, classes))


def attention_maps(trained: Predictor, images: np.ndarray) -> np.ndarray:
    """Return the coefficients of every gate, from 0 (closed) to 1 (open), deepest first, upsampled to the image.

    Shape:
        images: (N, H, W, 3), uint8.  returns: (N, gates, H, W), float32; no gates for a network without attention.
    """
    height, width = images.shape[1:3]
    with _watched(trained.model) as seen:
        trained.score(images)
    if not seen:
        return np.zeros((len(images), 0, height, width), dtype=np.float32)
    finest = tuple(seen[-1].shape[-2:])  # the image with the padding that the network added at the right and bottom
    enlarged = [
        interpolate(coefficients.float(), finest, mode="bilinear", align_corners=False) for coefficients in seen
    ]
    return torch.cat(enlarged, dim=1)[..., :height, :width].cpu().numpy()


@contextmanager
def _watched(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the coefficients of the gates within the context, in the order of their computation."""
    seen: list[Tensor] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], coefficients: Tensor) -> None:
        seen.append(coefficients)  # (N, 1, h, w)

    gates = [module for module in model.modules() if isinstance(module, AttentionGate)]
    hooks = [gate.psi.register_forward_hook(note) for gate in gates]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()

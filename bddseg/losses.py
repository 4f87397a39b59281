"""Losses on logits, each as a sum and its weight, so that a mean over many batches is divided once."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import log_softmax, softmax

from bddseg.errors import ConfigError
from bddseg.plugins import is_own, load_own
from bddseg.task import IGNORE

LossTerms = tuple[Tensor, Tensor]


def cross_entropy(logits: Tensor, target: Tensor, *, weight: Tensor | None) -> LossTerms:
    """Return (weighted sum of the negative log-likelihoods, sum of weights) over the pixels that are not IGNORE.

    Shape:
        logits: (N, C, H, W), raw scores.  target: (N, H, W), int64.  weight: (C,).  returns: two scalars, fp32.
    """
    return focal(logits, target, weight=weight, gamma=0.0)


def focal(logits: Tensor, target: Tensor, *, weight: Tensor | None, gamma: float) -> LossTerms:
    """Return (sum of w (1 - p)^gamma nll, sum of w) over the pixels that are not IGNORE; gamma 0 is cross-entropy.

    Shape:
        logits: (N, C, H, W), raw scores.  target: (N, H, W), int64.  weight: (C,).  returns: two scalars, fp32.

    Source: Lin et al. 2017, arXiv:1708.02002, equation 5, with the softmax in place of the sigmoid.
    """
    is_valid = target != IGNORE
    index = target.masked_fill(~is_valid, 0).unsqueeze(1)  # (N, 1, H, W); the class of ignored pixels does not matter
    nll = -log_softmax(logits.float(), dim=1).gather(1, index).squeeze(1)  # (N, H, W)
    weights = is_valid.float() if weight is None else weight[index.squeeze(1)] * is_valid
    if gamma == 0:
        return (weights * nll).sum(), weights.sum()
    miss = (1 - (-nll).exp()).clamp(
        min=torch.finfo(nll.dtype).tiny
    )  # 1 - p; at 0 the gradient is infinite for gamma below 1
    focus = miss**gamma
    return (weights * (focus * nll)).sum(), weights.sum()


def mean(terms: LossTerms) -> Tensor:
    """Return the loss of one batch; 0 with a zero gradient when nothing in it is valid."""
    total, weights = terms
    return total / weights.masked_fill(weights <= 0, 1)  # 0 / 1; a tiny divisor could overflow in the gradient


def dice(logits: Tensor, target: Tensor, *, weight: Tensor | None = None) -> LossTerms:
    """Return (N times the soft Dice loss of the batch, N): one less the mean Dice coefficient of the classes.

    Each class is pooled over the batch and counts if the truth contains it; IGNORE is excluded. Class weights have no
    effect: the mean over classes already gives rare and frequent ones the same weight.

    Shape:
        logits: (N, C, H, W), raw scores.  target: (N, H, W), int64.  returns: two scalars, fp32.

    Source: Milletari et al. 2016, V-Net, arXiv:1606.04797, section 3, without the squares; pooled over the batch as
    in Isensee et al. 2021, nnU-Net, Nature Methods 18, supplementary note 4.
    """
    valid = (target != IGNORE).unsqueeze(1)  # (N, 1, H, W)
    probability = softmax(logits.float(), dim=1) * valid  # (N, C, H, W)
    classes = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1)
    truth = (target.unsqueeze(1) == classes).float()  # (N, C, H, W); IGNORE is no class
    overlap, predicted, true = (part.sum((0, 2, 3)) for part in (probability * truth, probability, truth))  # (C,)
    is_present = (true > 0).float()
    coefficient = 2 * overlap / (predicted + true).clamp(min=1.0)  # at least one true pixel where the class counts
    present = is_present.sum()
    loss = 1 - (coefficient * is_present).sum() / present.clamp(min=1.0)
    images = len(target) * (present > 0)  # a batch without valid pixels has no weight
    return loss * images, images.float()


def ce_dice(logits: Tensor, target: Tensor, *, weight: Tensor | None) -> LossTerms:
    """Return N times the sum of mean cross-entropy and Dice loss of the batch, and N.

    Source: Isensee et al. 2021, nnU-Net, Nature Methods 18, Methods, "Training".
    """
    total, images = dice(logits, target)
    return total + images * mean(cross_entropy(logits, target, weight=weight)), images


LOSSES: dict[str, Callable[..., LossTerms]] = {
    "cross_entropy": cross_entropy,
    "focal": focal,
    "dice": dice,
    "ce_dice": ce_dice,
}


def build_loss(name: str, *, weight: Tensor | None, gamma: float) -> Callable[[Tensor, Tensor], LossTerms]:
    """Return the named loss as a function of (logits, target).

    A name of the form `package.module:function` is a plug-in: called with logits, target and weight (of each class, or
    None), it returns two terms as the losses here do, or the mean loss of the batch.

    Args:
        name: one of LOSSES, or a plug-in.
        weight: of each class; None weighs all alike.
        gamma: focusing exponent of focal.

    Raises:
        ConfigError: listing the known names.
    """
    if is_own(name):
        return partial(_own_terms, load_own("loss.name", name), weight=weight)
    if name not in LOSSES:
        raise ConfigError(f"loss.name is {name!r}, but must be one of {', '.join(LOSSES)}, or package.module:function")
    return partial(LOSSES[name], weight=weight, **({"gamma": gamma} if name == "focal" else {}))


def _own_terms(own: Callable[..., Any], logits: Tensor, target: Tensor, *, weight: Tensor | None) -> LossTerms:
    """Return the terms of a plug-in loss; a mean is weighted by the number of images."""
    loss = own(logits, target, weight=weight)
    if isinstance(loss, tuple):
        return loss
    return loss * len(target), torch.full_like(loss, len(target))


def balanced_weights(counts: np.ndarray) -> np.ndarray:
    """Return class weights n / (classes present * count); an absent class weighs 0.

    Shape:
        counts: (C,), pixels of each class.  returns: (C,), float32.

    Source: King and Zeng 2001, Logistic Regression in Rare Events Data; scikit-learn's "balanced".
    """
    is_present = counts > 0
    share = counts.sum() / max(1, is_present.sum())
    return np.divide(share, counts, out=np.zeros(len(counts)), where=is_present).astype(np.float32)

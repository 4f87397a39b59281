"""Learning-rate schedules: warm-up and decay over the steps of a training. Needs no torch."""

import math
from collections.abc import Callable

POWER = 0.9
"""Exponent of the polynomial decay. Source: Chen et al. 2018, DeepLab, IEEE TPAMI 40(4), section 4.1."""


def constant(_: float) -> float:
    """Return 1."""
    return 1.0


def cosine(progress: float) -> float:
    """Return half a cosine wave, from 1 down to 0.

    Source: Loshchilov and Hutter 2017, SGDR, arXiv:1608.03983, equation 5, without restarts.
    """
    return 0.5 * (1 + math.cos(math.pi * progress))


def poly(progress: float) -> float:
    """Return (1 - progress) ** POWER, from 1 down to 0."""
    return float((1 - progress) ** POWER)


SCHEDULES: dict[str, Callable[[float], float]] = {"constant": constant, "cosine": cosine, "poly": poly}
"""Name -> the share of the learning rate at a progress from 0 (after the warm-up) to below 1 (the last step)."""


def learning_rate_factor(name: str, step: int, steps: int, warmup: float = 0.0) -> float:
    """Return the factor of the learning rate in a training step.

    The first `warmup` of all steps rise linearly to 1, then the named schedule starts. The factor depends on the step
    alone, so a resumed training uses the same one.

    Args:
        name: one of SCHEDULES.
        step: the training step, from 0.
        steps: how many steps the whole training has.
        warmup: share of the steps, from 0 to below 1.

    Source of the warm-up: Goyal et al. 2017, Accurate, Large Minibatch SGD, arXiv:1706.02677, section 2.2.
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return SCHEDULES[name]((step - rising) / max(1, steps - rising))

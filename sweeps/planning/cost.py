"""Cost of a plan: operations by counting, seconds by timing this machine, epochs that early stopping leaves."""

import math
import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from bddseg.config import TrainConfig
from bddseg.device import resolve_precision, use_threads
from bddseg.flops import count_forward
from bddseg.models import model_of
from sweeps.planning.plan import Plan
from sweeps.schedulers.rungs import Rungs

CALIBRATION_FILTERS = 16
CALIBRATION_BATCH = 4
SLOWEST = 1e8
"""Floating-point operations per second of a very slow core, an estimate: a plan below an hour on it is not timed."""
BACKWARD_SHARE = 2
"""A backward pass costs about twice its forward pass."""

ORDERS, MOST_REPLAYED = 200, 60
"""Random orders in which the rule is simulated, and the number of trials up to which that takes no time."""

REPLAYED_SHARE: Mapping[str, float] = {"asha": 0.34, "asha_promote": 0.25, "hyperband": 0.58, "median": 0.57}
"""Scheduler -> share of the full grid's epochs that it spent when recorded curves were replayed through it.

Means over two grids of 48 trials x 20 epochs, 200 orders each (benchmarks/REPLAY.md). Shorter plans, with fewer rungs,
are estimated by the arithmetic of halving, see `halving_epochs`.
"""

REPLAYED_EPOCHS = 20


def estimate_seconds(plan: Plan, *, train_images: int, val_images: int, slots: int, device: torch.device) -> float:
    """Return the time of a plan without early stopping: operations are counted, the device's speed is timed.

    Good to about a factor of two: wide networks use another share of the device's speed than the small timed one.
    """
    flops = plan_flops(plan, train_images=train_images, val_images=val_images)
    return flops / flops_per_second(plan.trials[0].config, plan.classes, device) / min(slots, len(plan.trials))


def plan_flops(plan: Plan, *, train_images: int, val_images: int) -> float:
    """Return the floating-point operations of a plan without early stopping."""
    passes = (1 + BACKWARD_SHARE) * train_images + val_images
    return sum(count_forward(trial.config, plan.classes).flops * passes * trial.epochs for trial in plan.trials)


def epoch_share(plan: Plan, scheduler: str) -> tuple[float, str]:
    """Return the share of the plan's epochs that are trained with early stopping, and how that was estimated."""
    if not plan.rungs:
        return 1.0, "nothing is stopped early"
    trials = plan.originals
    if scheduler == "asha" and len(trials) <= MOST_REPLAYED:
        models = [trial.config.model.name for trial in trials]
        epochs = stopping_epochs(models, plan.rungs, plan.epochs, plan.reduction)
        how = f"simulated with the rule on {ORDERS} random orders"
    elif scheduler in REPLAYED_SHARE and plan.epochs >= REPLAYED_EPOCHS:
        epochs, how = REPLAYED_SHARE[scheduler] * len(trials) * plan.epochs, "from replays of recorded sweeps"
    else:
        protected = 1 + len({trial.config.model.name for trial in trials})
        epochs = halving_epochs(len(trials), plan.rungs, plan.epochs, plan.reduction, protected)
        how = "by the arithmetic of halving; in fact somewhat more, because early trials pass more easily"
    further = (len(plan.trials) - len(trials)) * plan.epochs  # replicates are never stopped
    return (epochs + further) / (len(plan.trials) * plan.epochs), how


def stopping_epochs(models: Sequence[str], rungs: Sequence[int], epochs: int, reduction: int) -> float:
    """Return the epochs that trials train under asynchronous halving, on average over random orders.

    Trials keep their rank from rung to rung. The first, the reference, is never stopped, nor is the leader of a model.
    """
    return float(np.mean([_epochs_of_one_order(models, rungs, epochs, reduction, order) for order in range(ORDERS)]))


def _epochs_of_one_order(models: Sequence[str], rungs: Sequence[int], epochs: int, reduction: int, order: int) -> int:
    memory, total = Rungs(reduction), 0
    values = np.random.default_rng(order).permutation(len(models))
    for index, (model, value) in enumerate(zip(models, values, strict=True)):
        family = {str(other) for other, name in enumerate(models) if name == model}
        ended = epochs
        for rung in rungs:
            if memory.judge(rung, str(index), float(value)) and index and not memory.leads(rung, str(index), family):
                ended = rung
                break
        total += ended
    return total


def halving_epochs(trials: int, rungs: Sequence[int], epochs: int, reduction: int, protected: int) -> float:
    """Return the epochs of all trials when one in `reduction` passes each rung, but never fewer than are protected.

    27 trials, rungs 1 and 3, 9 epochs, reduction 3: 27 * 1 + 9 * (3 - 1) + 3 * (9 - 3) = 63.
    Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning, section 3.1 (synchronous halving).
    """
    total, remaining = 0.0, trials
    for begin, end in zip((0, *rungs), (*rungs, epochs), strict=True):
        total += remaining * (end - begin)
        remaining = min(remaining, max(math.ceil(remaining / reduction), protected))
    return total


def flops_per_second(config: TrainConfig, classes: int, device: torch.device) -> float:
    """Return the floating-point operations per second of this device in such training steps."""
    small = config.with_overrides({"model.base_filters": CALIBRATION_FILTERS})
    is_bf16 = resolve_precision(config.train.precision, device) == "bf16"
    threads = torch.get_num_threads()
    use_threads(1)  # as a trial does
    model = model_of(small.model, classes).to(device).to(memory_format=torch.channels_last).train()
    images = torch.randn(CALIBRATION_BATCH, 3, config.data.size, config.data.size, device=device)
    images = images.to(memory_format=torch.channels_last)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=is_bf16):
            model(images).float().mean().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    step()
    began = time.perf_counter()
    step()
    seconds = time.perf_counter() - began
    use_threads(threads)
    return (1 + BACKWARD_SHARE) * CALIBRATION_BATCH * count_forward(small, classes).flops / seconds

"""This machine as trials see it: their device, how many run side by side, and whether they fit at all."""

import os
from collections.abc import Mapping

import psutil
import torch

from bddseg.device import resolve_device
from bddseg.footprint import least_memory_mb
from sweeps.errors import ExperimentError
from sweeps.plan import Plan
from sweeps.shares import kind


def device_of(
    cpus_per_trial: int, gpus_per_trial: float | None, *, is_cluster: bool
) -> tuple[torch.device, dict[str, float]]:
    """Return where trials run, and what one of them gets: CPU and GPU. Without a number of GPUs: 1 where there is one.

    Raises:
        ConfigError, ExperimentError: when this machine has not what is asked for; a cluster is asked later.
    """
    gpus = gpus_per_trial
    device = resolve_device("cpu" if gpus == 0 else "cuda" if gpus and not is_cluster else "auto")
    if gpus is None:
        gpus = 1.0 if device.type == "cuda" else 0.0
    if cpus_per_trial > (os.cpu_count() or 1) and not is_cluster:
        raise ExperimentError(f"--cpus-per-trial is {cpus_per_trial}, but this machine has {os.cpu_count()} cores")
    return device, {"CPU": float(cpus_per_trial), "GPU": gpus}


def slots_here(device: torch.device, resources: Mapping[str, float], max_concurrent: int = 0) -> int:
    """Return how many trials run side by side on this machine, at least 1."""
    fitting = (os.cpu_count() or 1) // int(resources["CPU"])
    if device.type == "cuda":
        fitting = min(fitting, int(torch.cuda.device_count() / resources["GPU"]))
    return max(1, min(fitting, max_concurrent or fitting))


def check_memory(plan: Plan, device: torch.device, gpus: float = 1.0) -> None:
    """Refuse a plan with a trial that needs more memory than this machine has; `gpus` is its share of one.

    Raises:
        ExperimentError: naming the trial, what it needs at least, and how to lower that.
    """
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        where, has_mb = "its share of the GPU", min(gpus, 1.0) * total / 1e6
    else:
        where, has_mb = "this machine", psutil.virtual_memory().total / 1e6
    for trial in {kind(trial.config, device.type): trial for trial in plan.trials}.values():
        least_mb = least_memory_mb(trial.config)
        if least_mb > has_mb:
            raise ExperimentError(
                f"trial {trial.name} needs at least {least_mb / 1e3:.1f} GB of memory, but {where} has "
                f"{has_mb / 1e3:.1f} GB: lower train.batch_size, data.size or model.base_filters"
            )

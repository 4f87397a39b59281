"""This machine: the device of trials, how many run at a time, and whether they fit into its memory."""

from collections.abc import Mapping
from dataclasses import dataclass

import psutil
import torch

from bddseg.cores import describe_cores, usable_cores
from bddseg.device import resolve_device
from bddseg.memory import least_memory_mb
from sweeps.errors import ExperimentError
from sweeps.planning.plan import Plan
from sweeps.planning.resources import kind


@dataclass(frozen=True)
class Machine:
    """The device of trials, and the resources of each."""

    device: torch.device
    resources: dict[str, float]
    """CPU and GPU of one trial."""

    def slots(self, max_concurrent: int = 0) -> int:
        """Return how many trials run at a time on this machine, at least 1."""
        fitting = usable_cores() // int(self.resources["CPU"])
        if self.device.type == "cuda":
            fitting = min(fitting, int(torch.cuda.device_count() / self.resources["GPU"]))
        return max(1, min(fitting, max_concurrent or fitting))

    def memory_mb(self) -> float:
        """Return the memory limit of one trial: the machine's, or its share of a GPU's."""
        if self.device.type == "cuda":
            return min(self.resources["GPU"], 1.0) * torch.cuda.get_device_properties(self.device).total_memory / 1e6
        return psutil.virtual_memory().total / 1e6

    def check_memory(self, plan: Plan) -> None:
        """Refuse a plan with a trial that needs more memory than this machine has.

        Raises:
            ExperimentError: naming the trial, what it needs at least, and how to lower that.
        """
        has_mb, where = self.memory_mb(), "its share of the GPU" if self.device.type == "cuda" else "this machine"
        for trial in {kind(trial.config, plan.classes, self.device.type): trial for trial in plan.trials}.values():
            least_mb = least_memory_mb(trial.config, plan.classes)
            if least_mb > has_mb:
                raise ExperimentError(
                    f"trial {trial.name} needs at least {least_mb / 1e3:.1f} GB of memory, but {where} has "
                    f"{has_mb / 1e3:.1f} GB: lower train.batch_size, data.size or model.base_filters"
                )


def cluster_machine(device: str, resources: Mapping[str, float]) -> Machine:
    """Return the nodes of a cluster as one machine, of which only the device and the share of a trial are used."""
    return Machine(torch.device(device), dict(resources))


def find_machine(cpus_per_trial: int, gpus_per_trial: float | None, *, is_cluster: bool) -> Machine:
    """Return this machine with the resources per trial; without a number of GPUs, 1 where there is one.

    Raises:
        ConfigError, ExperimentError: when this machine lacks them; a cluster is checked later.
    """
    gpus = gpus_per_trial
    device = resolve_device("cpu" if gpus == 0 else "cuda" if gpus and not is_cluster else "auto")
    if gpus is None:
        gpus = 1.0 if device.type == "cuda" else 0.0
    if cpus_per_trial > usable_cores() and not is_cluster:
        raise ExperimentError(f"--cpus-per-trial is {cpus_per_trial}, but this process may use {describe_cores()}")
    return Machine(device, {"CPU": float(cpus_per_trial), "GPU": gpus})

"""The load of the machine, under the names that MLflow's own system metrics have, so that its page of them shows it."""

import psutil
import torch

CPU_USE, MEMORY_MB, MEMORY_USE = (
    "system/cpu_utilization_percentage",
    "system/system_memory_usage_megabytes",
    "system/system_memory_usage_percentage",
)
"""Of the whole machine, not of one trial.

Source: mlflow.system_metrics.metrics.
"""


def measure_system(device: torch.device) -> dict[str, float]:
    """Return the load of the machine; that of the CPU since the call before in this thread, and 0 in the first.

    On a GPU its memory in use, by all processes; its load would need NVIDIA's Python bindings.
    """
    memory = psutil.virtual_memory()
    load = {CPU_USE: psutil.cpu_percent(), MEMORY_MB: memory.used / 1e6}
    load[MEMORY_USE] = 100 * memory.used / memory.total
    if device.type != "cuda":
        return load
    free, total = torch.cuda.mem_get_info(device)
    start = f"system/gpu_{device.index or 0}_memory_usage"
    return load | {f"{start}_megabytes": (total - free) / 1e6, f"{start}_percentage": 100 * (1 - free / total)}

"""The device of a trial: which one, its arithmetic, threads, seeds and memory."""

import contextlib
import gc
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from bddseg.errors import ConfigError, DeviceError

PROCESS_STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""Sets the high-water mark VmHWM back to the present resident set (proc(5))."""

NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory|_ALLOC_FAILED", re.IGNORECASE)
"""What torch's allocators and CUDA's libraries say, in errors of no type of their own."""

ROOM = 0.7
"""A trial may start when so much of its share is free; drivers, displays and processes' contexts take the rest."""

GPU_POLL_SECONDS = 0.5


def resolve_device(name: str = "auto") -> torch.device:
    """Return the device of that name; "auto" is the first GPU there is, otherwise the CPU.

    Raises:
        ConfigError: when the device is not there.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device is {name!r}, but must be auto, cpu, cuda or cuda:<index>") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device {name} is not there: this machine has {torch.cuda.device_count()} CUDA devices")
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device is {name!r}, but must be auto, cpu, cuda or cuda:<index>")
    return device


def has_native_bf16(device: torch.device) -> bool:
    """Return whether the device computes in bf16 in hardware: emulation is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # not in older torch: then fp32
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return "fp32" or "bf16": what "auto" means on this device, otherwise what was asked for."""
    if precision != "auto":
        return precision
    return "bf16" if has_native_bf16(device) else "fp32"


def use_threads(number: int) -> None:
    """Let this process compute with so many threads; trials side by side are fastest with one each."""
    torch.set_num_threads(max(1, number))


def seed_everything(seed: int) -> None:
    """Seed every generator that training draws from, on every device."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def free_memory_bytes(device: torch.device) -> int:
    """Return how much of a GPU's memory this process may still take: what is free, within its share of the whole."""
    free, total = torch.cuda.mem_get_info(device)
    share = torch.cuda.get_per_process_memory_fraction(device)
    return min(free, int(share * total) - torch.cuda.memory_reserved(device))


def reset_peak_memory(device: torch.device) -> None:
    """Count the most memory used from here on: a trial must not be charged for those before it in its process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):  # Linux alone knows this; elsewhere the mark is that of the whole process
        CLEAR_REFS.write_text(RESET_PEAK)


def peak_memory_mb(device: torch.device) -> float:
    """Return the most memory used so far, in MB: the GPU's allocations, or this process's resident set.

    "So far" is since `reset_peak_memory`, or since the process began.
    """
    if device.type == "cuda":  # what torch has taken from the device, CUDA graphs' private pools included
        return torch.cuda.max_memory_reserved(device) / 1e6
    try:
        mark = re.search(r"^VmHWM:\s*(\d+) kB$", PROCESS_STATUS.read_text(), re.MULTILINE)
    except OSError:
        mark = None
    if mark:
        return int(mark[1]) * 1024 / 1e6
    import resource  # POSIX only, as Ray's multi-process mode is

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def release_memory(device: torch.device) -> None:
    """Give back what a finished trial had: models in reference cycles, and the GPU memory that torch has kept."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()


def limit_memory(device: torch.device, share: float) -> None:
    """Let this process take no more than its share of a GPU's memory: a neighbour's trial must not fail for ours."""
    if device.type == "cuda" and share > 0:
        torch.cuda.set_per_process_memory_fraction(min(share, 1.0), device)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the error says that the device, or the host, had no memory left."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or bool(NO_MEMORY.search(str(error)))


def await_gpu_memory(
    device: torch.device, share: float, *, limit_s: float = 60, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Wait until the GPU has room for a trial of that share: the memory of a process that ended is not free at once.

    Raises:
        DeviceError: when the room is still not there after `limit_s` seconds.
    """
    began = time.monotonic()
    while device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        if has_room(free, total, share):
            return
        if time.monotonic() - began >= limit_s:
            raise DeviceError(
                f"only {free / 1e9:.1f} of {total / 1e9:.1f} GB of GPU memory are free after {limit_s:.0f} s, but a "
                f"trial with {min(share, 1):g} GPU needs {needed_bytes(total, share) / 1e9:.1f} GB: end what else uses "
                "the GPU, or lower --gpus-per-trial"
            )
        sleep(GPU_POLL_SECONDS)


def has_room(free: int, total: int, share: float) -> bool:
    """Return whether so many free bytes of a GPU are room for a trial of that share."""
    return free >= needed_bytes(total, share)


def needed_bytes(total: int, share: float) -> float:
    """Return the free bytes that a trial's share of a GPU asks for; more than one GPU asks for one, the first."""
    return ROOM * min(share, 1) * total


def total_memory_mb(device: torch.device) -> float:
    """Return the memory of a GPU, in MB."""
    return torch.cuda.get_device_properties(device).total_memory / 1e6


def describe(device: torch.device) -> str:
    """Return the device in words, for reports."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({torch.backends.cpu.get_cpu_capability()})"

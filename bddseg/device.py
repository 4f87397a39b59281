"""The device of a trial: selection, precision, threads, seeds and memory."""

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
"""Messages of torch's allocators and CUDA's libraries that have no error type of their own."""

ROOM = 0.7
"""Fraction of a trial's share that must be free at its start; drivers, displays and CUDA contexts take some."""

GPU_POLL_SECONDS = 0.5


def resolve_device(name: str = "auto") -> torch.device:
    """Return the named device; "auto" is the first GPU, or the CPU without one.

    Raises:
        ConfigError: when there is no such device.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device is {name!r}, but must be auto, cpu, cuda or cuda:<index>") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device {name} does not exist: this machine has {torch.cuda.device_count()} CUDA devices")
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device is {name!r}, but must be auto, cpu, cuda or cuda:<index>")
    return device


def has_native_bf16(device: torch.device) -> bool:
    """Return whether the device computes in bf16 in hardware: emulation is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # missing in older torch: then fp32
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return "fp32" or "bf16": "auto" resolved for this device, any other value as it is."""
    if precision != "auto":
        return precision
    return "bf16" if has_native_bf16(device) else "fp32"


def use_threads(number: int) -> None:
    """Set the number of threads of this process; concurrent trials are fastest with one each."""
    torch.set_num_threads(max(1, number))


def seed_everything(seed: int) -> None:
    """Seed every generator that training draws from, on every device."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def free_memory_bytes(device: torch.device) -> int:
    """Return how much more GPU memory this process may allocate: the free memory, limited by the process's share."""
    free, total = torch.cuda.mem_get_info(device)
    share = torch.cuda.get_per_process_memory_fraction(device)
    return min(free, int(share * total) - torch.cuda.memory_reserved(device))


def reset_peak_memory(device: torch.device) -> None:
    """Restart the peak memory measurement: a trial must not be charged for earlier ones in its process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):  # Linux only; elsewhere the peak is that of the whole process
        CLEAR_REFS.write_text(RESET_PEAK)


def peak_memory_mb(device: torch.device) -> float:
    """Return the peak memory in MB since `reset_peak_memory`, or since the process started.

    On a GPU that is the memory reserved by torch, on the CPU the process's resident set.
    """
    if device.type == "cuda":  # includes the private pools of CUDA graphs
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
    """Release the memory of a finished trial: models in reference cycles, and GPU memory that torch has cached."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()


def limit_memory(device: torch.device, share: float) -> None:
    """Limit this process to its share of a GPU's memory, so that concurrent trials on it do not run out."""
    if device.type == "cuda" and share > 0:
        torch.cuda.set_per_process_memory_fraction(min(share, 1.0), device)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the error means that the device or the host ran out of memory."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or bool(NO_MEMORY.search(str(error)))


def await_gpu_memory(
    device: torch.device, share: float, *, limit_s: float = 60, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Wait until a trial's share of GPU memory is free: the memory of an ended process is released with a delay.

    Raises:
        DeviceError: when it is still not free after `limit_s` seconds.
    """
    began = time.monotonic()
    while device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        if has_room(free, total, share):
            return
        if time.monotonic() - began >= limit_s:
            raise DeviceError(
                f"only {free / 1e9:.1f} of {total / 1e9:.1f} GB of GPU memory are free after {limit_s:.0f} s, but a "
                f"trial with {min(share, 1):g} GPU needs {needed_bytes(total, share) / 1e9:.1f} GB: stop other "
                "processes on the GPU, or lower --gpus-per-trial"
            )
        sleep(GPU_POLL_SECONDS)


def has_room(free: int, total: int, share: float) -> bool:
    """Return whether the free bytes of a GPU are enough for a trial of that share."""
    return free >= needed_bytes(total, share)


def needed_bytes(total: int, share: float) -> float:
    """Return the free bytes that a trial's share of a GPU requires; a share above 1 uses one GPU, the first."""
    return ROOM * min(share, 1) * total


def total_memory_mb(device: torch.device) -> float:
    """Return the memory of a GPU, in MB."""
    return torch.cuda.get_device_properties(device).total_memory / 1e6


def describe(device: torch.device) -> str:
    """Return a description of the device, for reports."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({torch.backends.cpu.get_cpu_capability()})"

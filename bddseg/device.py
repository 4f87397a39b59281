"""The device of a trial: which one, its arithmetic, threads, seeds and memory."""

import random

import numpy as np
import torch

from bddseg.errors import ConfigError


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


def peak_memory_mb(device: torch.device) -> float:
    """Return the most memory used so far, in MB: the GPU's allocations, or this process's resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    import resource  # POSIX only, as Ray's multi-process mode is

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def describe(device: torch.device) -> str:
    """Return the device in words, for reports."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({torch.backends.cpu.get_cpu_capability()})"

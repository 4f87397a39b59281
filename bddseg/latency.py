"""Latency: time of a network's prediction on a device, and its number of parameters."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from bddseg.config import ModelSettings
from bddseg.device import use_threads
from bddseg.models import build_model, count_parameters

BATCHES = (1, 16)
LEAST, MOST = 3, 50
"""Timed passes of one batch size."""

SECONDS = 0.4
"""Passes of one batch size are repeated for so long; if one pass takes longer, it is timed once."""


@dataclass(frozen=True)
class Latency:
    """Inference cost of one network. Weights and dropout do not matter."""

    parameters: int
    batch_ms: tuple[float, ...]
    """Milliseconds for one whole batch of each size in BATCHES; medians."""


def measure_latency(
    settings: ModelSettings,
    classes: int,
    size_px: int,
    device: torch.device,
    precision: str,
    seconds: float = SECONDS,
) -> Latency:
    """Return the inference cost of square images on the device; on the CPU with one thread.

    Images are on the device already and nothing is captured or compiled: the time is that of a plain forward pass.
    """
    model = build_model(settings.name, classes=classes, base_filters=settings.base_filters)
    model.eval().to(device).to(memory_format=torch.channels_last)
    with _one_thread():
        medians = tuple(
            _median_ms(_pass(model, batch, size_px, device, precision), device, seconds) for batch in BATCHES
        )
    return Latency(count_parameters(model), medians)


def _pass(model: nn.Module, batch: int, size_px: int, device: torch.device, precision: str) -> Callable[[], float]:
    """Return a function that predicts one batch and returns the seconds."""
    images = torch.zeros(batch, 3, size_px, size_px, device=device).to(memory_format=torch.channels_last)

    @torch.no_grad()
    def run() -> float:
        _wait(device)
        began = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            model(images).argmax(1)
        _wait(device)
        return time.perf_counter() - began

    return run


def _median_ms(run: Callable[[], float], device: torch.device, seconds: float) -> float:
    first = run()
    if device.type == "cpu" and first > seconds:
        return first * 1000  # the set-up of a first pass is negligible beside it
    run()
    times: list[float] = []
    while len(times) < LEAST or (sum(times) < seconds and len(times) < MOST):
        times.append(run())
    return statistics.median(times) * 1000


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    use_threads(1)
    try:
        yield
    finally:
        use_threads(before)

"""Where a training step's time goes on a GPU, kernel by kernel. `python -m benchmarks.gpu_profile`

The eager training step of one network (128 px, batch 16, bf16) under torch's profiler: milliseconds of a step by kind
of work, and by the tensors that the work is done on, beside the floor: the larger of FLOPs at the device's peak and
bytes at its memory bandwidth. Host time between kernels is not in it; S4 has that. Needs bddseg and torch alone.
"""

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from bddseg.engine import Engine
from benchmarks.cli import cuda_missing, machine, parser, positive, show
from benchmarks.contender_inputs import settings
from benchmarks.flops import peak
from benchmarks.memory_frames import synthetic_frames, synthetic_split

STEPS = 8
BATCH = 16
BYTES_PER_SECOND = {"H200": 4.3e12}
"""Measured memory bandwidth by a part of the device's name."""
BYTES_PER_VALUE = 2

OPTIMISER, OTHER = "optimiser", "other"
KINDS: Sequence[tuple[str, str]] = (
    ("convolution_backward", "convolution, gradients"),
    ("convolution", "convolution, forward"),
    ("batch_norm", "BatchNorm"),
    ("relu", "ReLU"),
    ("threshold_backward", "ReLU"),
    ("sigmoid", "sigmoid"),
    ("max_pool", "pooling"),
    ("cat", "concatenation"),
    ("fused_adam", OPTIMISER),
    ("fused_sgd", OPTIMISER),
    ("foreach", OPTIMISER),
    ("softmax", "loss"),
    ("nll_loss", "loss"),
    ("bmm", "counting"),
    ("argmax", "counting"),
    ("max", "counting"),
    ("eq", "counting"),
    ("copy_", "copies and casts"),
    ("index", "batch and augmentation"),
    ("grid_sampl", "batch and augmentation"),
)
"""A part of an operator's name -> the kind of its work; the first that fits counts."""

GRADIENTS: Sequence[tuple[str, str]] = (
    ("dgrad", "convolution, input gradient"),
    ("wgrad", "convolution, weight gradient"),
)
"""A part of a kernel's name -> which of the two gradients of a convolution it computes."""


@dataclass(frozen=True)
class Work:
    """The device time of one step that goes into one kind of work on tensors of certain shapes."""

    kind: str
    shapes: tuple[tuple[int, ...], ...]
    milliseconds: float
    calls: float


def main(argv: list[str] | None = None) -> int:
    """Profile one network and print the tables."""
    options = parser(str(__doc__), rounds=1)
    options.add_argument("--model", default="vanilla_unet", help="name of the network")
    options.add_argument("--filters", type=positive, default=32, metavar="B", help="its width")
    options.add_argument("--rows", type=positive, default=40, metavar="N", help="rows of the table by tensors")
    options.add_argument("--json", type=Path, metavar="FILE", help="write every row into this file too")
    options.add_argument("--rehearse", action="store_true", help="run the code at toy size on the CPU, without figures")
    arguments = options.parse_args(argv)
    if not arguments.rehearse and cuda_missing():
        return 0
    device = torch.device("cpu") if arguments.rehearse else torch.device("cuda", 0)
    filters, size = (4, 32) if arguments.rehearse else (arguments.filters, 128)
    rows = profile_step(arguments.model, filters, size, device)
    title = f"Training step, {arguments.model} {filters}, {size} px, batch {BATCH}"
    show(f"{title}, by kind", ("", "ms", "share", "floor ms", "calls"), by_kind(rows, device), (machine(device),))
    show(f"{title}, by tensors", ("", "tensors", "ms", "floor ms", "calls"), by_tensors(rows, device)[: arguments.rows])
    if arguments.json:
        arguments.json.write_text(json.dumps([row.__dict__ for row in rows], indent=1))
    return 0


def profile_step(model: str, filters: int, size_px: int, device: torch.device) -> list[Work]:
    """Return the device time of one eager training step; on a CPU the processor time of its operators."""
    images = BATCH * STEPS
    frames, split = synthetic_frames(images + 2, size_px), synthetic_split(images, 1, 1)
    engine = Engine(
        settings(data_size=size_px, model_name=model, model_base_filters=filters), frames, split.train, device
    )
    engine.stay_eager()
    engine.train_epoch(1)
    on_device = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_device else [])]
    with profile(activities=activities, record_shapes=True) as profiler:
        engine.train_epoch(2)
    return merged(work_of(profiler.events(), on_device=on_device), steps=STEPS)


def work_of(events: Iterable[Any], *, on_device: bool) -> Iterable[Work]:
    """Yield the work of each profiled operator, kernel by kernel on a GPU."""
    for event in events:
        shapes = tuple(tuple(shape) for shape in event.input_shapes or () if shape and not isinstance(shape[0], list))
        if not on_device:
            yield Work(kind_of(event.name), shapes, event.self_cpu_time_total / 1e3, 1)
            continue
        for kernel in event.kernels:
            yield Work(kind_of(event.name, kernel.name), shapes, kernel.duration / 1e3, 1)


def kind_of(operator: str, kernel: str = "") -> str:
    """Return the kind of work of an operator, and for the gradients of a convolution of its kernel."""
    kind = next((kind for part, kind in KINDS if part in operator.lower()), OTHER)
    if kind == "convolution, gradients":
        return next((which for part, which in GRADIENTS if part in kernel.lower()), kind)
    return kind


def merged(work: Iterable[Work], steps: int) -> list[Work]:
    """Return the work by kind and shapes, per step, the longest first."""
    sums: dict[tuple[str, tuple[tuple[int, ...], ...]], Work] = {}
    for item in work:
        former = sums.get((item.kind, item.shapes), Work(item.kind, item.shapes, 0.0, 0))
        milliseconds, calls = former.milliseconds + item.milliseconds / steps, former.calls + item.calls / steps
        sums[item.kind, item.shapes] = replace(former, milliseconds=milliseconds, calls=calls)
    return sorted((item for item in sums.values() if item.milliseconds > 0), key=lambda item: -item.milliseconds)


def floor_ms(work: Work, peak_flops: float | None, bytes_per_second: float | None) -> float | None:
    """Return the least milliseconds that the work can take; None on a device whose limits are not known.

    Every tensor is read once, and one as large as the largest is written. A convolution's FLOPs follow from its input
    (N, C, H, W) and its kernel (O, I, k, k); a gradient takes as many.
    """
    if not peak_flops or not bytes_per_second or not work.shapes:
        return None
    values = [math.prod(shape) for shape in work.shapes]
    seconds = (sum(values) + max(values)) * BYTES_PER_VALUE / bytes_per_second
    four_sided = [shape for shape in work.shapes if len(shape) == 4]
    if work.kind.startswith("convolution") and len(four_sided) >= 2:
        images, kernel = four_sided[-2], four_sided[-1]
        seconds = max(seconds, 2 * images[0] * images[2] * images[3] * math.prod(kernel) / peak_flops)
    return 1e3 * seconds * work.calls


def by_kind(rows: Sequence[Work], device: torch.device) -> list[tuple[str, ...]]:
    """Return the table's rows by kind, the longest first, with the total."""
    kinds: dict[str, list[Work]] = {}
    for row in rows:
        kinds.setdefault(row.kind, []).append(row)
    total = sum(row.milliseconds for row in rows)
    longest_first = sorted(kinds, key=lambda kind: -_milliseconds(kinds[kind]))
    return [_kind_row(kind, kinds[kind], total, device) for kind in longest_first] + [
        _kind_row("total", rows, total, device)
    ]


def _kind_row(kind: str, rows: Sequence[Work], total: float, device: torch.device) -> tuple[str, ...]:
    milliseconds = _milliseconds(rows)
    floors = [floor_ms(row, *_limits(device)) for row in rows]
    floor = "unknown" if None in floors else f"{sum(value or 0.0 for value in floors):.3f}"
    return (kind, f"{milliseconds:.3f}", f"{100 * milliseconds / total:.0f} %", floor, f"{_calls(rows):.0f}")


def by_tensors(rows: Sequence[Work], device: torch.device) -> list[tuple[str, ...]]:
    """Return the table's rows by kind and shapes, the longest first."""
    table: list[tuple[str, ...]] = []
    for row in rows:
        floor = floor_ms(row, *_limits(device))
        shapes = " ".join("x".join(map(str, shape)) for shape in row.shapes[:3])
        table.append((row.kind, shapes, f"{row.milliseconds:.3f}", _figure(floor), f"{row.calls:.0f}"))
    return table


def _limits(device: torch.device) -> tuple[float | None, float | None]:
    return peak(device), _bandwidth(BYTES_PER_SECOND, device)


def _bandwidth(rates: Mapping[str, float], device: torch.device) -> float | None:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((rate for part, rate in rates.items() if part in name), None)


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _milliseconds(rows: Sequence[Work]) -> float:
    return sum(row.milliseconds for row in rows)


def _calls(rows: Sequence[Work]) -> float:
    return sum(row.calls for row in rows)


if __name__ == "__main__":
    sys.exit(main())

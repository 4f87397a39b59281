"""S4 GPU trial: one epoch of training and validation on a GPU, against P0 and P2. `python -m benchmarks.s4_gpu_trial`

Vanilla U-Nets of 32, 64 and 128 filters and an attention U-Net of 64, 128 px, batch 16, 2,398 training and 685
validation images: made in memory for ours and P2, files of 1280x720 for P0, of which 40 training and 10 validation
steps are timed and scaled to the epoch. The first epoch is not counted, the device is waited for. Needs bddseg and
torch alone; torchmetrics for P0.
"""

import argparse
import gc
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from bddseg.config import TrainConfig
from bddseg.data.catalog import Sample, read_catalog
from bddseg.data.frames import Frames
from bddseg.data.split import Split
from bddseg.engine import Engine
from benchmarks.baseline_careful import Careful, tensors
from benchmarks.baseline_plain import Plain
from benchmarks.cli import close, cuda_missing, machine, parser, show
from benchmarks.contender_inputs import ContenderInputs, measure, settings
from benchmarks.flops import flops_per_image, peak
from benchmarks.measuring import Figure, Spread, interleave, ratios, time_of
from benchmarks.memory_frames import synthetic_frames, synthetic_split
from benchmarks.scenes import scenes_folder

PARTS = (2398, 685, 343)
P0_FILES, P0_STEPS, P0_VAL_STEPS = 160, 40, 10
WARM_UP_EPOCHS = 1


@dataclass(frozen=True)
class Case:
    """A network and what it must reach."""

    model: str
    filters: int
    vs_p0: float
    vs_p2: float
    epoch_s: float
    """At most, on an H200."""

    @property
    def name(self) -> str:
        return f"{self.model.split('_')[0]} b{self.filters}"


CASES = (
    Case("vanilla_unet", 32, 50, 2.0, 0.40),
    Case("vanilla_unet", 64, 30, 1.2, 0.80),
    Case("vanilla_unet", 128, 12, 1.0, 2.40),
    Case("attention_unet", 64, 25, 1.4, 0.95),
)


@dataclass(frozen=True)
class Scale:
    """How much is measured: all of it, or as little as shows that the script runs."""

    parts: tuple[int, int, int]
    size_px: int
    files: int
    steps: int
    val_steps: int
    divide_filters: int = 1


WHOLE = Scale(PARTS, 128, P0_FILES, P0_STEPS, P0_VAL_STEPS)
REHEARSAL = Scale((40, 16, 8), 32, 16, 2, 1, divide_filters=16)


@dataclass(frozen=True)
class Course:
    """What every case runs on."""

    scale: Scale
    device: torch.device
    frames: Frames
    split: Split
    inputs: ContenderInputs
    samples: Sequence[Sample]
    """Files for P0; none when torchmetrics is missing."""


def main(argv: list[str] | None = None) -> int:
    """Measure every network and print."""
    options = parser(str(__doc__))
    options.add_argument("--rehearse", action="store_true", help="run the code at toy size on the CPU, without figures")
    names = [case.name for case in CASES]
    options.add_argument("--networks", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    arguments = options.parse_args(argv)
    if not arguments.rehearse and cuda_missing():
        return 0
    course = _course(arguments)
    rows: list[tuple[str, ...]] = []
    figures: list[Figure] = []
    for case in (case for case in CASES if case.name in arguments.networks):
        seconds = _seconds(course, case, arguments.rounds)
        rows.append(_row(course, case, seconds))
        print("  ".join(rows[-1]), file=sys.stderr, flush=True)  # a run that is cut short has shown something
        figures += _figures(course, case, seconds)
    train, val, _ = course.scale.parts
    show(
        f"S4 GPU trial, {train} train + {val} val, {course.scale.size_px} px, batch 16",
        ("", "ours s", "floor s", "MFU", "P2 s", "vs P2", "P0 s", "vs P0", "at most, H200"),
        rows,
        (machine(course.device), *_notes(course)),
    )
    return close([] if arguments.rehearse else figures)


def _course(arguments: argparse.Namespace) -> Course:
    scale = REHEARSAL if arguments.rehearse else WHOLE
    device = torch.device("cpu") if arguments.rehearse else torch.device("cuda", 0)
    frames, split = synthetic_frames(sum(scale.parts), scale.size_px), synthetic_split(*scale.parts)
    config = settings(data_size=scale.size_px)
    has_metrics = importlib.util.find_spec("torchmetrics") is not None
    samples = read_catalog(scenes_folder(arguments.cache, scale.files)).samples if has_metrics else ()
    return Course(scale, device, frames, split, measure(frames, split, config), samples)


def _seconds(course: Course, case: Case, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of an epoch of every contender in every round."""
    config = course.inputs.config.with_overrides(
        {"model.name": case.model, "model.base_filters": case.filters // course.scale.divide_filters}
    )
    inputs = replace(course.inputs, config=config)
    contenders = {"ours": _ours(course, config), "P2": _careful(course, inputs)}
    if course.samples:
        contenders["P0"] = _plain(course, inputs)
    measured = interleave(contenders, WARM_UP_EPOCHS + rounds)
    contenders.clear()
    gc.collect()
    if course.device.type == "cuda":
        torch.cuda.empty_cache()
    return {name: seconds[WARM_UP_EPOCHS:] for name, seconds in measured.items()}


def _ours(course: Course, config: TrainConfig) -> Callable[[], float]:
    engine = Engine(config, course.frames, course.split.train, course.device)
    done = iter(range(1, sys.maxsize))

    def epoch() -> None:
        engine.train_epoch(next(done))
        engine.evaluate(course.split.val)

    return lambda: _timed(course, epoch)


def _careful(course: Course, inputs: ContenderInputs) -> Callable[[], float]:
    images, masks = tensors(course.frames.images, course.frames.masks, inputs)
    run = Careful(inputs, images, masks, course.split.train, course.split.val, course.device)

    def epoch() -> None:
        run.train_epoch()
        run.evaluate()

    return lambda: _timed(course, epoch)


def _plain(course: Course, inputs: ContenderInputs) -> Callable[[], float]:
    every = range(len(course.samples))
    run, scale, size = Plain(inputs, course.samples, every, every, course.device), course.scale, 16
    run.train_epoch(1)
    run.evaluate(1)

    def epoch() -> float:
        train = _timed(course, lambda: run.train_epoch(scale.steps)) / scale.steps
        val = _timed(course, lambda: run.evaluate(scale.val_steps)) / scale.val_steps
        return train * -(-scale.parts[0] // size) + val * -(-scale.parts[1] // size)

    return epoch


def _timed(course: Course, work: Callable[[], object]) -> float:
    if course.device.type == "cuda":
        return time_of(work, torch.cuda.synchronize).wall
    return time_of(work).wall


def _row(course: Course, case: Case, seconds: dict[str, list[float]]) -> tuple[str, ...]:
    floor = _floor(course, case)
    ours = Spread.of(seconds["ours"])
    share = f"{100 * floor / ours.median:.0f} %" if floor else "unknown"
    careful = (Spread.of(seconds["P2"]).text(), ratios(seconds["P2"], seconds["ours"]).text("x"))
    plain = ("-", "-")
    if "P0" in seconds:
        plain = (Spread.of(seconds["P0"]).text(), ratios(seconds["P0"], seconds["ours"]).text("x"))
    floor_words = f"{floor:.2f}" if floor else "unknown"
    return (case.name, ours.text(), floor_words, share, *careful, *plain, f"{case.epoch_s:.2f} s")


def _floor(course: Course, case: Case) -> float | None:
    """Return the seconds that an epoch's arithmetic takes at the device's peak."""
    rate = peak(course.device)
    if rate is None:
        return None
    config = course.inputs.config.with_overrides({"model.name": case.model, "model.base_filters": case.filters})
    train, evaluation = flops_per_image(config)
    return (course.scale.parts[0] * train + course.scale.parts[1] * evaluation) / rate


def _figures(course: Course, case: Case, seconds: dict[str, list[float]]) -> list[Figure]:
    rounds = len(seconds["ours"])
    versus = [("P0", case.vs_p0), ("P2", case.vs_p2)]
    figures = [
        Figure(f"S4 {case.name} vs {name}", ratios(seconds[name], seconds["ours"]).median, target, rounds)
        for name, target in versus
        if name in seconds
    ]
    if course.device.type == "cuda" and "H200" in torch.cuda.get_device_name(course.device):
        value = Spread.of(seconds["ours"]).median
        figures.append(Figure(f"S4 {case.name} epoch s", value, case.epoch_s, rounds, kind="value", at_most=True))
    return figures


def _notes(course: Course) -> list[str]:
    scale = course.scale
    notes = [
        f"P0: {scale.steps} training and {scale.val_steps} validation steps on {scale.files} files, scaled to an epoch",
        "floor: the epoch's FLOPs at 790 TFLOP/s, measured in bf16 on an H200; MFU: floor / ours",
    ]
    if not course.samples:
        notes[0] = "torchmetrics is not installed: P0 not measured"
    if course.device.type != "cuda":
        notes.append("rehearsal on the CPU at toy size: no figure")
    elif "H200" not in torch.cuda.get_device_name(course.device):
        notes.append("the seconds at most are for an H200: not judged here")
    return notes


if __name__ == "__main__":
    sys.exit(main())

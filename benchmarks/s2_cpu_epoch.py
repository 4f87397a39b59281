"""S2 CPU epoch: one epoch on one thread, against P0 and P2. `python -m benchmarks.s2_cpu_epoch`

Vanilla U-Nets of 8 and 16 filters, 128 px, batch 16, 96 training and 32 validation images of 1280x720. All contenders
live in one process, each with a model of its own; a round is one epoch of each, the first epoch is not counted.
"""

import sys
from collections.abc import Callable

import torch

from bddseg.device import has_native_bf16, use_threads
from benchmarks.cli import close, machine, parser, positive, show
from benchmarks.contender_inputs import fractions, settings
from benchmarks.datasets import BenchmarkData, load
from benchmarks.measuring import Figure, Spread, Timing, interleave, ratios, time_of
from benchmarks.scenes import scenes_folder

CPU = torch.device("cpu")
TARGETS = {True: {"train": 2.5, "val": 4.0}, False: {"train": 1.4, "val": 3.0}}
"""Against P0, by whether the processor has bf16 units."""
TARGET_P2 = 1.6
PARTS = ("train", "val")


def main(argv: list[str] | None = None) -> int:
    """Measure every width and print."""
    options = parser(str(__doc__))
    options.add_argument("--images", type=positive, default=96, metavar="N", help="training images; a third validates")
    options.add_argument("--filters", type=positive, nargs="+", default=[8, 16], metavar="B", help="widths")
    options.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="which seconds are judged")
    arguments = options.parse_args(argv)
    use_threads(1)
    val, test = max(1, arguments.images // 3), max(1, arguments.images // 24)
    config = settings(**fractions(arguments.images, val, test))
    root = scenes_folder(arguments.cache, arguments.images + val + test)
    data = load(root, config, arguments.cache)
    targets = TARGETS[has_native_bf16(CPU)]
    rows: list[tuple[str, ...]] = []
    figures: list[Figure] = []
    for filters in arguments.filters:
        times = _epochs(data, filters, arguments.rounds)
        rows += _rows(filters, times, len(data.split.train), len(data.split.val))
        figures += _figures(filters, times, targets, arguments.clock)
    sizes = f"{len(data.split.train)} train + {len(data.split.val)} val"
    ours, units = ("bf16", "with") if has_native_bf16(CPU) else ("fp32", "without")
    show(
        f"S2 CPU epoch, {sizes}, 128 px, batch 16, one thread",
        ("", "part", "wall s", "CPU s", "img/s", "ours faster, wall", "CPU"),
        rows,
        (
            machine(),
            f"ours computes in {ours}, P0 and P2 in fp32; median (lowest-highest)",
            f"targets against P0 {units} bf16 units: {targets['train']}x train, {targets['val']}x val",
        ),
    )
    return close(figures)


def _epochs(data: BenchmarkData, filters: int, rounds: int) -> dict[str, list[dict[str, Timing]]]:
    """Return the timings of every contender in every round, by part."""
    config = data.inputs.config.with_overrides({"model.base_filters": filters})
    ours = data.ours(config, CPU)
    plain, careful = data.plain(config, CPU), data.careful(config, CPU)
    epoch = iter(range(1, rounds + 2))
    contenders: dict[str, Callable[[], dict[str, Timing]]] = {
        "ours": lambda: _epoch(lambda: ours.train_epoch(next(epoch)), lambda: ours.evaluate(data.split.val)),
        "P0": lambda: _epoch(plain.train_epoch, plain.evaluate),
        "P2": lambda: _epoch(careful.train_epoch, careful.evaluate),
    }
    timings_by_name = interleave(contenders, rounds + 1)
    return {name: timings[1:] for name, timings in timings_by_name.items()}


def _epoch(train: Callable[[], object], evaluate: Callable[[], object]) -> dict[str, Timing]:
    return {"train": time_of(train), "val": time_of(evaluate)}


def _rows(filters: int, times: dict[str, list[dict[str, Timing]]], train: int, val: int) -> list[tuple[str, ...]]:
    rows = []
    for part, images in zip(PARTS, (train, val), strict=True):
        for name, measured in times.items():
            wall, cpu = ([timings[part].on(clock) for timings in measured] for clock in ("wall", "cpu"))
            faster = [_faster(times, name, part, clock).text("x") for clock in ("wall", "cpu")]
            speed = f"{images / Spread.of(wall).median:.1f}"
            cells = (Spread.of(wall).text(), Spread.of(cpu).text(), speed)
            rows.append((f"b{filters} {name}", part, *cells, *(["-", "-"] if name == "ours" else faster)))
    return rows


def _faster(times: dict[str, list[dict[str, Timing]]], name: str, part: str, clock: str) -> Spread:
    theirs, ours = ([timings[part].on(clock) for timings in times[key]] for key in (name, "ours"))
    return ratios(theirs, ours)


def _figures(
    filters: int, times: dict[str, list[dict[str, Timing]]], targets: dict[str, float], clock: str
) -> list[Figure]:
    wanted = [("train", "P0", targets["train"]), ("val", "P0", targets["val"]), ("train", "P2", TARGET_P2)]
    rounds = len(times["ours"])
    return [
        Figure(
            f"S2 {part} b{filters} vs {name} clock={clock}", _faster(times, name, part, clock).median, target, rounds
        )
        for part, name, target in wanted
    ]


if __name__ == "__main__":
    sys.exit(main())

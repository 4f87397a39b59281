"""S6 packing: how many trials should share one GPU? `python -m benchmarks.s6_packing`

1, 2, 4 and 8 processes, each training one vanilla U-Net on the same GPU at the same time: images per second of all of
them together, against one alone, for 32, 64 and 128 filters. 128 px, batch 16; a network twice as wide trains on half
as many images, so that an epoch of each takes about as long. Needs bddseg and torch, no Ray.
"""

import multiprocessing
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import torch

from bddseg.device import use_threads
from bddseg.engine import Engine
from benchmarks.cli import close, cuda_missing, machine, parser, positive, show
from benchmarks.contender_inputs import settings
from benchmarks.measuring import Figure, Spread, interleave, ratios
from benchmarks.memory_frames import synthetic_frames, synthetic_split

PROCESSES = (1, 2, 4, 8)
WIDTHS = (32, 64, 128)
IMAGES = 76_800
"""Images of an epoch times filters: 2,400 at 32 filters."""

REHEARSAL_IMAGES = 32
START_SECONDS = 240
"""Longest wait for a process to be ready, or for an epoch of all of them."""

Processes = list[tuple[Any, Connection]]


def main(argv: list[str] | None = None) -> int:
    """Measure every width and print."""
    options = parser(str(__doc__))
    options.add_argument("--filters", type=positive, nargs="+", default=list(WIDTHS), metavar="B", help="widths")
    options.add_argument("--epochs", type=positive, default=1, help="epochs of every process in a round")
    options.add_argument("--rehearse", action="store_true", help="run the code at toy size on the CPU, without figures")
    arguments = options.parse_args(argv)
    if not arguments.rehearse and cuda_missing():
        return 0
    rows: list[tuple[str, ...]] = []
    figures: list[Figure] = []
    for filters in [4] if arguments.rehearse else arguments.filters:
        speeds = _speeds(filters, arguments.rounds, arguments.epochs, rehearse=arguments.rehearse)
        gains = {number: _gain(speeds, number) for number in speeds}
        best = max(gains, key=lambda number: gains[number].median)
        print(f"b{filters}: k={best}, {gains[best].text('x')}", file=sys.stderr, flush=True)
        rows += [
            (f"b{filters}", str(number), Spread.of(measured).text(), gains[number].text("x"), _mark(number, best))
            for number, measured in speeds.items()
        ]
        figures.append(Figure(f"S6 b{filters} best k={best} vs k=1", gains[best].median, 1.0, arguments.rounds))
    device = torch.device("cpu") if arguments.rehearse else torch.device("cuda", 0)
    missing = f"a width ends at the most processes that its memory allows, {PROCESSES[-1]} at the most"
    show("S6 packing", ("", "processes", "img/s together", "vs one", ""), rows, (machine(device), missing))
    return close([] if arguments.rehearse else figures)


def _images(filters: int, *, rehearse: bool) -> int:
    return REHEARSAL_IMAGES if rehearse else IMAGES // filters


def _gain(speeds: dict[int, list[float]], number: int) -> Spread:
    return ratios(speeds[number], speeds[1])


def _mark(number: int, best: int) -> str:
    return "ship this" if number == best else ""


def _speeds(filters: int, rounds: int, epochs: int, *, rehearse: bool) -> dict[int, list[float]]:
    """Return the images per second of all processes together, per number of processes and round."""
    images = _images(filters, rehearse=rehearse)
    with _started(2 if rehearse else PROCESSES[-1], filters, rehearse=rehearse) as ready:
        numbers = [number for number in PROCESSES if number <= len(ready)]
        if not numbers:
            raise SystemExit(f"not even one trial of {filters} filters fits into the GPU's memory")
        return interleave(
            {number: (lambda number=number: _together(ready[:number], images, epochs)) for number in numbers},  # type: ignore[misc]
            rounds,
        )


def _together(ready: Processes, images: int, epochs: int) -> float:
    """Train the epochs in all processes at the same time and return their images per second."""
    for _, pipe in ready:
        pipe.send(epochs)
    spans = [_received(pipe) for _, pipe in ready]
    seconds = max(end for _, end in spans) - min(start for start, _ in spans)
    return len(ready) * epochs * images / seconds


@contextmanager
def _started(number: int, filters: int, *, rehearse: bool) -> Iterator[Processes]:
    """Start processes, one after the other until the memory is full, and yield those that are warm."""
    context = multiprocessing.get_context("spawn")
    ready: Processes = []
    try:
        for _ in range(number):
            mine, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, filters, rehearse), daemon=True)
            process.start()
            ready.append((process, mine))
        warm = [(process, pipe) for process, pipe in ready if _received(pipe) == "warm"]
        yield warm
    finally:
        for process, _ in ready:
            process.terminate()
            process.join()


def _received(pipe: Connection) -> Any:
    if not pipe.poll(START_SECONDS):
        raise SystemExit(f"a process did not answer within {START_SECONDS} s")
    try:
        return pipe.recv()
    except EOFError as error:
        raise SystemExit("a process has died; its last words are above") from error


def _work(pipe: Connection, filters: int, rehearse: bool) -> None:
    """Train one trial: an epoch to warm up, then as many as are asked for; says when each began and ended."""
    use_threads(1)
    parts, size = (_images(filters, rehearse=rehearse), 2, 2), 32 if rehearse else 128
    device = torch.device("cpu") if rehearse else torch.device("cuda", 0)
    frames, split = synthetic_frames(sum(parts), size), synthetic_split(*parts)
    config = settings(data_size=size, model_base_filters=filters)
    try:
        engine = Engine(config, frames, split.train, device)
        engine.train_epoch(1)
    except torch.OutOfMemoryError:
        pipe.send("out of memory")
        return
    pipe.send("warm")
    epoch = 1
    while True:
        epochs, began = pipe.recv(), time.monotonic()
        for _ in range(epochs):
            epoch += 1
            engine.train_epoch(epoch)  # reads its sums from the device: it has ended when this returns
        pipe.send((began, time.monotonic()))


if __name__ == "__main__":
    sys.exit(main())

"""S6 packing: how many trials should share one GPU, and in which way? `python -m benchmarks.s6_packing`

1, 2, 4 and 8 trials, each training one vanilla U-Net on the same GPU at the same time: images per second of all of
them together, against one alone, for 32, 64 and 128 filters. 128 px, batch 16; a network twice as wide trains on half
as many images, so that an epoch of each takes about as long. The ways:

processes   a process for each trial; without MPS they take turns on the GPU
mps         the same under a CUDA MPS daemon that this script starts and ends, each process with the whole GPU
mps-share   the same, each process limited to its share of the GPU's multiprocessors
streams     threads of one process, each with a stream and CUDA graphs of its own

Needs bddseg and torch, no Ray.
"""

import contextlib
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch

from bddseg.device import use_threads
from bddseg.engine import Engine
from benchmarks.cli import close, cuda_missing, machine, parser, positive, show
from benchmarks.contender_inputs import settings
from benchmarks.measuring import Figure, Spread, interleave, ratios
from benchmarks.memory_frames import synthetic_frames, synthetic_split

TRIALS = (1, 2, 4, 8)
WIDTHS = (32, 64, 128)
WAYS = ("processes", "mps", "mps-share", "streams")
IMAGES = 76_800
"""Images of an epoch times filters: 2,400 at 32 filters."""

REHEARSAL_IMAGES = 32
START_SECONDS = 240
"""Longest wait for a trial to be ready, or for an epoch of all of them."""

MPS_CONTROL = "nvidia-cuda-mps-control"


@dataclass(frozen=True)
class Together:
    """An epoch of several trials at the same time."""

    images_per_second: float
    losses: dict[int, list[float]]
    """Epoch of a trial -> the training losses of those that ended with it."""


@dataclass(frozen=True)
class Answer:
    """What a trial returns after its epochs: when they started and ended, its last epoch and the loss of that."""

    start: float
    end: float
    epoch: int
    loss: float


@dataclass(frozen=True)
class Worker:
    """A warm trial: `ask` starts epochs and returns at once, `answer` waits for their end."""

    ask: Callable[[int], None]
    answer: Callable[[], Answer]


def main(argv: list[str] | None = None) -> int:
    """Measure every width and print."""
    options = parser(str(__doc__).split("\n\n")[0])
    options.add_argument("--filters", type=positive, nargs="+", default=list(WIDTHS), metavar="B", help="widths")
    options.add_argument("--way", choices=WAYS, default=WAYS[0], help="how trials share the GPU")
    options.add_argument("--epochs", type=positive, default=1, help="epochs of every trial in a round")
    options.add_argument("--rehearse", action="store_true", help="run the code at toy size on the CPU, without figures")
    arguments = options.parse_args(argv)
    if not arguments.rehearse and cuda_missing():
        return 0
    if arguments.way.startswith("mps") and not arguments.rehearse and not shutil.which(MPS_CONTROL):
        print(f"{MPS_CONTROL} is not installed: not measured")
        return 0
    rows: list[tuple[str, ...]] = []
    figures: list[Figure] = []
    notes = [f"a width ends at the most trials that its memory allows, {TRIALS[-1]} at the most"]
    for filters in [4] if arguments.rehearse else arguments.filters:
        measured = _measured(filters, arguments)
        speeds = {number: [each.images_per_second for each in rounds] for number, rounds in measured.items()}
        gains = {number: ratios(speeds[number], speeds[1]) for number in speeds}
        best = max(gains, key=lambda number: gains[number].median)
        print(f"b{filters} {arguments.way}: k={best}, {gains[best].text('x')}", file=sys.stderr, flush=True)
        rows += [
            (f"b{filters}", str(number), Spread.of(speeds[number]).text(), gains[number].text("x"), _mark(number, best))
            for number in measured
        ]
        notes.append(f"b{filters}: {_losses_sentence(measured)}")
        name = f"S6 b{filters} {arguments.way} best k={best} vs k=1"
        figures.append(Figure(name, gains[best].median, 1.0, arguments.rounds))
    device = torch.device("cpu") if arguments.rehearse else torch.device("cuda", 0)
    columns = ("", "trials", "img/s together", "vs one", "")
    show(f"S6 packing, {arguments.way}", columns, rows, (machine(device), *notes))
    return close([] if arguments.rehearse else figures)


def _mark(number: int, best: int) -> str:
    return "fastest" if number == best else ""


def _images(filters: int, *, rehearse: bool) -> int:
    return REHEARSAL_IMAGES if rehearse else IMAGES // filters


def _measured(filters: int, arguments: Any) -> dict[int, list[Together]]:
    """Return what each number of trials reached, round by round."""
    rehearse, way = arguments.rehearse, arguments.way
    most = 2 if rehearse else TRIALS[-1]
    images = _images(filters, rehearse=rehearse) * arguments.epochs

    def turn(workers: list[Worker]) -> Together:
        return _together(workers, images, arguments.epochs)

    if way == "mps-share":  # the limit is set when a process starts
        measured = {}
        for number in (number for number in TRIALS if number <= most):
            with _mps(rehearse=rehearse), _processes(number, filters, 100 // number, rehearse=rehearse) as workers:
                if len(workers) == number:
                    measured[number] = [turn(workers) for _ in range(arguments.rounds)]
        return measured
    daemon = _mps(rehearse=rehearse) if way == "mps" else contextlib.nullcontext()
    start = _threads(most, filters, rehearse=rehearse) if way == "streams" else None
    with daemon, start or _processes(most, filters, 100, rehearse=rehearse) as workers:
        _print_memory(len(workers))
        numbers = [number for number in TRIALS if number <= len(workers)]
        if not numbers:
            raise SystemExit(f"not even one trial of {filters} filters fits into the GPU's memory")
        return interleave(
            {number: (lambda number=number: turn(workers[:number])) for number in numbers},  # type: ignore[misc]
            arguments.rounds,
        )


def _print_memory(trials: int) -> None:
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info(0)
        print(f"{trials} warm trials: {(total - free) / 1e6:,.0f} MB of the GPU in use", flush=True)


def _together(workers: list[Worker], images: int, epochs: int) -> Together:
    """Train the epochs of all trials at the same time; `images` is what one trial trains on in them."""
    for worker in workers:
        worker.ask(epochs)
    answers = [worker.answer() for worker in workers]
    seconds = max(answer.end for answer in answers) - min(answer.start for answer in answers)
    losses: dict[int, list[float]] = {}
    for answer in answers:
        losses.setdefault(answer.epoch, []).append(answer.loss)
    return Together(len(workers) * images / seconds, losses)


def _losses_sentence(measured: dict[int, list[Together]]) -> str:
    """Return by how much losses of the same epoch differ: all trials of a width have the same settings and seed."""
    by_epoch: dict[int, list[float]] = {}
    for each in (each for rounds in measured.values() for each in rounds):
        for epoch, losses in each.losses.items():
            by_epoch.setdefault(epoch, []).extend(losses)
    compared = [losses for losses in by_epoch.values() if len(losses) > 1]
    if not compared:
        return "no two trials ended with the same epoch: losses not compared"
    largest = max((max(losses) - min(losses)) / abs(losses[0]) for losses in compared)
    return f"losses of the same epoch differ by {largest:.1e} at most, over {len(compared)} epochs"


class Trial:
    """One trial on the device, warm after its first epoch."""

    def __init__(self, filters: int, *, rehearse: bool) -> None:
        parts, size = (_images(filters, rehearse=rehearse), 2, 2), 32 if rehearse else 128
        device = torch.device("cpu") if rehearse else torch.device("cuda", 0)
        frames, split = synthetic_frames(sum(parts), size), synthetic_split(*parts)
        self._engine = Engine(settings(data_size=size, model_base_filters=filters), frames, split.train, device)
        self._epoch = 1
        self._engine.train_epoch(1)

    def train(self, epochs: int) -> Answer:
        """Train so many more epochs."""
        start, loss = time.monotonic(), 0.0
        for _ in range(epochs):
            self._epoch += 1
            loss = self._engine.train_epoch(self._epoch).loss  # read from the device: the epoch has ended
        return Answer(start, time.monotonic(), self._epoch, loss)


@contextmanager
def _processes(number: int, filters: int, percentage: int, *, rehearse: bool) -> Iterator[list[Worker]]:
    """Start processes, one after the other until the memory is full, and yield those that are warm."""
    context = multiprocessing.get_context("spawn")
    started: list[tuple[Any, Connection]] = []
    with _variables(CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=str(percentage)):
        try:
            for _ in range(number):
                mine, theirs = context.Pipe()
                process = context.Process(target=_work, args=(theirs, filters, rehearse), daemon=True)
                process.start()
                started.append((process, mine))
            warm = [pipe for _, pipe in started if _received(pipe) == "warm"]
            yield [Worker(pipe.send, lambda pipe=pipe: _received(pipe)) for pipe in warm]  # type: ignore[misc]
        finally:
            for process, _ in started:
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
    """Train one trial: an epoch to warm up, then as many as are asked for."""
    use_threads(1)
    try:
        trial = Trial(filters, rehearse=rehearse)
    except torch.OutOfMemoryError:
        pipe.send("out of memory")
        return
    pipe.send("warm")
    while True:
        pipe.send(trial.train(pipe.recv()))


@contextmanager
def _threads(number: int, filters: int, *, rehearse: bool) -> Iterator[list[Worker]]:
    """Make trials in this process, one after the other until the memory is full, and yield a thread for each."""
    use_threads(1)
    trials: list[Trial] = []
    with contextlib.suppress(torch.OutOfMemoryError):
        for _ in range(number):
            trials.append(Trial(filters, rehearse=rehearse))
    yield [_thread_worker(trial) for trial in trials]


def _thread_worker(trial: Trial) -> Worker:
    running: list[threading.Thread] = []
    answers: list[Answer] = []

    def ask(epochs: int) -> None:
        running.append(threading.Thread(target=lambda: answers.append(trial.train(epochs))))
        running[-1].start()

    def answer() -> Answer:
        running.pop().join()
        return answers.pop()

    return Worker(ask, answer)


@contextmanager
def _mps(*, rehearse: bool) -> Iterator[None]:
    """Run an MPS daemon of our own with its pipes and logs in a temporary folder; none in a rehearsal."""
    if rehearse:
        yield
        return
    with (
        tempfile.TemporaryDirectory(prefix="mps-") as folder,
        _variables(CUDA_MPS_PIPE_DIRECTORY=folder, CUDA_MPS_LOG_DIRECTORY=folder),
    ):
        subprocess.run([MPS_CONTROL, "-d"], check=True)
        try:
            yield
        finally:
            subprocess.run([MPS_CONTROL], input="quit\n", text=True, check=False)


@contextmanager
def _variables(**values: str) -> Iterator[None]:
    """Set variables of the environment within the context."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


if __name__ == "__main__":
    sys.exit(main())

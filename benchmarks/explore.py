"""Exploring a folder: seconds, images a second, memory. `python -m benchmarks.explore`

3,426 pairs of 1280x720, as many as BDD100K has with a scene: generated street scenes, each there several times under
names of its own. Measured is the whole command, from its start to the written page, with all cores: seconds on the
clock, and processor time of all its processes, which says what it would take on a machine that does nothing else.
Memory is that of all processes together, pages that they share counted once, beyond a bare interpreter.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from bddseg.cores import usable_cores
from bddseg.data.bdd100k import IMAGES, MASKS
from bddseg.data.catalog import read_catalog
from benchmarks.cli import ROOT, close, machine, parser, positive, show
from benchmarks.measuring import Figure, Spread
from benchmarks.scenes import scenes_folder

NUMBER, DRAWN = 3426, 64
MOST_SECONDS, MOST_MB = 180, 1024
EVERY_S = 0.2
"""Between two readings of the memory."""


@dataclass(frozen=True)
class Usage:
    """What the command took."""

    seconds: float
    cpu_seconds: float
    """Processor time of all its processes."""
    peak_mb: float


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    options = parser(str(__doc__), rounds=1)
    options.add_argument("--images", type=positive, default=NUMBER, metavar="N", help="pairs of image and mask")
    arguments = options.parse_args(argv)
    drawn = scenes_folder(arguments.cache, min(DRAWN, arguments.images))
    with tempfile.TemporaryDirectory(dir=arguments.cache, prefix="explore-") as folder:
        write_links(drawn, Path(folder) / "data", arguments.images)
        usages = [explore(Path(folder)) for _ in range(arguments.rounds)]
    return _report(arguments.images, usages)


def write_links(drawn: Path, root: Path, images: int) -> None:
    """Write a folder with so many pairs: links to the drawn ones, each under names of its own."""
    for part in (IMAGES, MASKS):
        (root / part / "train").mkdir(parents=True)
    samples = read_catalog(drawn).samples
    entries = []
    for number in range(images):
        sample = samples[number % len(samples)]
        name = f"{sample.name}-{number // len(samples)}"
        os.link(sample.image, root / IMAGES / "train" / f"{name}{sample.image.suffix}")
        os.link(sample.mask, root / MASKS / "train" / f"{name}.png")
        entries.append({"name": f"{name}.jpg", "attributes": dict(sample.attributes)})
    labels = root / "labels/det_20"
    labels.mkdir(parents=True)
    (labels / "det_train.json").write_text(json.dumps(entries))


def explore(folder: Path) -> Usage:
    """Return what the command takes for the folder `data`.

    Raises:
        SystemExit: with its stderr, when it fails.
    """
    command = [sys.executable, "-m", "sweeps.explore", "--data", str(folder / "data"), "--out", str(folder / "out")]
    start, peak, cpu = time.perf_counter(), 0, dict[int, float]()
    with subprocess.Popen(
        [*command, "--quiet"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None:
            memory, times = read_usage(process.pid)
            peak, cpu = max(peak, memory), cpu | times
            time.sleep(EVERY_S)
        elapsed = time.perf_counter() - start
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{process.communicate()[1]}")
    return Usage(elapsed, sum(cpu.values()), peak / 2**20 - bare_mb())


def read_usage(pid: int) -> tuple[int, dict[int, float]]:
    """Return the memory of a process and of all that it started, and the processor time of each until now."""
    memory, times = 0, {}
    try:
        own = psutil.Process(pid)
        for process in (own, *own.children(recursive=True)):
            memory += process.memory_full_info().pss
            spent = process.cpu_times()
            times[process.pid] = spent.user + spent.system
    except psutil.Error:  # one has just ended
        return memory, times
    return memory, times


def bare_mb() -> float:
    """Return the memory of an interpreter that has loaded nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        memory = read_usage(process.pid)[0]
        process.communicate("\n")
    return memory / 2**20


def _report(images: int, usages: list[Usage]) -> int:
    cores = usable_cores()
    seconds, alone = ([usage.seconds for usage in usages], [usage.cpu_seconds / cores for usage in usages])
    memory = Spread.of([usage.peak_mb for usage in usages])
    rows = [
        (name, Spread.of(values).text(), Spread.of([images / value for value in values]).text())
        for name, values in (("on the clock", seconds), (f"processor time over {cores} cores", alone))
    ]
    title = f"Exploring {images} pairs of 1280x720 with {cores} cores"
    show(
        title, ("", "seconds", "images/s"), rows, (machine(), f"memory beyond a bare interpreter: {memory.text(' MB')}")
    )
    allowed, rounds = MOST_SECONDS * images / NUMBER, len(usages)
    return close(
        [
            Figure("explore seconds", Spread.of(seconds).median, allowed, rounds, kind="value", at_most=True),
            Figure("explore memory MB", memory.median, MOST_MB, rounds, kind="value", at_most=True),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())

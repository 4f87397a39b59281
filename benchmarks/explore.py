"""Exploring a folder: images a second and memory. `python -m benchmarks.explore`

3,426 pairs of 1280x720, as BDD100K has with a scene: generated street scenes, each read several times under names of
its own. Measured is the pass over all files and the page, with all cores; memory is that of all processes together,
their shared pages counted once, beyond a bare interpreter.
"""

import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil

from bddseg.cores import usable_cores
from bddseg.data.bdd100k_labels import BDD100K
from bddseg.data.catalog import Sample, read_catalog
from benchmarks.cli import close, machine, parser, positive, show
from benchmarks.measuring import Figure, Spread, time_of
from benchmarks.scenes import scenes_folder
from sweeps.exploration.faults import find_faults
from sweeps.exploration.page import write_page
from sweeps.exploration.reading import measure_samples
from sweeps.exploration.source import Folder
from sweeps.exploration.survey import build_survey, training_size

IMAGES, DRAWN = 3426, 64
MOST_SECONDS, MOST_MB = 180, 1024
EVERY_S = 0.2
"""Between two readings of the memory."""


class MemoryMeter:
    """Reads the memory of this process and of all that it starts, until it is left."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "MemoryMeter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self._thread.join()

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._is_done.wait(EVERY_S):
            total = 0
            for process in (own, *own.children(recursive=True)):
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:  # it has just ended
                    continue
            self.peak_mb = max(self.peak_mb, total / 2**20)


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    options = parser(str(__doc__), rounds=1)
    options.add_argument("--images", type=positive, default=IMAGES, metavar="N", help="pairs of image and mask")
    arguments = options.parse_args(argv)
    catalog = read_catalog(scenes_folder(arguments.cache, min(DRAWN, arguments.images)))
    folder = Folder(BDD100K, replace(catalog, samples=repeat(catalog.samples, arguments.images)))
    reading, writing, peaks = [], [], []
    for _ in range(arguments.rounds):
        with MemoryMeter() as meter, tempfile.TemporaryDirectory() as out:
            start = time.perf_counter()
            results = measure_samples(folder.samples, BDD100K, training_size())
            reading.append(time.perf_counter() - start)
            survey = build_survey(folder, results, training_size())
            writing.append(time_of(lambda: write_page(survey, find_faults(survey), Path(out))).wall)  # noqa: B023
        peaks.append(meter.peak_mb - bare_mb())
    return _report(arguments.images, reading, writing, peaks)


def repeat(samples: tuple[Sample, ...], images: int) -> tuple[Sample, ...]:
    """Return so many samples: the given ones again and again, under names of their own."""
    names = (f"{samples[number % len(samples)].name}-{number // len(samples)}" for number in range(images))
    again = (replace(samples[number % len(samples)], name=name) for number, name in enumerate(names))
    return tuple(sorted(again, key=lambda sample: sample.name))


def bare_mb() -> float:
    """Return the memory of an interpreter that has loaded nothing."""
    code = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def _report(images: int, reading: list[float], writing: list[float], peaks: list[float]) -> int:
    rows = [
        ("all files read", Spread.of([images / seconds for seconds in reading]).text(), Spread.of(reading).text()),
        ("page written", "-", Spread.of(writing).text()),
    ]
    show(
        f"Exploring {images} pairs of 1280x720 with {usable_cores()} cores",
        ("", "images/s", "seconds"),
        rows,
        (machine(), f"memory beyond a bare interpreter: {Spread.of(peaks).text(' MB')}"),
    )
    seconds = Spread.of([first + second for first, second in zip(reading, writing, strict=True)]).median
    rounds, allowed = len(reading), MOST_SECONDS * images / IMAGES
    return close(
        [
            Figure("explore seconds", seconds, allowed, rounds, kind="value", at_most=True),
            Figure("explore memory MB", Spread.of(peaks).median, MOST_MB, rounds, kind="value", at_most=True),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())

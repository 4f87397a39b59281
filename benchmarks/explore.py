"""Exploring a folder: seconds, images a second, memory. `python -m benchmarks.explore`

3,426 pairs of 1280x720, as many as BDD100K has with a scene: generated street scenes, each there several times under
names of its own. Measured is the whole command, from its start to the written page, with all cores. Memory is that of
all its processes together, pages that they share counted once, beyond a bare interpreter.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
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


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    options = parser(str(__doc__), rounds=1)
    options.add_argument("--images", type=positive, default=NUMBER, metavar="N", help="pairs of image and mask")
    arguments = options.parse_args(argv)
    drawn = scenes_folder(arguments.cache, min(DRAWN, arguments.images))
    seconds, peaks_mb = [], []
    with tempfile.TemporaryDirectory(dir=arguments.cache, prefix="explore-") as folder:
        write_links(drawn, Path(folder) / "data", arguments.images)
        for _ in range(arguments.rounds):
            elapsed, peak_mb = explore(Path(folder))
            seconds.append(elapsed)
            peaks_mb.append(peak_mb - bare_mb())
    return _report(arguments.images, seconds, peaks_mb)


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


def explore(folder: Path) -> tuple[float, float]:
    """Return the seconds of the command, and the peak memory of its processes in MB.

    Raises:
        SystemExit: with its stderr, when it fails.
    """
    command = [sys.executable, "-m", "sweeps.explore", "--data", str(folder / "data"), "--out", str(folder / "out")]
    start, peak = time.perf_counter(), 0
    with subprocess.Popen(
        [*command, "--quiet"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None:
            peak = max(peak, memory_bytes(process.pid))
            time.sleep(EVERY_S)
        elapsed = time.perf_counter() - start
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{process.communicate()[1]}")
    return elapsed, peak / 2**20


def memory_bytes(pid: int) -> int:
    """Return the memory of a process and of all that it started; what has just ended does not count."""
    total = 0
    try:
        own = psutil.Process(pid)
        for process in (own, *own.children(recursive=True)):
            total += process.memory_full_info().pss
    except psutil.Error:
        return total
    return total


def bare_mb() -> float:
    """Return the memory of an interpreter that has loaded nothing."""
    code = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def _report(images: int, seconds: list[float], peaks_mb: list[float]) -> int:
    rates = Spread.of([images / elapsed for elapsed in seconds])
    show(
        f"Exploring {images} pairs of 1280x720 with {usable_cores()} cores",
        ("seconds", "images/s", "MB beyond a bare interpreter"),
        [(Spread.of(seconds).text(), rates.text(), Spread.of(peaks_mb).text())],
        (machine(),),
    )
    allowed, rounds = MOST_SECONDS * images / NUMBER, len(seconds)
    return close(
        [
            Figure("explore seconds", Spread.of(seconds).median, allowed, rounds, kind="value", at_most=True),
            Figure("explore memory MB", Spread.of(peaks_mb).median, MOST_MB, rounds, kind="value", at_most=True),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())

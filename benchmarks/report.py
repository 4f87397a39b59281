"""R report: duration of a report and size of its page, from command to files. `python -m benchmarks.report`

The sweeps are synthetic (`benchmarks.recorded_sweep`) and cached; building 1,000 trials takes ten minutes, once. Every
round is a process of its own, as a user starts it: the figures include loading Python and MLflow. Nothing is uploaded;
the opening of the test part is recorded, as always.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.cli import ROOT, close, machine, parser
from benchmarks.measuring import Figure, Spread
from benchmarks.recorded_sweep import Size, build_sweep
from sweeps.tracking.uri import default_tracking_uri

TARGETS = {100: 8.0, 1000: 20.0}
"""Trials -> seconds that a report may take."""

EPOCHS, IMAGES = 50, 700
PAGE_MB = 15.0


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    options = parser(str(__doc__))
    options.add_argument("--trials", nargs="+", type=int, choices=tuple(TARGETS), default=tuple(TARGETS), metavar="N",
                         help="sizes of sweep, 100 or 1000")  # fmt: skip
    arguments = options.parse_args(argv)
    print(machine())
    figures = []
    for trials in arguments.trials:
        uri = find_sweep(arguments.cache, Size(trials, EPOCHS, IMAGES))
        rounds = [report(uri) for _ in range(arguments.rounds)]
        seconds = Spread.of([seconds for seconds, _ in rounds])
        print(f"{trials} trials x {EPOCHS} epochs, {IMAGES} images: {seconds.text(' s')}")
        figures.append(
            Figure(f"R {trials} trials seconds", seconds.median, TARGETS[trials], len(rounds), "value", True)
        )
        figures.append(Figure(f"R {trials} trials page_mb", rounds[0][1], PAGE_MB, len(rounds), "value", True))
    return close(figures)


def ceiling(name: str, value: float, target: float, rounds: int) -> Figure:
    """Return a figure that must not be higher than its target."""
    return Figure(name, value, target, rounds, kind="value", at_most=True)


def find_sweep(cache: Path, size: Size) -> str:
    """Return the address of a made-up sweep of that size; it is made where it was not."""
    folder = cache / "recorded" / f"{size.trials}-{size.epochs}-{size.images}"
    mark = folder / "complete"
    if not mark.exists():
        build_sweep(folder, size)
        mark.touch()
    return default_tracking_uri(folder)


def report(uri: str) -> tuple[float, float]:
    """Return the seconds that a report took, and the megabytes of its page."""
    with tempfile.TemporaryDirectory(prefix="report-") as out:
        command = ["report.py", "--tracking-uri", uri, "--out", out, "--format", "html", "--no-upload"]
        began = time.perf_counter()
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - began
        return seconds, Path(done.stdout.strip()).stat().st_size / 1e6


if __name__ == "__main__":
    sys.exit(main())

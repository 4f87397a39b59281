"""Generating street scenes: images a second on one core. `python -m benchmarks.streets`

A set of the embedded size, 320x180, with masks and scene labels is written into a new folder of the cache each round.
The target counts processor time, so that other jobs on the machine do not decide.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bddseg.data.bdd100k import IMAGES
from bddseg.data.streets.dataset import write_streets
from benchmarks.cli import close, machine, parser, positive, show
from benchmarks.measuring import Figure, Spread, Timing, time_of

NUMBER, LEAST_PER_SECOND = 400, 100


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    options = parser(str(__doc__))
    options.add_argument("--images", type=positive, default=NUMBER, metavar="N", help="images with mask and scene")
    arguments = options.parse_args(argv)
    arguments.cache.mkdir(parents=True, exist_ok=True)
    rounds = [write(arguments.cache, arguments.images) for _ in range(arguments.rounds)]
    return _report(rounds)


def write(cache: Path, images: int) -> tuple[int, Timing]:
    """Return how many images were drawn, incomplete ones included, and what they took."""
    with tempfile.TemporaryDirectory(dir=cache, prefix="streets-") as folder:
        root = Path(folder) / "data"
        timing = time_of(lambda: write_streets(root, images=images))
        return len(list((root / IMAGES).glob("*/*.jpg"))), timing


def _report(rounds: Sequence[tuple[int, Timing]]) -> int:
    rates = {clock: Spread.of([drawn / timing.on(clock) for drawn, timing in rounds]) for clock in ("wall", "cpu")}
    names = {"wall": "on the clock", "cpu": "by processor time"}
    rows = [(names[clock], rate.text()) for clock, rate in rates.items()]
    show(f"{rounds[0][0]} street scenes of 320x180, one core", ("", "images/s"), rows, (machine(),))
    return close([Figure("streets images/s", rates["cpu"].median, LEAST_PER_SECOND, len(rounds), kind="value")])


if __name__ == "__main__":
    sys.exit(main())

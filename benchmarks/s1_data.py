"""S1 data: building the frames cache, and delivering batches from it, against P0. `python -m benchmarks.s1_data`

512 pairs of 1280x720. (a) Cold cache builds, per core, against P0 asking for every item once. (b) Batches of 16 on the
CPU, ready for the network, against P0's. (c) Every cached pixel equals what Pillow decodes and resizes.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bddseg.batches import Pixels
from bddseg.cores import usable_cores
from bddseg.data.bdd100k_labels import BDD100K
from bddseg.data.catalog import Sample, read_catalog
from bddseg.data.frames import Frames, build_frames
from bddseg.data.split import usual_split
from bddseg.device import use_threads
from benchmarks.baseline_plain import Files, remapped
from benchmarks.cli import close, machine, parser, positive, show
from benchmarks.contender_inputs import measure, settings
from benchmarks.measuring import Figure, Spread, Timing, interleave, ratios, time_of
from benchmarks.scenes import scenes_folder

BATCH = 16
LAPS = 10
"""Deliveries of every image in one measurement of ours: a single one is too short to be timed."""


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    options = parser(str(__doc__))
    options.add_argument("--images", type=positive, default=512, metavar="N", help="pairs of image and mask")
    options.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="which seconds are judged")
    arguments = options.parse_args(argv)
    use_threads(1)
    samples = read_catalog(scenes_folder(arguments.cache, arguments.images)).samples
    config = settings()
    cores = usable_cores()
    with tempfile.TemporaryDirectory(dir=arguments.cache, prefix="s1-") as folder:
        frames = build_frames(samples, config.data.size, Path(folder))  # also warms the page cache
        inputs = measure(frames, usual_split(config.data, frames.names, frames.strata()), config)
        files = Files(samples, inputs)
        pixels = Pixels(frames, np.arange(len(frames)), torch.device("cpu"))
        times = interleave(
            {
                "P0": lambda: time_of(lambda: _ask(files)),
                "one": lambda: _build(samples, config.data.size, folder, 1),
                "all": lambda: _build(samples, config.data.size, folder, cores),
                "ours": lambda: time_of(lambda: _deliver(pixels, len(frames))),
            },
            arguments.rounds,
        )
        same = _same(frames, files, samples)
    return _report(times, len(samples), cores, same, arguments.clock)


def _report(times: dict[str, list[Timing]], images: int, cores: int, same: float, clock: str) -> int:
    seconds = {name: [timing.on(clock) for timing in timings] for name, timings in times.items()}
    wall = {name: [timing.wall for timing in timings] for name, timings in times.items()}
    build = ratios(seconds["P0"], seconds["one"])
    delivery = ratios([LAPS * value for value in seconds["P0"]], seconds["ours"])
    linear = ratios(wall["one"], [cores * value for value in wall["all"]])
    work = {"P0": images, "one": images, "all": images, "ours": LAPS * images}
    titles = {
        "P0": "P0, every item decoded",
        "one": "ours, cold cache build, 1 worker",
        "all": f"ours, cold cache build, {cores} workers",
        "ours": "ours, batches from epoch 2 on",
    }
    versus = {"P0": "1", "one": build.text("x"), "all": "-", "ours": delivery.text("x")}
    rows = [
        (
            titles[name],
            Spread.of([work[name] / timing.wall for timing in times[name]]).text(),
            Spread.of([1000 * timing.cpu / work[name] for timing in times[name]]).text(),
            versus[name],
        )
        for name in titles
    ]
    rounds = len(seconds["P0"])
    show(
        f"S1 data, {images} pairs of 1280x720 to 128 px",
        ("", "samples/s", "CPU ms a sample", f"vs P0 ({clock})"),
        rows,
        (machine(), f"linear in cores: {linear.text()} of {cores} workers"),
    )
    return close(
        [
            Figure(f"S1 build per core vs P0 clock={clock}", build.median, 1.0, rounds),
            Figure(f"S1 delivery vs P0 clock={clock}", delivery.median, 40.0, rounds),
            Figure("S1 share of frames identical to Pillow's", same, 1.0, 1, kind="value"),
        ]
    )


def _ask(files: Files) -> None:
    for index in range(len(files)):
        files[index]


def _build(samples: Sequence[Sample], size_px: int, folder: str, workers: int) -> Timing:
    with tempfile.TemporaryDirectory(dir=folder) as cold:
        return time_of(lambda: build_frames(samples, size_px, Path(cold), workers=workers))


def _deliver(pixels: Pixels, images: int) -> None:
    """Deliver all images in a shuffled order, several times, as the engine asks for them."""
    for lap in range(LAPS):
        order = np.random.default_rng(lap).permutation(images)
        for placed in pixels.placed(np.split(order, range(BATCH, images, BATCH))):
            pixels.load(placed)


def _same(frames: Frames, files: Files, samples: Sequence[Sample]) -> float:
    """Return the share of samples whose cached image and mask equal Pillow's, pixel for pixel."""
    equal = 0
    for index, sample in enumerate(samples):
        image, mask = (np.asarray(picture) for picture in files.decoded(sample))
        is_remapped = np.array_equal(BDD100K.remap_table()[mask], remapped(mask))  # both ways of remapping agree
        equal += bool(
            is_remapped
            and np.array_equal(frames.images[index], image)
            and np.array_equal(frames.masks[index], remapped(mask))
        )
    return equal / len(samples)


if __name__ == "__main__":
    sys.exit(main())

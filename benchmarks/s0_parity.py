"""S0 parity: do ours and P0 end at the same validation mIoU? `python -m benchmarks.s0_parity`

Vanilla U-Net, 8 filters, 64 px, batch 16, lr 1e-3; mIoU of the pooled counts after the last epoch, the mean over seeds,
of which there is one for each round.
Real frames where BDDSEG_REAL_DATA names a folder with some, otherwise the embedded streets.
"""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Sampler

from bddseg.config import TrainConfig
from bddseg.confusion import miou
from bddseg.data.streets.dataset import streets_folder, write_streets
from bddseg.device import resolve_precision, use_threads
from bddseg.train import fit
from benchmarks.cli import close, machine, parser, positive, show
from benchmarks.contender_inputs import settings
from benchmarks.datasets import BenchmarkData, load
from benchmarks.measuring import Figure, Spread

POINTS = 2.0
"""Largest allowed difference between ours and P0, in points of mIoU."""
CPU = torch.device("cpu")


def main(argv: list[str] | None = None) -> int:
    """Train every contender with every seed and compare."""
    options = parser(str(__doc__))
    options.add_argument("--epochs", type=positive, default=12, help="epochs of every run")
    options.add_argument("--images", type=int, default=0, metavar="N", help="only N images; 0 takes all")
    arguments = options.parse_args(argv)
    use_threads(1)
    config = settings(
        data_size=64, data_max_images=arguments.images, model_base_filters=8, train_epochs=arguments.epochs
    )
    root, kind = _root(arguments.cache)
    data = load(root, config, arguments.cache)
    seeds = range(1, arguments.rounds + 1)
    rows, last = [], {}
    for name, run in {"ours": _ours_auto, "ours fp32": _ours_fp32, "P0": _p0}.items():
        began = time.perf_counter()
        last[name] = [100 * run(data, config.with_overrides({"train.seed": seed})) for seed in seeds]
        each = (time.perf_counter() - began) / len(seeds)
        title = f"ours {resolve_precision('auto', CPU)}" if name == "ours" else name
        values = ", ".join(f"{value:.1f}" for value in last[name])
        rows.append((title, f"{_mean(last[name]):.2f}", Spread.of(last[name]).text(), values, f"{each:.0f} s"))
    show(
        f"S0 parity, {kind}: {_sizes(data)}, {arguments.epochs} epochs",
        ("", "mean val mIoU", "median (spread)", "by seed", "a run"),
        rows,
        (
            machine(),
            "ours and ours fp32 are fit() of the product; P0 has the same split, weights, normalisation, order",
        ),
    )
    difference = abs(_mean(last["ours"]) - _mean(last["P0"]))
    precision = abs(_mean(last["ours"]) - _mean(last["ours fp32"]))
    return close(
        [
            Figure("S0 ours vs fp32 points", precision, POINTS, arguments.rounds, kind="value", at_most=True),
            Figure("S0 ours vs P0 points", difference, POINTS, arguments.rounds, kind="value", at_most=True),
        ]
    )


class EngineOrder(Sampler[int]):
    """The engine's order of batches, epoch after epoch.

    Two orders alone put the results of equal arithmetic several points apart, which would hide what is looked for.
    """

    def __init__(self, seed: int, images: int) -> None:
        self._seed, self._images, self._epoch = seed, images, 0

    def __len__(self) -> int:
        return self._images

    def __iter__(self) -> Iterator[int]:
        self._epoch += 1
        seed = int(np.random.SeedSequence([self._seed, self._epoch]).generate_state(1)[0])
        return iter(np.random.default_rng(seed).permutation(self._images).tolist())


def _root(cache: Path) -> tuple[Path, str]:
    named = os.environ.get("BDDSEG_REAL_DATA", "")
    if named:
        return Path(named), "real frames"
    root = streets_folder(cache)
    write_streets(root)
    return root, "embedded streets"


def _ours_auto(data: BenchmarkData, config: TrainConfig) -> float:
    *_, last = fit(config, data.frames, data.split, CPU)
    return last.metrics["val/miou"]


def _ours_fp32(data: BenchmarkData, config: TrainConfig) -> float:
    return _ours_auto(data, config.with_overrides({"train.precision": "fp32"}))


def _p0(data: BenchmarkData, config: TrainConfig) -> float:
    run = data.plain(config, CPU, EngineOrder(config.train.seed, len(data.split.train)))
    for _ in range(config.train.epochs):
        run.train_epoch()
        counts = run.evaluate()
    return float(miou(counts))


def _sizes(data: BenchmarkData) -> str:
    return f"{len(data.split.train)} train, {len(data.split.val)} val"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    sys.exit(main())

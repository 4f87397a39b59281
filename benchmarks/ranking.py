"""Ranking of settings on the streets against real frames: whether what is learned on one holds on the other.

    python -m benchmarks.ranking --data DIR --work DIR     # a BDD100K folder of real frames

Twelve settings are trained on both, several seeds each; their order by mean best val/miou is compared by Kendall's tau.
The tau of one seed with another on the same data says how well any order is known. Each training is kept in the work
folder as soon as it is done; with --so-far nothing is trained. About 25 minutes on one core.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bddseg.config import TrainConfig
from benchmarks.kept_trainings import keep_curves

SOURCES = ("real", "streets")
SEEDS = 3
AXES: dict[str, tuple[Any, ...]] = {
    "optim.lr": (3e-4, 1e-3, 1e-2),
    "loss.name": ("cross_entropy", "focal"),
    "model.base_filters": (4, 8),
}
BASE: dict[str, Any] = {"data.size": 64, "train.epochs": 20, "train.patience": 0, "train.precision": "bf16"}


def settings() -> list[dict[str, Any]]:
    """Return the twelve settings."""
    return [dict(zip(AXES, values, strict=True)) for values in itertools.product(*AXES.values())]


def name_of(setting: dict[str, Any]) -> str:
    """Return the name of a setting, as in the table and in file names."""
    return "-".join(str(value) for value in setting.values())


def kept_path(work: Path, source: str, setting: dict[str, Any], seed: int) -> Path:
    """Return where the learning curve of one training is kept."""
    return work / source / f"{name_of(setting)}-{seed}.json"


def train_missing(source: str, data: Path | None, work: Path) -> None:
    """Train every setting and seed that the work folder lacks and keep its learning curve."""
    base = TrainConfig().with_overrides(BASE)
    trainings = (
        (kept_path(work, source, setting, seed), base.with_overrides({**setting, "train.seed": seed}))
        for seed, setting in itertools.product(range(1, SEEDS + 1), settings())
    )
    keep_curves(trainings, data, base, work / source)


def scores_of(work: Path, source: str) -> np.ndarray:
    """Return the best val/miou of every setting and seed.

    Shape:
        returns: (settings, seeds)
    """
    paths = [[kept_path(work, source, setting, seed) for seed in range(1, SEEDS + 1)] for setting in settings()]
    return np.array([[max(json.loads(path.read_text())["curve"]) for path in row if path.is_file()] for row in paths])


def tau(first: np.ndarray, second: np.ndarray) -> float:
    """Return Kendall's tau-b of two scores of the same settings."""
    from scipy.stats import kendalltau

    return float(kendalltau(first, second).statistic)


def summarise(work: Path) -> Iterator[str]:
    """Yield a Markdown table of both, and the taus."""
    real, streets = (100 * scores_of(work, source) for source in SOURCES)
    yield "| lr, loss, filters | real frames | streets |"
    yield "|---|---|---|"
    for setting, on_real, on_streets in zip(settings(), real, streets, strict=True):
        cells = (f"{scores.mean():.1f} ± {scores.std(ddof=1):.1f}" for scores in (on_real, on_streets))
        yield f"| {', '.join(map(str, setting.values()))} | {' | '.join(cells)} |"
    yield ""
    yield f"tau, real frames and streets, means of {real.shape[1]} seeds: {tau(real.mean(1), streets.mean(1)):.2f}"
    for source, scores in zip(SOURCES, (real, streets), strict=True):
        pairs = [tau(scores[:, a], scores[:, b]) for a, b in itertools.combinations(range(scores.shape[1]), 2)]
        yield f"tau, one seed and another on {source}: {np.mean(pairs):.2f} (mean of {len(pairs)})"


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing, then print the table and the taus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a BDD100K folder of real frames")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps finished trainings")
    parser.add_argument("--so-far", action="store_true", help="train nothing; print the table of what is there")
    arguments = parser.parse_args(argv)
    if not arguments.so_far:
        if arguments.data is None:
            parser.error("--data is needed, or --so-far")
        train_missing("real", arguments.data, arguments.work)
        train_missing("streets", None, arguments.work)
    print("\n".join(summarise(arguments.work)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

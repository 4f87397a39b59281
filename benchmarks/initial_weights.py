"""Initial weights by learning rate: how well seeds train on average, and how far they differ.

    python -m benchmarks.initial_weights real --data DIR --work DIR     # a BDD100K folder
    python -m benchmarks.initial_weights streets --work DIR             # the embedded streets

Each training is kept in the work folder as soon as it is done, so a run that was cut off continues where it stopped. A
budget of 12 epochs is the beginning of one of 40: the learning rate is constant. Seeds are trained round by round, so
that the table is usable at any time; with --so-far nothing is trained. About three hours per table on one core.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bddseg.config import TrainConfig
from benchmarks.kept_trainings import keep_curves

EPOCHS = 40
BUDGETS = (12, EPOCHS)
SEEDS = 8
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
INITS = ("kaiming_uniform", "original")
BASE: dict[str, Any] = {
    "data.size": 64,
    "model.base_filters": 8,
    "train.epochs": EPOCHS,
    "train.patience": 0,
    "train.precision": "bf16",
}


def train_missing(data: Path | None, work: Path) -> None:
    """Train every seed that the work folder lacks and keep its learning curve."""
    base = TrainConfig().with_overrides(BASE)
    trainings = (
        (
            curve_path(work, init, rate, seed),
            base.with_overrides({"optim.lr": rate, "model.init": init, "train.seed": seed}),
        )
        for seed, rate, init in itertools.product(range(1, SEEDS + 1), RATES, INITS)
    )
    keep_curves(trainings, data, base, work)


def curve_path(work: Path, init: str, rate: float, seed: int) -> Path:
    """Return where the learning curve of one training is kept."""
    return work / f"{init}-{rate:g}-{seed}.json"


def summarise(work: Path) -> list[str]:
    """Return a Markdown table: best val/miou in points at each budget, mean and standard deviation over seeds."""
    header = ["| epochs, initial weights | " + " | ".join(f"{rate:g}" for rate in RATES) + " |", "|---" * 5 + "|"]
    return header + [
        f"| {budget}, {init} | " + " | ".join(_cell(work, init, rate, budget) for rate in RATES) + " |"
        for budget, init in itertools.product(BUDGETS, INITS)
    ]


def _cell(work: Path, init: str, rate: float, budget: int) -> str:
    paths = [path for seed in range(1, SEEDS + 1) if (path := curve_path(work, init, rate, seed)).is_file()]
    best = [100 * float(np.nanmax(json.loads(path.read_text())["curve"][:budget])) for path in paths]
    return f"{np.mean(best):.1f} ± {np.std(best, ddof=1):.1f} ({len(best)})" if len(best) > 1 else "-"


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", choices=("real", "streets"))
    parser.add_argument("--data", type=Path, help="a BDD100K folder, for real")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps finished trainings")
    parser.add_argument("--so-far", action="store_true", help="train nothing; print the table of what is there")
    arguments = parser.parse_args(argv)
    if not arguments.so_far and (arguments.source == "real") != bool(arguments.data):
        parser.error("--data is needed for real, and for it alone")
    work = arguments.work / arguments.source
    if not arguments.so_far:
        train_missing(arguments.data, work)
    print("\n".join(summarise(work)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

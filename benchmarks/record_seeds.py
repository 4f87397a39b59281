"""Records many seeds of a few settings in one file, to test verdicts on real seed noise.

    python -m benchmarks.record_seeds real --data DIR --work DIR     # a BDD100K folder
    python -m benchmarks.record_seeds streets --work DIR             # the embedded streets

Every finished training is saved in the work folder, so an interrupted recording can be continued. The table is written
to `benchmarks/seeds_<name>.npz` once it is complete. About three hours per table on one core. With --so-far FILE
nothing is trained: the seeds that all settings have are written there.
"""

import argparse
import itertools
import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bddseg.config import TrainConfig
from bddseg.evidence import EARLIER_LISTS, Evidence
from bddseg.files import replacing
from bddseg.result import OBJECTIVE
from benchmarks.kept_trainings import load_material

FOLDER = Path(__file__).resolve().parent
FORMAT = 1
EPOCHS = 24
BUDGETS = (4, 8, 12, 20, 24)
"""Epochs of shorter screenings, which are the start of one of EPOCHS, since the learning rate is constant."""

BASE: dict[str, Any] = {
    "data.size": 64,
    "model.base_filters": 8,
    "train.epochs": EPOCHS,
    "train.patience": 0,
    "train.precision": "bf16",
}
SETTINGS: dict[str, dict[str, Any]] = {
    "lr 1e-3": {"optim.lr": 1e-3},
    "lr 3e-3": {"optim.lr": 3e-3},
    "lr 3e-5": {"optim.lr": 3e-5},
    "focal": {"optim.lr": 1e-3, "loss.name": "focal"},
}
SCORING: dict[str, Any] = {"train.keep": "last", "train.average": 0.25}
"""How a run of a confirmation is scored; see `sweeps.planning.confirmation`."""

SEEDS = 12
FOLDS, RUN_SEEDS = 5, 4


@dataclass(frozen=True, eq=False)
class Seeds:
    """What the trainings gave. Words of images are in the order of the counts.

    Shape:
        curves: (settings, seeds, EPOCHS), val/miou.
        counts: (settings, seeds, budgets, N, C, C), of the best epoch of each budget on the validation part.
        runs: (settings, run seeds, M, C, C), of a confirmation's runs on the fold of each image.
        fold: (M,), which run of the confirmation scored an image.
    """

    facts: dict[str, Any]
    curves: np.ndarray
    counts: np.ndarray
    runs: np.ndarray
    fold: np.ndarray

    @property
    def settings(self) -> tuple[str, ...]:
        """Return the names of the settings."""
        return tuple(self.facts["settings"])

    @property
    def seeds(self) -> int:
        """Return how many seeds of each setting were trained on the usual split."""
        return self.curves.shape[1]

    @property
    def run_seeds(self) -> int:
        """Return how many runs of each setting there are on every fold."""
        return self.runs.shape[1]

    @property
    def folds(self) -> int:
        """Return into how many folds a confirmation was cut."""
        return int(self.fold.max()) + 1

    def summary(self) -> str:
        """Return a one-line summary of the table."""
        images = f"{len(self.facts['screened']['names'])} validation images"
        return f"{len(self.settings)} settings, {self.seeds} seeds of each, {self.run_seeds} on every fold; {images}"

    def evidence(self, setting: int, seed: int, budget: int) -> Evidence:
        """Return the evidence of one training at a budget."""
        return self._evidence("screened", self.counts[setting, seed, BUDGETS.index(budget)], slice(None))

    def run(self, setting: int, seed: int, fold: int) -> Evidence:
        """Return the evidence of one run of a confirmation."""
        positions = np.flatnonzero(self.fold == fold)
        return self._evidence("confirmed", self.runs[setting, seed, positions], positions)

    def _evidence(self, part: str, counts: np.ndarray, positions: Any) -> Evidence:
        labels = {key: tuple(np.asarray(values)[positions].tolist()) for key, values in self.facts[part].items()}
        attributes = {name: labels[key] for name, key in EARLIER_LISTS.items()}
        counts = counts.astype(np.int64)
        fingerprint = str(self.facts["fingerprint"])
        return Evidence("val", 1, labels["names"], attributes, counts, counts[:, 0] * 0, fingerprint)


def save_seeds(path: Path, seeds: Seeds) -> None:
    """Write a table; the file appears whole or not at all."""
    text = json.dumps({"format": FORMAT, **seeds.facts}).encode()
    arrays: dict[str, Any] = {
        "curves": np.round(seeds.curves, 5).astype(np.float32),
        "counts": seeds.counts.astype(np.uint16),
        "runs": seeds.runs.astype(np.uint16),
        "fold": seeds.fold.astype(np.uint8),
    }
    with replacing(path) as file:
        np.savez_compressed(file, words=np.frombuffer(text, dtype=np.uint8), **arrays)


def load_seeds(path: Path) -> Seeds:
    """Read a table that `save_seeds` wrote.

    Raises:
        ValueError: when it has another format.
    """
    with np.load(path, allow_pickle=False) as file:
        facts = json.loads(file["words"].tobytes())
        arrays = {key: file[key] for key in ("curves", "counts", "runs", "fold")}
    if facts.pop("format") != FORMAT:
        raise ValueError(f"{path} has another format, but must have {FORMAT}")
    return Seeds(facts, **arrays | {"curves": arrays["curves"].astype(np.float64)})


def record_screened(path: Path, config: TrainConfig, material: Any) -> None:
    """Train one seed on the usual split; keep its curve, and the counts of the best epoch of every budget."""
    import torch

    from bddseg.train import fit

    curve, counts = [], []
    for result in fit(config, material.frames, material.split, torch.device("cpu")):
        curve.append(result.metrics[OBJECTIVE])
        if result.epoch in BUDGETS:
            counts.append(result.best_evidence("val").counts)
    _write(path, curve=np.array(curve), counts=np.stack(counts).astype(np.uint16))


def record_run(path: Path, config: TrainConfig, material: Any) -> None:
    """Train one run of a confirmation as a sweep would; keep the counts on its fold."""
    import torch

    from bddseg.train import fit

    split = material.split_for(config.data)
    (last,) = deque(fit(config, material.frames, split, torch.device("cpu")), maxlen=1)
    _write(path, counts=last.best_evidence("val").counts.astype(np.uint16))


def main(argv: Sequence[str] | None = None) -> int:
    """Record what is missing of a table, then write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=("real", "streets"))
    parser.add_argument("--data", type=Path, help="a BDD100K folder, for the table real")
    parser.add_argument("--work", type=Path, required=True, help="where trainings are kept until all are done")
    parser.add_argument("--so-far", type=Path, metavar="FILE", help="train nothing; write what there is to this file")
    arguments = parser.parse_args(argv)
    if (arguments.table == "real") != bool(arguments.data):
        parser.error("--data is needed for the table real, and for it alone")
    _record(arguments.table, arguments.data, arguments.work / arguments.table, arguments.so_far)
    return 0


def _record(name: str, data: Path | None, work: Path, so_far: Path | None) -> None:
    from bddseg.device import use_threads

    use_threads(1)
    work.mkdir(parents=True, exist_ok=True)
    base = TrainConfig().with_overrides(BASE)
    material = load_material(data, base)
    for path, kind, config in _trainings(work, base):
        if not so_far and not path.is_file():
            began = time.perf_counter()
            (record_screened if kind == "screened" else record_run)(path, config, material)
            print(f"{path.stem}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    save_seeds(so_far or FOLDER / f"seeds_{name}.npz", _join(work, base, material))


def _trainings(work: Path, base: TrainConfig) -> Iterator[tuple[Path, str, TrainConfig]]:
    """Yield where each training is kept, its kind and its settings: seed by seed, so that all settings grow alike."""
    for seed, (number, changes) in itertools.product(range(SEEDS), enumerate(SETTINGS.values())):
        config = base.with_overrides({**changes, "train.seed": 1 + seed})
        yield work / f"screened-{number}-{seed:02}.npz", "screened", config
    for seed, fold, (number, changes) in itertools.product(
        range(RUN_SEEDS), range(FOLDS), enumerate(SETTINGS.values())
    ):
        config = base.with_overrides({**changes, **confirming(seed, fold)})
        yield work / f"run-{number}-{seed:02}-{fold}.npz", "run", config


def confirming(seed: int, fold: int) -> dict[str, Any]:
    """Return the settings of a confirmation's run, as `sweeps.planning.confirmation` plans it."""
    return {"data.folds": FOLDS, "data.fold": fold, "train.seed": 1000 + 10 * seed + fold, **SCORING}


def _join(work: Path, base: TrainConfig, material: Any) -> Seeds:
    """Return the table of the seeds that all settings have: all of them, unless it is written before its time."""
    frames, settings = material.frames, range(len(SETTINGS))
    seeds = _complete(work, "screened-{0}-{1:02}", SEEDS)
    run_seeds = min(_complete(work, f"run-{{0}}-{{1:02}}-{fold}", RUN_SEEDS) for fold in range(FOLDS))
    screened = [[np.load(work / f"screened-{number}-{seed:02}.npz") for seed in range(seeds)] for number in settings]
    folds = [material.split_for(base.with_overrides(confirming(0, fold)).data) for fold in range(FOLDS)]
    order = [index for split in folds for index in split.val]
    runs = [
        [
            np.concatenate([np.load(work / f"run-{number}-{seed:02}-{fold}.npz")["counts"] for fold in range(FOLDS)])
            for seed in range(run_seeds)
        ]
        for number in settings
    ]
    counts = np.stack([[file["counts"] for file in row] for row in screened])
    facts = {
        **{key: material.to_dict()[key] for key in ("fingerprint", "images", "size_px", "split")},
        "settings": SETTINGS,
        "base": BASE,
        "screened": _words(frames, material.split.val),
        "confirmed": _words(frames, order),
    }
    return Seeds(
        facts,
        np.stack([[file["curve"] for file in row] for row in screened]),
        counts,
        np.asarray(runs).reshape(len(SETTINGS), run_seeds, len(order), *counts.shape[-2:]),
        np.repeat(np.arange(FOLDS), [len(split.val) for split in folds]),
    )


def _complete(work: Path, name: str, most: int) -> int:
    """Return of how many seeds, counted from the first, every setting has its file."""
    paths = ([work / f"{name.format(number, seed)}.npz" for number in range(len(SETTINGS))] for seed in range(most))
    return next((seed for seed, files in enumerate(paths) if not all(path.is_file() for path in files)), most)


def _words(frames: Any, indices: Sequence[int]) -> dict[str, list[str]]:
    lists = {"names": frames.names} | {key: frames.attributes[name] for name, key in EARLIER_LISTS.items()}
    return {key: [values[index] for index in indices] for key, values in lists.items()}


def _write(path: Path, **arrays: np.ndarray) -> None:
    with replacing(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())

"""Records the learning curves of a full grid without early stopping in one file, to replay schedulers on.

    python -m benchmarks.record_curves real --data DIR --work DIR     # a BDD100K folder
    python -m benchmarks.record_curves streets --work DIR             # the embedded streets

Every finished trial is saved in the work folder, so an interrupted recording can be continued. The table is written to
`benchmarks/curves_<name>.npz` once it is complete. About 25 minutes per table on one core.
"""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bddseg.config import TrainConfig
from bddseg.confusion import miou
from bddseg.files import replacing
from bddseg.result import OBJECTIVE
from benchmarks.kept_trainings import load_material

FOLDER = Path(__file__).resolve().parent
FORMAT = 1
DIGITS = 5

BASE: dict[str, Any] = {
    "data.size": 64,
    "model.base_filters": 8,
    "train.epochs": 20,
    "train.patience": 0,
    "train.precision": "fp32",
}
COMMON: dict[str, list[Any]] = {
    "optim.lr": [1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2],
    "loss.name": ["cross_entropy", "focal"],
    "optim.weight_decay": [1e-4, 1e-2],
}
GRIDS: dict[str, dict[str, list[Any]]] = {
    "real": {**COMMON, "model.name": ["vanilla_unet", "attention_unet"]},
    "streets": {**COMMON, "data.augment": ["none", "standard"]},
}
"""Table -> axes; the reference is the point at lr 1e-4, weight decay 1e-4 and the first of the other values."""

REFERENCE = {"optim.lr": 1e-4, "optim.weight_decay": 1e-4}


@dataclass(frozen=True, eq=False)
class Table:
    """The curves of a full grid.

    Shape:
        curves: (T, E), val/miou after every epoch; NaN from where a trial had diverged.
        intersection, union: (T, N, C), pixels per validation image and class at each trial's best epoch.
    """

    name: str
    settings: tuple[dict[str, Any], ...]
    """Of each trial, on the axes of the grid."""
    reference: int
    """Row of the reference."""
    facts: dict[str, Any]
    curves: np.ndarray
    intersection: np.ndarray
    union: np.ndarray

    @property
    def models(self) -> tuple[str, ...]:
        """Return each trial's network."""
        return tuple(str(point.get("model.name", TrainConfig().model.name)) for point in self.settings)


def points(name: str) -> list[dict[str, Any]]:
    """Return the points of a table's grid, in order."""
    axes = GRIDS[name]
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def save_table(path: Path, table: Table) -> None:
    """Write a table; the file appears whole or not at all."""
    header = {"format": FORMAT, "name": table.name, "settings": table.settings, "reference": table.reference}
    text = json.dumps({**header, "facts": table.facts}).encode()
    _write(
        path,
        words=np.frombuffer(text, dtype=np.uint8),
        curves=np.round(table.curves, DIGITS).astype(np.float32),
        intersection=table.intersection.astype(np.uint16),
        union=table.union.astype(np.uint16),
    )


def load_table(path: Path) -> Table:
    """Read a table that `save_table` wrote.

    Raises:
        ValueError: when it has another format.
    """
    with np.load(path, allow_pickle=False) as file:
        header = json.loads(file["words"].tobytes())
        curves = np.round(file["curves"].astype(np.float64), DIGITS)
        intersection, union = (file[key].astype(np.int64) for key in ("intersection", "union"))
    if header["format"] != FORMAT:
        raise ValueError(f"{path} has the format {header['format']}, but must have {FORMAT}")
    settings = tuple(header["settings"])
    return Table(header["name"], settings, header["reference"], header["facts"], curves, intersection, union)


def record_trial(path: Path, point: dict[str, Any], material: Any) -> None:
    """Train one point to the end of its budget, and keep its curve and the counts of its best epoch."""
    import torch

    from bddseg.train import fit

    began, curve, last = time.perf_counter(), [], None
    config = TrainConfig().with_overrides(BASE | point)
    for last in fit(config, material.frames, material.split, torch.device("cpu")):
        curve.append(last.metrics[OBJECTIVE])
    assert last is not None
    curve += [float("nan")] * (config.train.epochs - len(curve))
    intersection, union = np.zeros((2, len(material.split.val), 5), dtype=np.int64)
    if last.best_epoch:
        counts = last.best_evidence("val").counts
        intersection = np.diagonal(counts, axis1=1, axis2=2)
        union = counts.sum(1) + counts.sum(2) - intersection
        assert abs(float(miou(counts.sum(0))) - last.best_miou) < 1e-9
    _write(path, curve=np.array(curve), intersection=intersection, union=union)
    _say(f"{path.stem} {point}: best {last.best_miou:.4f} at {last.best_epoch}, {time.perf_counter() - began:.0f} s")


def main(argv: Sequence[str] | None = None) -> int:
    """Record what is missing of a table, then write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=tuple(GRIDS))
    parser.add_argument("--data", type=Path, help="a BDD100K folder, for the table real")
    parser.add_argument("--work", type=Path, required=True, help="where trials are kept until all are done")
    arguments = parser.parse_args(argv)
    if (arguments.table == "real") != bool(arguments.data):
        parser.error("--data is needed for the table real, and for it alone")
    _record(arguments.table, arguments.data, arguments.work / arguments.table)
    return 0


def _record(name: str, data: Path | None, work: Path) -> None:
    import torch

    from bddseg.device import use_threads

    use_threads(1)
    work.mkdir(parents=True, exist_ok=True)
    base = TrainConfig().with_overrides(BASE)
    material = load_material(data, base)
    grid = points(name)
    for index, point in enumerate(grid):
        path = work / f"{index:03d}.npz"
        if not path.is_file():
            record_trial(path, point, material)
    rows = [np.load(work / f"{index:03d}.npz") for index in range(len(grid))]
    facts = {key: material.to_dict()[key] for key in ("fingerprint", "images", "size_px", "split")}
    reference = next(index for index, point in enumerate(grid) if REFERENCE.items() <= point.items())
    arrays = {key: np.stack([row[key] for row in rows]) for key in ("curve", "intersection", "union")}
    curves = arrays.pop("curve")
    table = Table(name, tuple(grid), reference, {**facts, "torch": torch.__version__}, curves=curves, **arrays)
    save_table(FOLDER / f"curves_{name}.npz", table)


def _write(path: Path, **arrays: np.ndarray) -> None:
    with replacing(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Trainings that are kept as soon as they are done, so that a benchmark that was cut off continues where it stopped."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bddseg.config import TrainConfig
from bddseg.files import write_json
from bddseg.result import OBJECTIVE

if TYPE_CHECKING:
    from sweeps.planning.dataset import Dataset


def load_material(data: Path | None, config: TrainConfig) -> "Dataset":
    """Return the frames and the split of a BDD100K folder; of the embedded streets without one."""
    from sweeps.planning.dataset import Source, cache_folder, load_dataset

    source = Source("full" if data else "quick", data.resolve() if data else None)
    return load_dataset(source, config, cache_folder(), on_bad_sample="skip", progress=False)


def keep_curves(
    trainings: Iterable[tuple[Path, TrainConfig]], data: Path | None, base: TrainConfig, work: Path
) -> None:
    """Train on one thread what has no file yet, and keep its val/miou of every epoch.

    Args:
        trainings: the file of each training, and its settings.
        data: a BDD100K folder; None for the embedded streets.
        base: the settings of the data.
        work: folder of the files.
    """
    import torch

    from bddseg.device import use_threads
    from bddseg.train import fit

    use_threads(1)
    work.mkdir(parents=True, exist_ok=True)
    material = load_material(data, base)
    for path, config in trainings:
        if path.is_file():
            continue
        start = time.perf_counter()
        results = fit(config, material.frames, material.split, torch.device("cpu"))
        write_json(path, {"curve": [round(result.metrics[OBJECTIVE], 5) for result in results]})
        print(f"{work.name} {path.stem}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)

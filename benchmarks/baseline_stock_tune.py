"""P3, the stock Ray Tune baseline: the default Tuner and FIFO scheduler, with P2 as a function trainable.

Ray itself is started as ours is, without Tune's log files. Decodes once, trains one trial per learning rate and prints
a leaderboard:

    python -m benchmarks.baseline_stock_tune --data DIR --given FILE --lr 1e-3 1e-4
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np


def train(config: dict[str, Any], *, inputs: Any, images: np.ndarray, masks: np.ndarray, parts: Any) -> None:
    """Train one trial and report once per epoch."""
    import torch
    from ray import tune

    from bddseg.confusion import miou
    from benchmarks.baseline_careful import Careful

    own = replace(inputs, config=inputs.config.with_overrides(config))
    pixels, labels = (torch.from_numpy(np.array(array)) for array in (images, masks))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = Careful(own, pixels, labels, parts[0], parts[1], device)
    seconds = 0.0
    for _ in range(own.config.train.epochs):
        began = time.time()
        run.train_epoch()
        value = float(miou(run.evaluate()))
        seconds += time.time() - began
        tune.report({"miou": value, "train_s": seconds})


def main(argv: list[str] | None = None) -> int:
    """Run the trials and print their leaderboard."""
    arguments = _parser().parse_args(argv)
    from ray import tune
    from ray.tune import Callback

    from sweeps.execution.cluster import ray_cluster  # the very Ray that ours runs on

    class Clock(Callback):
        """Notes when trials start and end."""

        def __init__(self) -> None:
            self.starts: list[float] = []
            self.ends: list[float] = []

        def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            self.starts.append(time.time())

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            self.ends.append(time.time())

    shared = _shared_data(arguments)
    with tempfile.TemporaryDirectory(prefix="p3-") as folder, ray_cluster(Path(folder), object_bytes=_bytes(shared)):
        clock = Clock()
        tuner = tune.Tuner(
            tune.with_parameters(train, **shared),
            param_space={"optim.lr": tune.grid_search(arguments.lr)},
            tune_config=tune.TuneConfig(metric="miou", mode="max", max_concurrent_trials=arguments.concurrent or None),
            run_config=tune.RunConfig(storage_path=f"{folder}/runs", callbacks=[clock], verbose=0),
        )
        results = tuner.fit()
    return _print_leaderboard(list(results), clock.starts, clock.ends, arguments)


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder in the BDD100K layout")
    options.add_argument(
        "--given", type=Path, required=True, help="settings and statistics, as benchmarks.contender_inputs saves"
    )
    options.add_argument("--lr", type=float, nargs="+", required=True, help="learning rate of each trial")
    options.add_argument("--concurrent", type=int, default=0, help="trials side by side at most; 0: one per core")
    options.add_argument("--times", type=Path, help="file for starts, ends and seconds in training")
    return options


def _shared_data(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what all trials share: settings, decoded tensors as arrays, and the split."""
    from bddseg.data.catalog import read_catalog
    from bddseg.data.split import usual_split
    from bddseg.task import FIVE_CLASSES
    from benchmarks.baseline_careful import decode_all
    from benchmarks.contender_inputs import ContenderInputs

    inputs = ContenderInputs.load(arguments.given)
    samples = read_catalog(arguments.data).samples
    split = usual_split(
        inputs.config.data,
        [sample.name for sample in samples],
        [(FIVE_CLASSES.group_of(sample.attributes["scene"]),) for sample in samples],
    )
    used = sorted([*split.train, *split.val])
    images, masks = decode_all([samples[index] for index in used], inputs)
    parts = tuple([used.index(index) for index in part] for part in (split.train, split.val))
    return {"inputs": inputs, "images": images.numpy(), "masks": masks.numpy(), "parts": parts}


def _bytes(shared: dict[str, Any]) -> int:
    return int(shared["images"].nbytes + shared["masks"].nbytes)


def _print_leaderboard(
    results: list[Any], starts: list[float], ends: list[float], arguments: argparse.Namespace
) -> int:
    """Print the leaderboard, write the times, and return 1 when a trial is missing."""
    finished = [result for result in results if result.error is None]
    for result in sorted(finished, key=lambda result: -result.metrics["miou"]):
        print(f"lr {result.config['optim.lr']:g}: val mIoU {result.metrics['miou']:.4f}")
    if arguments.times:
        training = [result.metrics["train_s"] for result in finished]
        arguments.times.write_text(json.dumps({"starts": starts, "ends": ends, "training": training}))
    return 0 if len(finished) == len(arguments.lr) else 1


if __name__ == "__main__":
    sys.exit(main())

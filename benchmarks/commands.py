"""Starts each compared sweep from its own command line, in a process of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bddseg.config import TrainConfig
from benchmarks.cli import ROOT

NOT_PASSED_ON = ("BDD100K_ROOT", "MLFLOW_TRACKING_URI", "RAY_ADDRESS", "OMP_NUM_THREADS")
"""Variables that would change the comparison. Each contender chooses its own number of threads."""
SWEPT = ("data.", "model.", "train.", "optim.weight_decay")


def run(command: Sequence[str], **variables: str) -> str:
    """Run a command on the CPU from the project's folder and return what it printed.

    Raises:
        SystemExit: with the end of its stderr, when it fails.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", **variables}
    for variable in NOT_PASSED_ON:
        environment.pop(variable, None)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:4])} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def ours(config: TrainConfig, data: Path, rates: Sequence[float], folder: Path, more: Sequence[str] = ()) -> Path:
    """Run our sweep, one trial per rate, with an empty cache and a new store, and return its folder."""
    cache, storage = folder / "c", folder / "runs"
    for old in (cache, storage):
        shutil.rmtree(old, ignore_errors=True)
    settings = [f"{key}={value}" for key, value in config.flat().items() if key.startswith(SWEPT)]
    settings += ["loss.name=cross_entropy", f"optim.lr=[{', '.join(f'{rate:.2e}' for rate in rates)}]"]
    command = [sys.executable, "tune_main.py", "--space", "smoke", "--profile", "full", "--data", str(data)]
    command += ["--scheduler", "none", "--quiet", "--gpus-per-trial", "0", "--storage", str(storage), *more]
    for setting in settings:
        command += ["--set", setting]
    run(command, BDDSEG_CACHE=str(cache))
    return next(path for path in storage.iterdir() if (path / "outbox").is_dir())


def stock(data: Path, inputs: Path, rates: Sequence[float], more: Sequence[str] = ()) -> None:
    """Run P3, one trial per rate."""
    command = [sys.executable, "-m", "benchmarks.baseline_stock_tune", "--data", str(data), "--given", str(inputs)]
    run([*command, *more, "--lr", *map(str, rates)])


def plain(data: Path, inputs: Path, rates: Sequence[float]) -> None:
    """Run P0 once per rate, one after the other."""
    for rate in rates:
        command = [sys.executable, "-m", "benchmarks.baseline_plain", "--data", str(data), "--given", str(inputs)]
        run([*command, "--lr", str(rate)])

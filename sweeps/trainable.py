"""run_trial(config): loop over bddseg.train.fit, hand epochs and checkpoints to Ray."""

import contextlib
import logging
import math
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ray import tune
from ray.tune.trainable import wrap_function

from bddseg.checkpoint import load_training, save_training
from bddseg.config import TrainConfig
from bddseg.device import resolve_device, use_threads
from bddseg.evidence import Evidence, save_evidence
from bddseg.frames import Frames
from bddseg.result import OBJECTIVE, EpochResult
from bddseg.split import Split
from bddseg.train import fit
from sweeps.rungs import BEST
from sweeps.search import TRIAL_KEY

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 30
"""A checkpoint is due at every epoch, but no more often than this; always at a rung and at the end."""

EVIDENCE_FILE = "evidence-{part}.npz"


@dataclass(frozen=True)
class Workload:
    """What all trials of a sweep share, put once into Ray's object store."""

    base: dict[str, dict[str, Any]]
    """Settings that do not vary, as `TrainConfig.to_dict` gives them."""
    frames: Frames
    split: Split
    rungs: tuple[int, ...]
    threads: int
    logs: str
    """Folder for one log file per trial."""
    device: str = "auto"


def build_trainable(workload: Workload, resources: Mapping[str, float]) -> Any:
    """Return what a Tuner runs: `run_trial` over the workload, each actor under its trial's own name."""
    function = tune.with_resources(tune.with_parameters(run_trial, workload=workload), dict(resources))

    class NamedTrial(wrap_function(function)):  # type: ignore[misc]
        """Ray's dashboard shows an actor by its repr: a function trainable's is the same for all."""

        def __repr__(self) -> str:
            return str(self.trial_name)

    NamedTrial.__name__ = run_trial.__name__
    return NamedTrial


def run_trial(config: dict[str, Any], *, workload: Workload) -> None:
    """Train one planned trial, reporting every epoch to Ray; go on from Ray's checkpoint if there is one."""
    use_threads(workload.threads)
    device = resolve_device(workload.device)
    with _logged(Path(workload.logs) / f"{config[TRIAL_KEY]}.log"):
        _train(config, workload, device)


def _train(config: dict[str, Any], workload: Workload, device: torch.device) -> None:
    saved_at, test = time.monotonic(), None
    for result in fit(trial_config(config, workload), workload.frames, workload.split, device, _resume_state()):
        is_compared = bool(result.stop_reason) or result.epoch in workload.rungs
        log.info("epoch %d: %s", result.epoch, _sentence(result))
        is_due = is_compared or time.monotonic() - saved_at >= CHECKPOINT_SECONDS
        if not is_due or math.isnan(result.best_miou):
            tune.report(_metrics(result))
            continue
        if is_compared and (test is None or test.epoch != result.best_epoch):
            test = result.best_evidence("test")
        is_current = test is not None and test.epoch == result.best_epoch
        _report_checkpoint(result, [result.best_evidence("val"), *([test] if test and is_current else [])])
        saved_at = time.monotonic()


def trial_config(config: Mapping[str, Any], workload: Workload) -> TrainConfig:
    """Return the settings of a Ray config: the sweep's base with the trial's point on the grid."""
    point = {key: value for key, value in config.items() if key != TRIAL_KEY}
    return TrainConfig.from_dict(workload.base).with_overrides(point).folded()


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Write the trial's log, and the traceback of what ends it, to a file of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    log.setLevel(logging.INFO)
    log.info("on %s, process %d", platform.node(), os.getpid())
    try:
        yield
    except Exception:
        log.exception("the trial failed")
        raise
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def _sentence(result: EpochResult) -> str:
    metrics = result.metrics
    words = ", ".join(f"{name} {metrics[name]:.4f}" for name in ("train/loss", "val/loss", OBJECTIVE))
    return f"{words}, {metrics['time/epoch_s']:.1f} s" + (f"; ends: {result.stop_reason}" if result.stop_reason else "")


def _resume_state() -> dict[str, Any] | None:
    checkpoint = tune.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return load_training(Path(folder))


def _metrics(result: EpochResult) -> dict[str, Any]:
    reason = {"stop_reason": result.stop_reason} if result.stop_reason else {}
    return {**result.metrics, BEST: result.best_miou, "epoch": result.epoch, **reason}


def _report_checkpoint(result: EpochResult, evidence: Sequence[Evidence]) -> None:
    """Report with {last, best, evidence}; Ray copies the folder to the sweep's storage before it returns."""
    with tempfile.TemporaryDirectory() as name:
        save_training(Path(name), result.state())
        for found in evidence:
            save_evidence(Path(name) / EVIDENCE_FILE.format(part=found.part), found)
        tune.report(_metrics(result), checkpoint=tune.Checkpoint.from_directory(name))

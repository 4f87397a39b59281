"""The winner of a confirmation, trained once more on train and validation together, for use. It is not validated."""

import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from bddseg.checkpoint import BEST, LAST, load_training, save_training
from bddseg.config import TrainConfig
from bddseg.data.folders import is_visible
from bddseg.data.split import split_of
from bddseg.device import resolve_device, use_threads
from bddseg.errors import ConfigError, DataError
from bddseg.evidence import Evidence, load_evidence, save_evidence
from bddseg.result import EpochResult
from bddseg.train import fit
from bddseg.words import count
from sweeps.errors import ExperimentError, ModelError, NothingToRegisterError
from sweeps.notes import notes
from sweeps.planning.dataset import Dataset, cache_folder, load_dataset, recorded_source
from sweeps.storage.artifacts import evidence_file
from sweeps.storage.outcomes import StopReason
from sweeps.storage.records import SweepRecord, TrialRow

log = logging.getLogger(__name__)

SAVE_SECONDS = 30
"""A state is saved when so much work would be lost without it, and at the end."""

TEST_EVIDENCE = evidence_file("test")


@dataclass(frozen=True)
class Refit:
    """What a refit left: its weights, and what they do on the test part, which was counted once."""

    config: TrainConfig
    weights: Path
    test: Evidence
    images: int
    """That it was trained on."""
    seconds: float


def refit_config(record: SweepRecord, finalist: str) -> TrainConfig:
    """Return the settings of a finalist's first run in a confirmation, with nothing kept back from training.

    Raises:
        ExperimentError: when its record is incomplete, or its settings train otherwise today.
    """
    runs: list[TrialRow] = [row for row in record.trials if row.finalist == finalist]
    if not runs:
        raise ExperimentError(f"{record.sweep_id} has no run of finalist {finalist}, so its settings are not known")
    try:
        run = TrainConfig.from_record(runs[0].settings)
        _check_digest(record, runs[0], run)
        return run.with_overrides({"data.folds": 1, "data.fold": 0, "train.keep": "last", "train.patience": 0})
    except ConfigError as error:
        raise ExperimentError(f"{record.sweep_id}, trial {runs[0].name}: {error}") from error


def _check_digest(record: SweepRecord, row: TrialRow, config: TrainConfig) -> None:
    if config.digest() != row.digest:
        raise ExperimentError(
            f"{record.sweep_id}, trial {row.name}: it was trained as {row.digest or 'nobody knows what'}, but its "
            f"settings are {config.digest()} in this version: refit with the version that confirmed it"
        )


def load_recorded(record: SweepRecord, config: TrainConfig, given: Path | None = None) -> Dataset:
    """Return the frames and the split that a sweep used; `given` is where the data lie now, if not where they were.

    Raises:
        ExperimentError: when they are not what they were, or the sweep does not say what they were.
    """
    data: Any = record.manifest.get("data")
    if not isinstance(data, dict) or not {"root", "embedded", "fingerprint"} <= data.keys():
        raise ExperimentError(f"{record.sweep_id} has no sweep.json in the store, so its data is not known")
    source = recorded_source(str(record.manifest.get("profile", "")), data, given)
    material = load_dataset(source, config, cache_folder(), on_bad_sample="skip", progress=sys.stderr.isatty())
    if material.frames.fingerprint != data["fingerprint"]:
        where = f" in {given}" if given else ""
        raise ExperimentError(
            f"{record.sweep_id} used frames {data['fingerprint']} of {data['root']}, but they are "
            f"{material.frames.fingerprint} now{where}: put the folder back as it was, or screen and confirm again"
        )
    return material


@contextmanager
def refit(config: TrainConfig, material: Dataset) -> Iterator[Refit]:
    """Give the trained weights for as long as the context lasts; when it ends well, nothing of the refit is left.

    What was interrupted goes on from where it was saved.

    Raises:
        NothingToRegisterError: when the loss is no longer finite.
        ModelError: when another process is at it.
    """
    refits = cache_folder() / f"refits-{os.getuid()}"
    folder = refits / f"{config.digest()}-{config.train.epochs}-{material.frames.fingerprint}"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{folder}.lock")
    try:
        with lock.acquire(timeout=0):
            yield _refitted(config, material, folder)
            shutil.rmtree(folder, ignore_errors=True)
    except Timeout as error:
        raise ModelError(f"another process trains this model, see {folder}: wait for it") from error


def _refitted(config: TrainConfig, material: Dataset, folder: Path) -> Refit:
    use_threads(_idle_threads())
    began, device, frames = time.monotonic(), resolve_device(), material.frames
    split = split_of(config.data, material.split, frames.names, frames.scenes)
    state = _saved(folder, device)
    done = state["epoch"] if state else 0
    after = f", going on after epoch {done}" if done else ""
    epochs, images = count(config.train.epochs, "epoch"), count(len(split.train), "image")
    notes.info(f"training {epochs} on all {images} of train and validation{after}")
    saved_at = time.monotonic()
    for result in fit(config, frames, split, device, state):
        notes.info(_sentence(result, config.train.epochs))
        if result.stop_reason == StopReason.DIVERGED:
            shutil.rmtree(folder, ignore_errors=True)
            raise NothingToRegisterError(f"the refit diverged in epoch {result.epoch}, so there is nothing to register")
        if result.stop_reason:
            save_evidence(folder / TEST_EVIDENCE, result.best_evidence("test"))
        if result.stop_reason or time.monotonic() - saved_at > SAVE_SECONDS:
            save_training(folder, result.state())
            saved_at = time.monotonic()
    return Refit(
        config=config,
        weights=folder / BEST,
        test=load_evidence(folder / TEST_EVIDENCE),
        images=len(split.train),
        seconds=time.monotonic() - began,
    )


def _idle_threads() -> int:
    """Return how many of torch's threads would have a core of their own, at least one.

    Threads that wait for each other on busy cores lose: on two cores with seven times as much to do an epoch took 8 s
    on one thread and 72 to 148 s on two.
    """
    return max(1, round(torch.get_num_threads() - os.getloadavg()[0]))


def _saved(folder: Path, device: torch.device) -> dict[str, Any] | None:
    if not is_visible(folder / LAST):
        return None
    try:
        return load_training(folder, device)
    except DataError as error:
        log.warning("a refit begins anew: %s", error)
        return None


def _sentence(result: EpochResult, epochs: int) -> str:
    loss, seconds = (result.metrics[name] for name in ("train/loss", "time/epoch_s"))
    return f"epoch {result.epoch} of {epochs}: train/loss {loss:.4f}, {seconds:.1f} s"

"""The refit: the winner of a confirmation, trained again on train and validation together. It is not validated."""

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
"""Seconds between two saved states; the last state is saved as well."""

TEST_EVIDENCE = evidence_file("test")


@dataclass(frozen=True)
class Refit:
    """The result of a refit: its weights, and their evidence on the test part, which was evaluated once."""

    config: TrainConfig
    weights: Path
    test: Evidence
    images: int
    """Number of training images."""
    seconds: float


def refit_config(record: SweepRecord, finalist: str) -> TrainConfig:
    """Return the settings of a finalist's first run in a confirmation, with all images for training.

    Raises:
        ExperimentError: when its record is incomplete, or its settings have another digest in this version.
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
            f"{record.sweep_id}, trial {row.name}: its recorded digest is {row.digest or 'missing'}, but its settings "
            f"have {config.digest()} in this version: refit with the version that confirmed it"
        )


def load_recorded(record: SweepRecord, config: TrainConfig, folder: Path | None = None) -> Dataset:
    """Return the frames and the split that a sweep used.

    Args:
        record: of the sweep.
        config: which frames and which split.
        folder: the present folder of the data; None where they have not moved.

    Raises:
        ExperimentError: when the data have changed, or their fingerprint is not recorded.
    """
    data = record.data
    if not {"root", "embedded", "fingerprint"} <= data.keys():
        raise ExperimentError(f"{record.sweep_id} has no sweep.json in the store, so its data is not known")
    source = recorded_source(str(record.manifest.get("profile", "")), data, folder)
    material = load_dataset(source, config, cache_folder(), on_bad_sample="skip", progress=sys.stderr.isatty())
    if material.frames.fingerprint != data["fingerprint"]:
        where = f" in {folder}" if folder else ""
        raise ExperimentError(
            f"{record.sweep_id} used frames {data['fingerprint']} of {data['root']}, but they are "
            f"{material.frames.fingerprint} now{where}: put the folder back as it was, or screen and confirm again"
        )
    return material


@contextmanager
def refit(config: TrainConfig, material: Dataset) -> Iterator[Refit]:
    """Give the trained weights for as long as the context lasts; a context that ends without an error removes them.

    A refit that was interrupted continues from its last saved state.

    Raises:
        NothingToRegisterError: when the loss is no longer finite.
        ModelError: when another process trains the same model.
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
    split = material.split_for(config.data)
    state = _saved(folder, device)
    done = state["epoch"] if state else 0
    after = f", continuing after epoch {done}" if done else ""
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

    Threads that synchronise on busy cores are slow: on two cores with seven times the load, an epoch took 8 s on one
    thread and 72 to 148 s on two.
    """
    return max(1, round(torch.get_num_threads() - os.getloadavg()[0]))


def _saved(folder: Path, device: torch.device) -> dict[str, Any] | None:
    if not is_visible(folder / LAST):
        return None
    try:
        return load_training(folder, device)
    except DataError as error:
        log.warning("the refit starts again: %s", error)
        return None


def _sentence(result: EpochResult, epochs: int) -> str:
    loss, seconds = (result.metrics[name] for name in ("train/loss", "time/epoch_s"))
    return f"epoch {result.epoch} of {epochs}: train/loss {loss:.4f}, {seconds:.1f} s"

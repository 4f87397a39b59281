"""Synthetic recorded sweeps of any size: made-up trials in a real MLflow database, with evidence files.

Runs, tags, settings and last figures go the way of every sweep, through outbox and delivery. The points of the curves,
of which a sweep of 1,000 trials has a million, are written into the database directly: that saves the minutes that
delivery takes, and what a report reads is the same.
"""

import json
import math
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bddseg.config import TrainConfig
from bddseg.evidence import Evidence, save_evidence
from bddseg.task import FIVE_CLASSES, slug
from sweeps.storage.outbox import PARENT, Event, Outbox
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.store import prepare_store
from sweeps.tracking.uri import default_tracking_uri

SWEEP = "recorded-20261127-000000-0000"
FINGERPRINT = "f" * 16
SCENES = ("city street", "highway", "residential", "parking lot", "tunnel")
WEATHERS, TIMES = ("clear", "overcast", "rainy"), ("daytime", "night")
RUNGS = (5, 15)
PIXELS = 128 * 128
IMAGES_OF_A_DRIVE = 3


@dataclass(frozen=True)
class Size:
    """How large a sweep is made."""

    trials: int = 48
    epochs: int = 50
    images: int = 120


@dataclass(frozen=True)
class MadeUpTrial:
    """A made-up trial."""

    config: TrainConfig
    name: str
    quality: float
    epochs: int
    """That it trained: a weak one is stopped at a rung."""
    number: int


def build_sweep(folder: Path, size: Size, seed: int = 0) -> str:
    """Make the sweep below a folder that is empty or new; return the tracking URI."""
    folder.mkdir(parents=True, exist_ok=True)
    uri = default_tracking_uri(folder)
    prepare_store(uri, folder / "artifacts")
    trials = list(make_trials(size, seed))
    (folder / "sweep.json").write_text(json.dumps(make_manifest(trials, size)))
    outbox = Outbox(folder / "outbox")
    for event in events(folder, trials, size, seed):
        outbox.append(event)
    undelivered = Delivery(outbox, uri, SWEEP).close(3600)
    assert undelivered == 0, f"{undelivered} events were not delivered"
    write_curves(folder / "mlflow.db", trials)
    return uri


def make_trials(size: Size, seed: int) -> Iterator[MadeUpTrial]:
    """Give trials over rate, loss, decay and width, some with other seeds; the better the settings, the better."""
    rng = np.random.default_rng(seed)
    rates, losses, decays = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3), ("cross_entropy", "focal"), (0.0, 1e-4, 1e-3)
    points = [(rate, loss, decay) for rate in rates for loss in losses for decay in decays]
    for number in range(size.trials):
        rate, loss, decay = points[number % len(points)]
        again = number // len(points)
        config = TrainConfig().with_overrides(
            {"optim.lr": rate, "loss.name": loss, "optim.weight_decay": decay, "train.seed": again}
        )
        quality = 0.66 - 0.05 * (math.log10(rate) + 3.2) ** 2 - 0.01 * (loss == "focal") + rng.normal(0, 0.006)
        weak = quality < 0.60
        epochs = RUNGS[int(quality > 0.52)] if weak else size.epochs
        name = f"vanilla-f16 {loss} lr={rate:g} wd={decay:g} seed={again}"
        yield MadeUpTrial(config, name, float(np.clip(quality, 0.1, 0.9)), min(epochs, size.epochs), number)


def make_manifest(trials: list[MadeUpTrial], size: Size) -> dict[str, Any]:
    """Return what the sweep set out to do."""
    flat = [trial.config.flat() for trial in trials]
    axes = ("optim.lr", "loss.name", "optim.weight_decay", "train.seed")
    split = {"train": 4 * size.images, "val": size.images, "test": size.images // 2, "by_drive": True, "warning": ""}
    data = {
        "root": "made up",
        "embedded": True,
        "fingerprint": FINGERPRINT,
        "summary": [],
        "split": split,
        "scenes": {},
    }
    return {
        "version": 1,
        "sweep_id": SWEEP,
        "space": "recorded",
        "question": "How fast is a report?",
        "profile": "quick",
        "scheduler": {"name": "asha", "max_epochs": size.epochs, "rungs": list(RUNGS)},
        "axes": {key: list(dict.fromkeys(settings[key] for settings in flat)) for key in axes},
        "trials": [
            {"trial_id": trial.config.digest(), "name": trial.name, "settings": settings, "reference": not trial.number}
            for trial, settings in zip(trials, flat, strict=True)
        ],
        "data": data,
        "device": "none",
        "precision": "fp32",
        "command": "python -m benchmarks.report",
        "report_command": f"python report.py {SWEEP}",
        "versions": {},
        "started": "2026-11-27T00:00:00+00:00",
    }


def events(folder: Path, trials: list[MadeUpTrial], size: Size, seed: int) -> Iterator[Event]:
    """Give what the sweep would have written, but for the epochs."""
    parent = {"trial": PARENT, "time_ms": 1_000_000}
    yield {"kind": "start", "name": SWEEP, "params": {}, "tags": {}, **parent}
    yield {"kind": "artifact", "path": str(folder / "sweep.json"), "folder": "", **parent}
    for trial in trials:
        evidence = make_evidence(trial, size, seed)
        path = folder / "evidence" / str(trial.number)
        path.mkdir(parents=True)
        own = {"trial": trial.config.digest(), "time_ms": 1_000_000 + trial.number}
        tags = {"sweep.config_digest": trial.config.digest(), "sweep.reference": str(not trial.number).lower()}
        yield {"kind": "start", "name": trial.name, "params": trial.config.flat(), "tags": tags, **own}
        for part in ("val", "test"):
            save_evidence(path / f"evidence-{part}.npz", evidence)
            yield {"kind": "artifact", "path": str(path / f"evidence-{part}.npz"), "folder": "evidence", **own}
        yield {**_end(trial, evidence, size), **own, "time_ms": 1_060_000 + 1000 * trial.number}
    yield {"kind": "end", "status": "FINISHED", "tags": {}, "metrics": {}, "step": 0, "note": None, **parent}


def make_evidence(trial: MadeUpTrial, size: Size, seed: int) -> Evidence:
    """Return counts of a trial: images differ in how hard they are, the same for all trials."""
    rng = np.random.default_rng(seed)  # the same images for every trial
    hard = rng.normal(0, 0.05, size.images)
    scenes = tuple(SCENES[index] for index in rng.choice(len(SCENES), size.images, p=(0.6, 0.15, 0.15, 0.06, 0.04)))
    pixels = rng.multinomial(PIXELS, (0.35, 0.25, 0.2, 0.1, 0.1), size.images)
    own = np.random.default_rng((seed, trial.number))
    right = np.clip(math.sqrt(trial.quality) - 0.04 + hard + own.normal(0, 0.03, size.images), 0.02, 0.99)
    counts = np.zeros((size.images, len(FIVE_CLASSES.classes), len(FIVE_CLASSES.classes)), dtype=np.int64)
    for label in range(len(FIVE_CLASSES.classes)):
        hit = own.binomial(pixels[:, label], right)
        counts[:, label, label] = hit
        counts[:, label, (label + 1) % len(FIVE_CLASSES.classes)] += pixels[:, label] - hit
    weathers, times = rng.choice(len(WEATHERS), size.images), rng.choice(len(TIMES), size.images)
    return Evidence(
        part="val",
        epoch=trial.epochs,
        names=tuple(f"{image // IMAGES_OF_A_DRIVE:08x}-{image:08x}" for image in range(size.images)),
        attributes={
            "scene": scenes,
            "weather": tuple(WEATHERS[index] for index in weathers),
            "timeofday": tuple(TIMES[index] for index in times),
        },
        counts=counts,
        ignored=own.integers(0, 500, (size.images, len(FIVE_CLASSES.classes))),
        fingerprint=FINGERPRINT,
    )


def write_curves(database: Path, trials: list[MadeUpTrial]) -> None:
    """Write every epoch of every trial into MLflow's table of metrics."""
    with sqlite3.connect(database) as connection:
        runs = dict(connection.execute("SELECT value, run_uuid FROM tags WHERE key = 'sweep.trial_id'"))
        connection.executemany(
            "INSERT OR IGNORE INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)",
            (point for trial in trials for point in _points(trial, runs[trial.config.digest()])),
        )
        connection.execute("PRAGMA analysis_limit=400")
        connection.execute("ANALYZE")
    connection.close()


def _end(trial: MadeUpTrial, evidence: Evidence, size: Size) -> Event:
    from sweeps.statistics.scores import score_evidence

    scores = score_evidence(evidence)
    figures = {f"iou/{name}": value for name, value in scores.iou.items()}
    figures |= {f"group_miou/{group}": value for group, value in scores.groups.items()}
    figures |= {f"scene_miou/{slug(scene)}": scores.miou for scene in SCENES} | {"miou": scores.miou}
    last = {f"val/{key}": value for key, value in figures.items()} | {"train/miou": 0.7, "train/loss": 0.5, "lr": 1e-3}
    best = {f"best/{key}": value for key, value in figures.items()} | {"best/epoch": float(trial.epochs)}
    is_stopped = trial.epochs < size.epochs
    detail = f"val/miou {trial.quality:.4f} at epoch {trial.epochs} was below the cut-off {trial.quality + 0.01:.4f}"
    tags = {
        "sweep.stop_reason": "asha" if is_stopped else "max_epochs",
        "sweep.stop_detail": detail if is_stopped else "",
    }
    status = "KILLED" if is_stopped else "FINISHED"
    return {"kind": "end", "status": status, "tags": tags, "metrics": last | best, "step": trial.epochs, "note": None}


def _points(trial: MadeUpTrial, run_id: str) -> Iterator[tuple[str, float, int, str, int]]:
    keys = ["val/miou", "train/miou", "val/loss", "train/loss", "lr", "time/epoch_s", "throughput/img_s"]
    keys += [f"val/iou/{name}" for name in FIVE_CLASSES.classes] + [
        f"val/group_miou/{group}" for group in FIVE_CLASSES.group_names
    ]
    keys += [f"val/scene_miou/{slug(scene)}" for scene in SCENES]
    rng = np.random.default_rng(trial.number)
    for epoch in range(1, trial.epochs + 1):
        value = trial.quality * (1 - math.exp(-4 * epoch / trial.epochs)) + float(rng.normal(0, 0.004))
        for key in keys:
            yield key, value + 0.05 * key.startswith("train"), 1_000_000 + epoch, run_id, epoch

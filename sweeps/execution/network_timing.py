"""Times each network of a plan once, when the sweep ends, and writes latency.json.

{"version": 1, "device": str, "precision": str, "image_size": int,
 "trials": {trial id: {"parameters": int, "batch_1_ms": float, "batch_16_ms": float}}}
"""

import logging
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from bddseg.config import ModelSettings
from bddseg.device import describe, resolve_precision
from bddseg.files import write_json
from bddseg.latency import measure_latency
from sweeps.planning.plan import Plan
from sweeps.storage.latency import LATENCY

log = logging.getLogger(__name__)

FORMAT = 1
SECONDS = 60.0
"""After this time no further network is timed."""


def save_latency(
    folder: Path,
    plan: Plan,
    size_px: int,
    device: torch.device,
    *,
    first: Collection[str] = (),
    seconds: float = SECONDS,
) -> Path:
    """Write the prediction time of every network of the plan; an existing file is kept. Return its path.

    Args:
        folder: the sweep's folder.
        plan: the trials; all are timed in the precision of the first.
        size_px: width and height of the images.
        device: the device that is timed.
        first: trials whose networks are timed first.
        seconds: the time after which no further network is timed.
    """
    path = folder / LATENCY
    if path.exists():
        return path
    precision = resolve_precision(plan.trials[0].config.train.precision, device)
    timings = _time_all(plan, size_px, device, precision, first, seconds)
    name = describe(device) if device.type == "cuda" else f"{describe(device)}, one thread"
    content = {"version": FORMAT, "device": name, "precision": precision, "image_size": size_px, "trials": timings}
    write_json(path, content, indent=1)
    return path


def _time_all(
    plan: Plan, size_px: int, device: torch.device, precision: str, first: Collection[str], seconds: float
) -> dict[str, dict[str, Any]]:
    networks: dict[tuple[str, int], list[str]] = {}
    settings: dict[tuple[str, int], ModelSettings] = {}
    for trial in sorted(plan.trials, key=lambda trial: trial.trial_id not in first):
        model = trial.config.model
        networks.setdefault((model.name, model.base_filters), []).append(trial.trial_id)
        settings.setdefault((model.name, model.base_filters), model)
    deadline = time.monotonic() + seconds
    timings: dict[str, dict[str, Any]] = {}
    for number, (network, trial_ids) in enumerate(networks.items()):
        if number and time.monotonic() > deadline:
            log.info("timed %d of %d networks in %.0f s; the others are left out", number, len(networks), seconds)
            break
        latency = measure_latency(settings[network], plan.classes, size_px, device, precision)
        single, batch = latency.batch_ms
        figures = {"parameters": latency.parameters, "batch_1_ms": round(single, 3), "batch_16_ms": round(batch, 3)}
        timings |= dict.fromkeys(trial_ids, figures)
    return timings

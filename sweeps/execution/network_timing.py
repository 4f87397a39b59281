"""The networks of a plan, timed once each when the sweep ends -> latency.json.

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
"""After so long no further network is begun."""


def save_latency(
    folder: Path,
    plan: Plan,
    size_px: int,
    device: torch.device,
    *,
    first: Collection[str] = (),
    seconds: float = SECONDS,
) -> Path:
    """Write how long every network of the plan takes to predict; those of the trials in `first` are timed first.

    All are timed in the precision of the plan's first trial. A file that is there already is kept.
    """
    path = folder / LATENCY
    if path.exists():
        return path
    precision = resolve_precision(plan.trials[0].config.train.precision, device)
    found = _time_all(plan, size_px, device, precision, first, seconds)
    name = describe(device) if device.type == "cuda" else f"{describe(device)}, one thread"
    content = {"version": FORMAT, "device": name, "precision": precision, "image_size": size_px, "trials": found}
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
    found: dict[str, dict[str, Any]] = {}
    for number, (network, trial_ids) in enumerate(networks.items()):
        if number and time.monotonic() > deadline:
            log.info("timed %d of %d networks in %.0f s; the others are left out", number, len(networks), seconds)
            break
        latency = measure_latency(settings[network], size_px, device, precision)
        one, many = latency.batch_ms
        figures = {"parameters": latency.parameters, "batch_1_ms": round(one, 3), "batch_16_ms": round(many, 3)}
        found |= dict.fromkeys(trial_ids, figures)
    return found

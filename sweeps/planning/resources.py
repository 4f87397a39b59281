"""Trials per GPU, from the measured peak memory of each kind of trial, which is remembered on disk."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from bddseg.config import TrainConfig
from bddseg.errors import DeviceError
from bddseg.file_locks import locked
from bddseg.files import read_json, write_json
from bddseg.task import FIVE_CLASSES
from sweeps.planning.plan import Plan

log = logging.getLogger(__name__)

PEAKS_FILE = "peaks.json"

CONTEXT_MB = 700
"""Memory of a process on a GPU besides its tensors: CUDA's context and the libraries' kernels."""

USABLE_SHARE = 0.95
"""Share of the GPU's memory that trials may use."""

MOST_AT_ONCE = ((32, 4), (64, 2))
"""(largest base filters, most trials at a time); a wider network fills a GPU alone."""

Peaks = Mapping[str, float]
"""Kind of trial -> peak memory in MB, without the frames."""


def kind(config: TrainConfig, classes: int, device: str) -> str:
    """Return everything that a trial's memory depends on, as one line."""
    model, train = config.model, config.train
    outputs = "" if classes == len(FIVE_CLASSES.classes) else f" classes={classes}"  # as peaks were first remembered
    return (
        f"{model.name} f{model.base_filters} batch={train.batch_size} size={config.data.size} "
        f"{config.optim.name} {train.precision} augment={config.data.augment}{outputs} on {device}"
    )


def read_peaks(cache: Path) -> dict[str, float]:
    """Return the remembered peaks; none where the file is missing or damaged, so they are measured again."""
    try:
        content = read_json(cache / PEAKS_FILE)
        return {str(name): float(value) for name, value in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def remember_peaks(cache: Path, measured: Peaks) -> None:
    """Remember peaks; of two measurements of a kind the larger one stays. A failure is logged: peaks only save time."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / f"{PEAKS_FILE}.lock"):
            peaks = read_peaks(cache)
            merged = peaks | {name: max(value, peaks.get(name, 0.0)) for name, value in measured.items()}
            write_json(cache / PEAKS_FILE, dict(sorted(merged.items())), indent=1)
    except OSError as error:
        log.info("%s could not be written, so peaks are measured again: %s", cache / PEAKS_FILE, error)


def peaks_of(
    configs: Mapping[str, TrainConfig],
    classes: int,
    device: str,
    cache: Path,
    measure: Callable[[TrainConfig], float],
) -> dict[str, float]:
    """Return the peak in MB of each trial; kinds that are not remembered are measured once."""
    peaks = read_peaks(cache)
    kinds = {trial_id: kind(config, classes, device) for trial_id, config in configs.items()}
    missing = {name: configs[trial_id] for trial_id, name in kinds.items() if name not in peaks}
    measured = {name: measure(config) for name, config in missing.items()}
    if measured:
        remember_peaks(cache, measured)
    peaks |= measured
    return {trial_id: peaks[name] for trial_id, name in kinds.items()}


def trials_at_once(peak_mb: float, gpu_mb: float, base_filters: int) -> int:
    """Return how many trials of a kind share one GPU: 1, 2 or 4; 0 when not even one fits."""
    fitting = int(USABLE_SHARE * gpu_mb / (peak_mb + CONTEXT_MB))
    most = next((number for widest, number in MOST_AT_ONCE if base_filters <= widest), 1)
    return max((number for number in (1, 2, 4) if number <= min(fitting, most)), default=0)


def gpu_shares(
    plan: Plan, frames_mb: float, gpu_mb: float, device: str, cache: Path, measure: Callable[[TrainConfig], float]
) -> dict[str, float]:
    """Return the share of a GPU for each trial of a plan, from measured peaks.

    Raises:
        DeviceError: naming the first trial that does not fit on a whole GPU.
    """
    configs = {trial.trial_id: trial.config for trial in plan.trials}
    peaks = peaks_of(configs, plan.classes, device, cache, measure)
    shares: dict[str, float] = {}
    for trial in plan.trials:
        needed = peaks[trial.trial_id] + frames_mb
        at_once = trials_at_once(needed, gpu_mb, trial.config.model.base_filters)
        if not at_once:
            needs, has = (needed + CONTEXT_MB) / 1e3, gpu_mb / 1e3
            raise DeviceError(
                f"{trial.name} needs {needs:.1f} GB, but {device} has {has:.1f} GB: lower train.batch_size, "
                "data.size or model.base_filters"
            )
        shares[trial.trial_id] = 1 / at_once
    return shares


def enlarged(resources: Mapping[str, float], cores: int) -> dict[str, float] | None:
    """Return twice the share of the device, so that half as many trials share it; None where it is the whole device.

    On a GPU its share is doubled; on the CPU the number of cores that the trial reserves.
    """
    name, most = ("GPU", 1.0) if resources.get("GPU", 0) else ("CPU", float(cores))
    if resources[name] >= most:
        return None
    return {**resources, name: min(2 * resources[name], most)}

"""sweep.json: what a sweep set out to do, written before Ray starts and read by whoever reports it."""

import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bddseg.files import write_json
from sweeps.axes import record_axis
from sweeps.errors import StorageError
from sweeps.experiment import Experiment
from sweeps.plan import REPLICATE_OF, Plan, PlannedTrial, count_replicates
from sweeps.sampling import recorded_sampling

FORMAT = 1
FILE = "sweep.json"
PACKAGES = ("ray", "torch", "torchvision", "torchmetrics", "mlflow", "optuna", "numpy", "pillow")
ROOT = Path(__file__).resolve().parent.parent


def build_manifest(
    sweep_id: str, experiment: Experiment, plan: Plan, data: Mapping[str, Any], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Return everything a report needs to know about the sweep; `facts` are device, commands and the start."""
    reference = next((trial.trial_id for trial in plan.trials if trial.is_reference), "")
    return {
        "version": FORMAT,
        "sweep_id": sweep_id,
        "space": experiment.name,
        "question": experiment.question,
        "profile": experiment.profile,
        "seed": experiment.base.train.seed,
        "metric": experiment.metric,
        "scheduler": {
            "name": experiment.schedule.name,
            "grace": plan.rungs[0] if plan.rungs else plan.epochs,
            "reduction": experiment.schedule.reduction,
            "max_epochs": plan.epochs,
            "rungs": list(plan.rungs),
        },
        "axes": {key: record_axis(axis) for key, axis in experiment.axes},
        "search": experiment.sampling.to_dict() | ({"samples": plan.samples} if plan.samples else {}),
        "base": experiment.base.to_dict(),
        "grace_share": experiment.schedule.grace,
        "grid_points": plan.grid_points,
        "replicates": plan.replicates,
        "reference": reference,
        "trials": [record_trial(trial) for trial in plan.trials],
        "data": dict(data),
        "versions": versions(),
        "code_version": code_version(),
        **facts,
    }


def save_manifest(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Write sweep.json whole or not at all; return its path."""
    path = folder / FILE
    write_json(path, manifest, indent=1, durable=True)
    return path


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what `save_manifest` wrote.

    Raises:
        StorageError: when the file is missing or damaged.
    """
    path = folder / FILE
    try:
        manifest = json.loads(path.read_text())
        version = manifest["version"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StorageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is damaged'}") from error
    if version != FORMAT:
        raise StorageError(f"{path} has format {version}, but must have {FORMAT}")
    return dict(manifest)


def is_open(manifest: Mapping[str, Any]) -> bool:
    """Return whether trials of the sweep are suggested while others run."""
    return bool(manifest["axes"]) and recorded_sampling(manifest.get("search", {})).is_open


def to_come(manifest: Mapping[str, Any]) -> int:
    """Return how many trials are still to be suggested, if the space has so many points."""
    samples = recorded_sampling(manifest["search"]).samples if is_open(manifest) else 0
    return max(0, samples - len(manifest["trials"]) + _replicated(manifest))


def to_replicate(manifest: Mapping[str, Any]) -> int:
    """Return how many replicates are still to be added, if enough settings train to their end."""
    trials = len(manifest["trials"]) + to_come(manifest)
    return count_replicates(manifest.get("replicates", 0), trials, _replicated(manifest))


def _replicated(manifest: Mapping[str, Any]) -> int:
    return sum(REPLICATE_OF in trial.get("tags", {}) for trial in manifest["trials"])


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that figures depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def code_version() -> str:
    """Return the commit of the project, with `-dirty` when files differ from it; "unknown" outside git."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return f"{commit}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def record_trial(trial: PlannedTrial) -> dict[str, Any]:
    """Return a trial as the manifest holds it."""
    return {
        "trial_id": trial.trial_id,
        "name": trial.name,
        "digest": trial.digest,
        "settings": trial.settings,
        "point": dict(trial.point),
        "reference": trial.is_reference,
        **({"tags": dict(trial.tags)} if trial.tags else {}),
    }

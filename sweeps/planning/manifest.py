"""sweep.json: what a sweep set out to do, written before Ray starts and read by whoever reports it."""

import importlib.metadata
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bddseg.files import read_json, write_json
from bddseg.shapes import difference
from sweeps.axes import record_axis
from sweeps.errors import StorageError
from sweeps.experiment import Experiment
from sweeps.plan import REPLICATE_OF, Plan, PlannedTrial, count_replicates
from sweeps.sampling import recorded_sampling

FORMAT = 1
FILE = "sweep.json"
CURE = "put the file back from a copy"
PACKAGES = ("ray", "torch", "torchvision", "torchmetrics", "mlflow", "optuna", "numpy", "pillow")
ROOT = Path(__file__).resolve().parent.parent

TRIAL_ID = re.compile(r"(?=.*\w)[\w.-]+", re.ASCII)
"""Files and folders are called after trials."""

SCALAR = (str, bool, int, float, None)
AXIS = ([SCALAR], {"low": float, "high": float, "log?": bool, "step?": float})
TRIAL = {
    "trial_id": str,
    "name?": str,
    "digest?": str,
    "settings": {"train.epochs?": int, "train.keep?": str, "*": SCALAR},
    "point?": {"*": SCALAR},
    "reference?": bool,
    "tags?": {"*": str},
}
SHAPE = {
    **dict.fromkeys(("sweep_id?", "space?", "question?", "profile?", "metric?", "reference?", "code_version?"), str),
    **dict.fromkeys(("seed?", "grid_points?"), int),
    "started?": str,
    "grace_share?": float,
    "scheduler?": {"name?": str, "grace?": int, "reduction?": int, "max_epochs?": int, "rungs?": [int]},
    "axes?": {"*": AXIS},
    "search?": {"name?": str, "samples?": int, "sampler?": str, "objectives?": [str]},
    "base?": {"*": {"*": SCALAR}},
    "trials?": [TRIAL],
    "data?": {"root?": str, "embedded?": bool, "fingerprint?": str},
    "terms?": {
        "resources?": {"*": float},
        "gpu_shares?": {"*": float},
        "device?": str,
        "address?": (str, None),
        "max_concurrent?": int,
        "checkpoint_seconds?": float,
        "on_bad_sample?": str,
        **dict.fromkeys(("keep_all_weights?", "is_offline?", "is_fresh?"), bool),
    },
}
"""Of what a sweep is resumed from, as every version wrote it; one that lacks a key says so where it is needed."""


class Recorded(dict[str, Any]):
    """An object of sweep.json that names itself when a key is asked for that it does not have."""

    def __init__(self, values: Mapping[str, Any], place: str) -> None:
        super().__init__(values)
        self.place = place

    def __missing__(self, key: str) -> Any:
        """Refuse the file.

        Raises:
            StorageError: naming file and place.
        """
        raise StorageError(f"{self.place}{key} is missing: the file is damaged, or an earlier version wrote it")


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
    """Return what `save_manifest` wrote; a key that it lacks is refused when it is asked for.

    Raises:
        StorageError: when the file is missing or damaged, naming the place.
    """
    path = folder / FILE
    try:
        manifest = read_json(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise StorageError(f"{path} cannot be read: it is damaged ({error}); {CURE}") from error
    if wrong := difference(manifest, {"version": int}):
        raise StorageError(f"{path} cannot be read: it is damaged ({wrong}); {CURE}")
    if manifest["version"] != FORMAT:
        raise StorageError(f"{path} has format {manifest['version']}, but must have {FORMAT}")
    if wrong := difference(manifest, SHAPE):
        raise StorageError(f"{path} cannot be read: it is damaged ({wrong}); {CURE}")
    trial_ids = [trial["trial_id"] for trial in manifest.get("trials", [])]
    if bad := next((trial_id for trial_id in trial_ids if not TRIAL_ID.fullmatch(trial_id)), None):
        raise StorageError(f"{path} cannot be read: it is damaged (no trial can be called {bad[:80]!r}); {CURE}")
    return _recorded(manifest, f"{path}: ")


def _recorded(manifest: Mapping[str, Any], place: str) -> Recorded:
    """Return the objects of a manifest whose keys are known, each with its place."""
    whole = Recorded(manifest, place)
    for key in ("scheduler", "data", "terms"):
        if key in whole:
            whole[key] = Recorded(whole[key], f"{place}{key}.")
    if "trials" in whole:
        whole["trials"] = [_recorded_trial(trial, f"{place}trials[{i}].") for i, trial in enumerate(whole["trials"])]
    return whole


def _recorded_trial(trial: Mapping[str, Any], place: str) -> Recorded:
    return Recorded({**trial, "settings": Recorded(trial["settings"], f"{place}settings.")}, place)


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

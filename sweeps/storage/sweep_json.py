"""sweep.json in the folder of a sweep: read, checked and written."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bddseg.files import read_json, write_json
from bddseg.json_shapes import difference
from bddseg.task import FIVE_CLASSES, Task
from sweeps.errors import StorageError
from sweeps.storage.tags import REPLICATE_OF

SAMPLES = 20

SETTINGS = 2
"""Number of the best settings that get extra seeds."""

FORMAT = 1
FILE = "sweep.json"
CURE = "put the file back from a copy"
TRIAL_NAME = re.compile(r"(?=.*\w)[\w.-]+", re.ASCII)
"""Form of an id of a trial, since files and folders are named after it."""

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
    "data?": {
        "root?": str,
        "embedded?": bool,
        "fingerprint?": str,
        "dataset?": str,
        "task?": {"classes": [str], "palette": [[int]], "attribute": str, "groups": {"*": [str]}, "values?": [int]},
    },
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
"""The form of the file in every version so far; a missing key is refused where it is needed."""


class Recorded(dict[str, Any]):
    """An object of sweep.json that names its place in the file when a key is missing."""

    def __init__(self, values: Mapping[str, Any], location: str) -> None:
        super().__init__(values)
        self.location = location

    def __missing__(self, key: str) -> Any:
        """Refuse the file.

        Raises:
            StorageError: naming the file and the key.
        """
        raise StorageError(f"{self.location}{key} is missing: the file is damaged, or an earlier version wrote it")


def save_manifest(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Write sweep.json whole or not at all; return its path."""
    path = folder / FILE
    write_json(path, manifest, indent=1, durable=True)
    return path


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest that `save_manifest` wrote; a missing key is refused when it is used.

    Raises:
        StorageError: when the file is missing or damaged, naming the damage.
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
    if bad := next((trial_id for trial_id in trial_ids if not TRIAL_NAME.fullmatch(trial_id)), None):
        raise StorageError(f"{path} cannot be read: it is damaged (no trial can be called {bad[:80]!r}); {CURE}")
    return _recorded(manifest, f"{path}: ")


def _recorded(manifest: Mapping[str, Any], location: str) -> Recorded:
    """Return a manifest whose objects each name their location when a key is missing."""
    recorded = Recorded(manifest, location)
    for key in ("scheduler", "data", "terms"):
        if key in recorded:
            recorded[key] = Recorded(recorded[key], f"{location}{key}.")
    if "trials" in recorded:
        trials = enumerate(recorded["trials"])
        recorded["trials"] = [_recorded_trial(trial, f"{location}trials[{i}].") for i, trial in trials]
    return recorded


def _recorded_trial(trial: Mapping[str, Any], location: str) -> Recorded:
    return Recorded({**trial, "settings": Recorded(trial["settings"], f"{location}settings.")}, location)


def recorded_task(manifest: Mapping[str, Any]) -> Task:
    """Return the classes and groups of a sweep; records without them, or with damaged ones, are of the five classes."""
    data = manifest.get("data")
    record = data.get("task") if isinstance(data, Mapping) else None
    try:
        return Task.from_dict(record) if record else FIVE_CLASSES
    except (LookupError, TypeError, ValueError, AttributeError):
        return FIVE_CLASSES


def is_open(manifest: Mapping[str, Any]) -> bool:
    """Return whether trials of the sweep are suggested while it runs."""
    return bool(manifest["axes"]) and manifest.get("search", {}).get("name") == "optuna"


def to_come(manifest: Mapping[str, Any]) -> int:
    """Return how many trials are still to be suggested, as far as the space has so many points."""
    samples = manifest["search"].get("samples", SAMPLES) if is_open(manifest) else 0
    return max(0, samples - len(manifest["trials"]) + _replicated(manifest))


def to_replicate(manifest: Mapping[str, Any]) -> int:
    """Return how many replicates are still to be added, as far as enough trials are completed."""
    trials = len(manifest["trials"]) + to_come(manifest)
    return count_replicates(manifest.get("replicates", 0), trials, _replicated(manifest))


def _replicated(manifest: Mapping[str, Any]) -> int:
    return sum(REPLICATE_OF in trial.get("tags", {}) for trial in manifest["trials"])


def count_replicates(seeds: int, trials: int, added: int) -> int:
    """Return how many replicates are still to be added to so many trials, where `added` of them are replicates."""
    return 0 if added else seeds * min(SETTINGS, trials)

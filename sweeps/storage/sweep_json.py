"""sweep.json in the folder of a sweep: read, checked and written."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

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
    "mlflow_experiment?": str,
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
        "checkpoints?": str,
        **dict.fromkeys(("keep_all_weights?", "is_offline?", "is_fresh?"), bool),
    },
}
"""The form of the file in every version so far; a missing key is refused where it is needed."""


LEFT_OUT = ("search", "confirmation", "tags", "mlflow_experiment")
"""Fields that are not written where they are None."""


def _missing(location: str, key: str) -> StorageError:
    return StorageError(f"{location}{key} is missing: the file is damaged, or an earlier version wrote it")


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
        raise _missing(self.location, key)


class _Record:
    """An object of sweep.json as a dataclass; a field that the file lacks is refused when it is used."""

    _location = ""

    @classmethod
    def read(cls, content: Mapping[str, Any], location: str = "") -> Self:
        """Return the object with the fields that the file has, those included that only a newer version knows."""
        record = cls.__new__(cls)
        vars(record).update(content, _location=location)
        return record

    def changed(self, **changes: Any) -> Self:
        """Return the object with some fields changed."""
        return self.read({**vars(self), **changes}, self._location)

    def to_json(self) -> dict[str, Any]:
        """Return the object as the file has it."""
        without = {"_location", *(key for key in LEFT_OUT if vars(self).get(key) is None)}
        return {key: value for key, value in vars(self).items() if key not in without}

    if not TYPE_CHECKING:  # a type checker would take every name for a field

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            raise _missing(self._location, name)


@dataclass(frozen=True, kw_only=True)
class TrialRecord(_Record):
    """A trial as it was planned."""

    trial_id: str
    name: str
    digest: str
    """Of its configuration."""
    settings: Mapping[str, Any]
    point: Mapping[str, Any]
    """Value on each axis."""
    reference: bool
    tags: Mapping[str, str] | None = None
    """Additional tags of its run."""

    @property
    def epochs(self) -> int:
        """Return the budget of the trial."""
        return int(self.settings["train.epochs"])


@dataclass(frozen=True, kw_only=True)
class Manifest(_Record):
    """The content of sweep.json: what was planned, on which data, and how to repeat it. Fields are in its order."""

    version: int = FORMAT
    sweep_id: str
    space: str
    question: str
    profile: str
    seed: int
    metric: str
    scheduler: Mapping[str, Any]
    """name, grace, reduction, max_epochs and rungs."""
    axes: Mapping[str, Any]
    search: Mapping[str, Any] | None = None
    base: Mapping[str, Mapping[str, Any]]
    """All settings before the axes vary some."""
    grace_share: float
    grid_points: int
    replicates: int = 0
    reference: str
    """Id of the reference; "" without one."""
    trials: tuple[TrialRecord, ...]
    data: Mapping[str, Any]
    """Facts about the dataset: root, embedded, fingerprint, sizes."""
    versions: Mapping[str, str]
    """Of Python and of the packages that figures depend on."""
    code_version: str
    device: str = ""
    precision: str = ""
    tracking_uri: str = ""
    mlflow_experiment: str | None = None
    """None in records of earlier versions, which knew one experiment."""
    command: str = ""
    report_command: str = ""
    started: str = ""
    """ISO 8601 in UTC."""
    terms: Mapping[str, Any] = field(default_factory=dict)
    """Settings besides the experiment that a resumed sweep keeps."""
    confirmation: Mapping[str, Any] | None = None
    """Of a confirmation: the screening, its finalists and looks."""

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        content = super().to_json()
        return content | ({"trials": [trial.to_json() for trial in self.trials]} if "trials" in content else {})

    @property
    def task(self) -> Task:
        """Return the classes and groups of the sweep."""
        return recorded_task(vars(self))

    @property
    def is_open(self) -> bool:
        """Return whether trials of the sweep are suggested while it runs."""
        return bool(self.axes) and (self.search or {}).get("name") == "optuna"

    @property
    def to_come(self) -> int:
        """Return how many trials are still to be suggested, as far as the space has so many points."""
        samples = (self.search or {}).get("samples", SAMPLES) if self.is_open else 0
        return max(0, samples - len(self.trials) + self._replicated)

    @property
    def to_replicate(self) -> int:
        """Return how many replicates are still to be added, as far as enough trials are completed."""
        return count_replicates(self.replicates, len(self.trials) + self.to_come, self._replicated)

    @property
    def _replicated(self) -> int:
        return sum(REPLICATE_OF in (trial.tags or {}) for trial in self.trials)


def save_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write sweep.json whole or not at all; return its path."""
    path = folder / FILE
    write_json(path, manifest.to_json(), indent=1, durable=True)
    return path


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest that `save_manifest` wrote; a missing key is refused when it is used.

    Raises:
        StorageError: when the file is missing or damaged, naming the damage.
    """
    path = folder / FILE
    try:
        content = read_json(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise StorageError(f"{path} cannot be read: it is damaged ({error}); {CURE}") from error
    if wrong := difference(content, {"version": int}):
        raise StorageError(f"{path} cannot be read: it is damaged ({wrong}); {CURE}")
    if content["version"] != FORMAT:
        raise StorageError(f"{path} has format {content['version']}, but must have {FORMAT}")
    if wrong := difference(content, SHAPE):
        raise StorageError(f"{path} cannot be read: it is damaged ({wrong}); {CURE}")
    trial_ids = [trial["trial_id"] for trial in content.get("trials", [])]
    if bad := next((trial_id for trial_id in trial_ids if not TRIAL_NAME.fullmatch(trial_id)), None):
        raise StorageError(f"{path} cannot be read: it is damaged (no trial can be called {bad[:80]!r}); {CURE}")
    return _manifest(content, f"{path}: ")


def _manifest(content: dict[str, Any], location: str) -> Manifest:
    for key in ("scheduler", "data", "terms"):
        if key in content:
            content[key] = Recorded(content[key], f"{location}{key}.")
    if "trials" in content:
        content["trials"] = tuple(_trial(trial, f"{location}trials[{i}].") for i, trial in enumerate(content["trials"]))
    return Manifest.read(content, location)


def _trial(content: Mapping[str, Any], location: str) -> TrialRecord:
    settings = Recorded(content["settings"], f"{location}settings.")
    return TrialRecord.read({**content, "settings": settings}, location)


def read_tracking_uri(folder: Path) -> str | None:
    """Return the tracking store that sweep.json notes; None where it notes none, or is damaged."""
    try:
        noted = read_json(folder / FILE).get("tracking_uri")
    except (OSError, ValueError, AttributeError):
        return None
    return noted if isinstance(noted, str) else None


def read_mlflow_experiment(folder: Path) -> str | None:
    """Return the MLflow experiment that sweep.json notes; None where it notes none, or is damaged."""
    try:
        noted = read_json(folder / FILE).get("mlflow_experiment")
    except (OSError, ValueError, AttributeError):
        return None
    return noted if isinstance(noted, str) and noted else None


def recorded_task(manifest: Mapping[str, Any]) -> Task:
    """Return the classes and groups of a sweep; records without them, or with damaged ones, are of the five classes."""
    data = manifest.get("data")
    record = data.get("task") if isinstance(data, Mapping) else None
    try:
        return Task.from_dict(record) if record else FIVE_CLASSES
    except (LookupError, TypeError, ValueError, AttributeError):
        return FIVE_CLASSES


def count_replicates(seeds: int, trials: int, added: int) -> int:
    """Return how many replicates are still to be added to so many trials, where `added` of them are replicates."""
    return 0 if added else seeds * min(SETTINGS, trials)

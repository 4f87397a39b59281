"""The settings of a sweep, its result, and the metadata that its manifest and its MLflow runs record."""

import getpass
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bddseg.device import describe, resolve_device
from sweeps.execution.progress import TrialTable
from sweeps.planning.axes import Axis, Range
from sweeps.planning.confirmation import Confirmation
from sweeps.planning.dataset import Dataset
from sweeps.planning.experiment import Experiment
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.storage.event_file import Refused
from sweeps.storage.heartbeat import this_pulse
from sweeps.storage.sweep_json import Manifest
from sweeps.storage.tags import CODE_VERSION, CONFIRMS, DRIVER, FINGERPRINT, FOLDER, PROFILE, REPLICATE_OF, SPACE
from sweeps.tracking.client import EXPERIMENT
from sweeps.tracking.uri import portable_uri
from sweeps.version import is_commit

SHOWN = ("space", "profile", "question", "seed", "metric", "reference", "device", "precision")
"""Entries of the manifest that are parameters of the sweep's run."""


@dataclass(frozen=True)
class SweepSpec:
    """The settings of a sweep."""

    experiment: Experiment
    """The search space with its settings."""
    plan: Plan
    """The trials at the start; a running sweep adds to a `GrowingPlan`."""
    material: Dataset
    """The frames and their split."""
    storage: Path
    """Folder of all sweeps."""
    tracking_uri: str
    """Address of MLflow's store."""
    resources: dict[str, float]
    """CPU and GPU of one trial."""
    mlflow_experiment: str = EXPERIMENT
    """MLflow's experiment in which the sweep is recorded."""
    gpu_shares: Mapping[str, float] = field(default_factory=dict)
    """Trial -> GPU share, where trials of different sizes share a GPU differently."""
    device: str = "cpu"
    """Device of the trials: auto, cpu or cuda."""
    address: str | None = None
    """Ray cluster to join; None starts a Ray on this machine."""
    wait_seconds: float = 0.0
    """How long to wait for a first node of a cluster that can run a trial."""
    device_name: str = ""
    """What the nodes of a cluster train on."""
    max_concurrent: int = 0
    """Maximum number of trials in parallel; 0 is as many as fit."""
    keep_all_weights: bool = False
    """Keep the weights of every trial, not only those of the finalists."""
    checkpoint_seconds: float = 30.0
    """Seconds of work that a lost process may cost: checkpoints are this far apart, and at rungs and at the end."""
    max_failures: int = 1
    """Retries of a trial that fails; the loss of its node is not its failure."""
    reopens_failed: bool = False
    """A resume continues trials that failed, too."""
    checkpoints: str = ""
    """Address in an object store below which the checkpoints are written; "" for the sweep's folder."""
    dashboard: bool = False
    """Start Ray's dashboard."""
    is_quiet: bool = False
    """Show no live view."""
    is_offline: bool = False
    """Send nothing to MLflow; events stay in the outbox."""
    on_bad_sample: str = "fail"
    """Reaction to a damaged image or mask: fail or skip."""
    is_fresh: bool = False
    """Train every trial, even if another sweep has trained it."""
    command: str = ""
    """The command line that started the sweep."""
    report_command: str = "python report.py"
    """Start of the command that reports on the sweep."""
    tune_command: str = "python tune_main.py"
    """Start of the commands with --sync, --resume and --confirm; it includes the storage."""
    confirmation: Confirmation | None = None
    """The screening that this sweep confirms; experiment and plan are its own."""

    @property
    def title(self) -> str:
        """Return the first part of the sweep's id."""
        return f"{self.experiment.name}-confirm" if self.confirmation else self.experiment.name

    @property
    def reuses_processes(self) -> bool:
        """Whether trials share processes; with a dashboard each has a process that carries its name."""
        return not self.dashboard

    @property
    def needs_shared_folder(self) -> bool:
        """Whether every node must see the sweep's folder; with an object store only the driver's must."""
        return not self.checkpoints

    def resources_of(self, trial: PlannedTrial) -> dict[str, float]:
        """Return the CPU and GPU of one trial; a replicate has those of its original."""
        share = self.gpu_shares.get(trial.trial_id) or self.gpu_shares.get(trial.tags.get(REPLICATE_OF, ""))
        return self.resources | ({"GPU": share} if share else {})

    def terms(self) -> dict[str, Any]:
        """Return the settings besides the experiment that a resumed sweep keeps, as plain values."""
        return {
            "resources": dict(self.resources),
            "gpu_shares": dict(self.gpu_shares),
            "device": self.device,
            "address": self.address,
            "max_concurrent": self.max_concurrent,
            "max_failures": self.max_failures,
            "keep_all_weights": self.keep_all_weights,
            "checkpoint_seconds": self.checkpoint_seconds,
            "checkpoints": self.checkpoints,
            "is_offline": self.is_offline,
            "on_bad_sample": self.on_bad_sample,
            "is_fresh": self.is_fresh,
        }


@dataclass(frozen=True)
class SweepResult:
    """The result of a sweep."""

    sweep_id: str
    folder: Path
    board: TrialTable
    undelivered: int
    """Number of events that MLflow lacks."""
    signal_number: int
    """The signal that ended it early; 0 when it ran to its end."""
    report_command: str
    tune_command: str
    weighs_cost: bool = False
    """The search had cost as a second objective."""
    rejects: list[Refused] = field(default_factory=list)
    """Events that MLflow refused, with the reason."""
    is_offline: bool = False
    """The sweep ran without MLflow."""
    runs_page: str = ""
    """Address of MLflow's page of all runs; empty for a database."""

    @property
    def is_interrupted(self) -> bool:
        return self.signal_number != 0

    @property
    def sync_command(self) -> str:
        return f"{self.tune_command} --sync {self.sweep_id}"

    @property
    def resume_command(self) -> str:
        return f"{self.tune_command} --resume {self.sweep_id}"

    @property
    def confirm_command(self) -> str:
        return f"{self.tune_command} --confirm {self.sweep_id}"

    @property
    def exit_code(self) -> int:
        """Return 0; 1 without a scored trial or with events that MLflow lacks; 128 + signal after an interrupt."""
        if self.is_interrupted:
            return 128 + self.signal_number
        lacks = not self.is_offline and bool(self.undelivered or self.rejects)
        return 0 if self.board.best() and not lacks else 1


def facts(spec: SweepSpec) -> dict[str, Any]:
    """Return where and how the sweep runs and how to repeat it, without passwords."""
    return {
        "device": _device_words(spec),
        "precision": spec.plan.trials[0].config.train.precision,
        "tracking_uri": portable_uri(spec.tracking_uri, spec.storage),
        "mlflow_experiment": spec.mlflow_experiment,
        "command": spec.command,
        "report_command": spec.report_command,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "terms": spec.terms(),
        **({"confirmation": spec.confirmation.to_dict()} if spec.confirmation else {}),
    }


def _device_words(spec: SweepSpec) -> str:
    if spec.address is None:
        return describe(resolve_device(spec.device))
    return f"cluster {spec.address}" + (f" ({spec.device_name})" if spec.device_name else "")


def params(spec: SweepSpec, manifest: Manifest) -> dict[str, Any]:
    """Return the parameters of the sweep's run: search space, search method, scheduler and number of trials."""
    schedule = {f"scheduler.{key}": str(value) for key, value in manifest.scheduler.items()}
    search = {f"search.{key}": str(value) for key, value in (manifest.search or {}).items()}
    axes = {f"axis.{key}": _axis_words(axis) for key, axis in spec.experiment.axes}
    trials = {"trials": len(spec.plan.trials) + spec.plan.to_follow}
    return {key: getattr(manifest, key) for key in SHOWN} | schedule | search | axes | trials


def run_tags(manifest: Manifest) -> dict[str, str]:
    """Return the tags of the sweep's run and of every trial's run."""
    version = manifest.code_version
    commit = {"mlflow.source.git.commit": version} if is_commit(version) else {}
    return {**_source_tags(), FINGERPRINT: manifest.data["fingerprint"], CODE_VERSION: version, **commit}


def sweep_tags(spec: SweepSpec, manifest: Manifest, folder: Path) -> dict[str, str]:
    """Return the tags of the sweep's run."""
    data = manifest.data
    return {
        **run_tags(manifest),
        **({CONFIRMS: spec.confirmation.screening} if spec.confirmation else {}),
        SPACE: spec.experiment.name,
        PROFILE: spec.experiment.profile,
        FOLDER: str(folder),
        DRIVER: this_pulse().driver,
        "data.root": data["root"],
        "data.embedded": str(data["embedded"]).lower(),
    }


def _axis_words(axis: Axis) -> str:
    return str(axis if isinstance(axis, Range) else list(axis))


def _source_tags() -> dict[str, str]:
    """Return program and user in the tags that MLflow's pages show."""
    tags = {"mlflow.source.name": Path(sys.argv[0]).name or "python", "mlflow.source.type": "LOCAL"}
    try:
        return {**tags, "mlflow.user": getpass.getuser()}
    except (KeyError, OSError):  # a container's user may have no name
        return tags

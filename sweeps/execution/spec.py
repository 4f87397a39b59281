"""What is asked of a sweep, and what it came to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweeps.execution.progress import TrialTable
from sweeps.planning.confirmation import Confirmation
from sweeps.planning.dataset import Dataset
from sweeps.planning.experiment import Experiment
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.storage.tags import REPLICATE_OF


@dataclass(frozen=True)
class SweepSpec:
    """Everything that decides how a sweep runs."""

    experiment: Experiment
    plan: Plan
    material: Dataset
    storage: Path
    tracking_uri: str
    resources: dict[str, float]
    """Of one trial: CPU and GPU."""
    gpu_shares: Mapping[str, float] = field(default_factory=dict)
    """Trial -> GPU, where trials of different sizes share a GPU differently."""
    device: str = "cpu"
    address: str | None = None
    max_concurrent: int = 0
    keep_all_weights: bool = False
    checkpoint_seconds: float = 30.0
    """A running trial's state is saved so often, at its rungs and at its end: what a lost process costs at most."""
    dashboard: bool = False
    is_quiet: bool = False
    is_offline: bool = False
    """Nothing is sent to MLflow: everything waits in the outbox."""
    on_bad_sample: str = "fail"
    """What is done with a damaged image or mask: fail or skip."""
    is_fresh: bool = False
    """Trials that were trained before are trained again."""
    command: str = ""
    report_command: str = "python report.py"
    tune_command: str = "python tune_main.py"
    """With what names the storage; --sync, --resume and --confirm are printed behind it."""
    confirmation: Confirmation | None = None
    """What this sweep confirms; experiment and plan are its own."""

    @property
    def title(self) -> str:
        """Return how the sweep's id begins."""
        return f"{self.experiment.name}-confirm" if self.confirmation else self.experiment.name

    @property
    def reuses_processes(self) -> bool:
        """Whether trials follow each other in one process; one shown in Ray's dashboard has its own, with its name."""
        return not self.dashboard

    def resources_of(self, trial: PlannedTrial) -> dict[str, float]:
        """Return the CPU and GPU of one trial; a replicate takes what its original took."""
        share = self.gpu_shares.get(trial.trial_id) or self.gpu_shares.get(trial.tags.get(REPLICATE_OF, ""))
        return self.resources | ({"GPU": share} if share else {})

    def terms(self) -> dict[str, Any]:
        """Return what a resumed sweep needs to know besides the experiment, as plain values."""
        return {
            "resources": dict(self.resources),
            "gpu_shares": dict(self.gpu_shares),
            "device": self.device,
            "address": self.address,
            "max_concurrent": self.max_concurrent,
            "keep_all_weights": self.keep_all_weights,
            "checkpoint_seconds": self.checkpoint_seconds,
            "is_offline": self.is_offline,
            "on_bad_sample": self.on_bad_sample,
            "is_fresh": self.is_fresh,
        }


@dataclass(frozen=True)
class SweepResult:
    """What a sweep came to."""

    sweep_id: str
    folder: Path
    board: TrialTable
    undelivered: int
    """Events that MLflow does not have yet."""
    signal_number: int
    """The signal that ended it early; 0 when it ran to its end."""
    report_command: str
    tune_command: str
    weighs_cost: bool = False
    """Accuracy was weighed against cost."""
    rejects: list[dict[str, Any]] = field(default_factory=list)
    """Events that were put aside, with the reason."""
    is_offline: bool = False
    """Nothing was to be sent to MLflow."""

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
        """0 fine, 1 no trial gave a figure or MLflow lacks some, 128 + signal when interrupted."""
        if self.is_interrupted:
            return 128 + self.signal_number
        lacks = not self.is_offline and bool(self.undelivered or self.rejects)
        return 0 if self.board.best() and not lacks else 1

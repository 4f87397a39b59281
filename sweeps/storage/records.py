"""Recorded sweeps and trials, as typed rows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweeps.storage.outcomes import OWN_ENDS, RunStatus

Value = str | int | float | bool

IDENTITY = re.compile(r"[\w.-]+", re.ASCII)
"""Ids of sweeps and trials: nothing that has a meaning in a query or a path."""


@dataclass(frozen=True)
class TrialRow:
    """One trial as it was recorded."""

    trial_id: str
    run_id: str
    name: str
    status: str
    stop_reason: str
    stop_detail: str
    log_file: str
    settings: dict[str, Value]
    metrics: dict[str, float]
    """The last value of each; NaN where there was nothing to measure."""
    digest: str
    is_reference: bool
    started_ms: int | None
    ended_ms: int | None
    """None while it is running."""
    finalist: str = ""
    """In a confirmation, the trial of the screening sweep that this is a run of."""
    artifact_uri: str = ""
    setting: str = ""
    """Equal for all seeds of a setting under one epoch budget, in every sweep; empty in records of earlier versions."""

    @property
    def is_completed(self) -> bool:
        """Return whether it trained to its own end: neither stopped, nor interrupted, nor failed, nor running."""
        return self.stop_reason in OWN_ENDS or (not self.stop_reason and self.status == RunStatus.FINISHED)


@dataclass(frozen=True)
class Repeat:
    """A completed trial of another sweep: one more seed of a setting."""

    sweep_id: str
    row: TrialRow


@dataclass(frozen=True)
class SweepRecord:
    """One sweep as it was recorded."""

    sweep_id: str
    run_id: str
    status: str
    manifest: Mapping[str, Any]
    """The content of sweep.json as MLflow has it, unchecked: anyone may have written it; empty when not delivered."""
    tags: dict[str, str]
    trials: tuple[TrialRow, ...]
    """Started trials, in plan order."""

    @property
    def data(self) -> Mapping[str, Any]:
        """Return the facts about the dataset; none where the manifest has none."""
        data = self.manifest.get("data")
        return data if isinstance(data, Mapping) else {}


def planned_settings(manifest: Mapping[str, Any]) -> dict[str, dict[str, Value]]:
    """Return trial id -> settings, in plan order, as far as the manifest has them in the expected form."""
    trials = manifest.get("trials")
    planned: dict[str, dict[str, Value]] = {}
    for trial in trials if isinstance(trials, list) else []:
        settings = trial.get("settings") if isinstance(trial, dict) else None
        if isinstance(settings, dict) and isinstance(trial.get("trial_id"), str):
            planned[trial["trial_id"]] = {key: value for key, value in settings.items() if isinstance(value, Value)}
    return planned


def finalist_name(run: str) -> str:
    """Return the name of the finalist of a run, from the name of the run."""
    return run.rpartition(" run ")[0] or run

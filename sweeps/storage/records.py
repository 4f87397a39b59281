"""A sweep and its trials as they were recorded, in typed rows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.entities import Run

Value = str | int | float | bool
COMPLETED = ("max_epochs", "plateau")
"""Stop reasons of trials that trained to an end of their own: the budget, or no better epoch for `train.patience`."""

IDENTITY = re.compile(r"[\w.-]+", re.ASCII)
"""Ids of sweeps and trials; nothing that has a meaning in a query or a path."""


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
    """None while it runs."""
    finalist: str = ""
    """In a confirmation, the trial of the screening sweep that this is a run of."""
    artifact_uri: str = ""
    setting: str = ""
    """Equal for all seeds of a setting under one epoch budget, in every sweep; empty in records of before."""

    @property
    def is_completed(self) -> bool:
        """Return whether it trained to an end of its own: neither stopped, nor interrupted, nor failed, nor running."""
        return self.stop_reason in COMPLETED or (not self.stop_reason and self.status == "FINISHED")


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
    manifest: dict[str, Any]
    """What the sweep set out to do; empty when it was not delivered."""
    tags: dict[str, str]
    trials: tuple[TrialRow, ...]
    """Those that were started, in plan order."""


def trial_row(run: "Run", settings: Mapping[str, Value] | None) -> TrialRow:
    """Return what a run of MLflow says of a trial; its settings are those planned, or else its parameters."""
    tags = run.data.tags
    return TrialRow(
        trial_id=tags["sweep.trial_id"],
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        status=run.info.status,
        stop_reason=tags.get("sweep.stop_reason", ""),
        stop_detail=tags.get("sweep.stop_detail", ""),
        log_file=tags.get("sweep.log_file", ""),
        settings=dict(settings) if settings else {key: _typed(text) for key, text in run.data.params.items()},
        metrics=dict(run.data.metrics),
        digest=tags.get("sweep.config_digest", ""),
        is_reference=tags.get("sweep.reference") == "true",
        started_ms=run.info.start_time,
        ended_ms=run.info.end_time if run.info.status != "RUNNING" else None,  # a resumed run keeps its first end
        finalist=tags.get("sweep.finalist", ""),
        artifact_uri=run.info.artifact_uri or "",
        setting=tags.get("sweep.setting", ""),
    )


def planned_settings(manifest: Mapping[str, Any]) -> dict[str, dict[str, Value]]:
    """Return trial id -> settings, in plan order, as far as the manifest has them in the known form."""
    trials = manifest.get("trials")
    found: dict[str, dict[str, Value]] = {}
    for trial in trials if isinstance(trials, list) else []:
        settings = trial.get("settings") if isinstance(trial, dict) else None
        if isinstance(settings, dict) and isinstance(trial.get("trial_id"), str):
            found[trial["trial_id"]] = {key: value for key, value in settings.items() if isinstance(value, Value)}
    return found


def _typed(text: str) -> Value:
    """Return a parameter, which MLflow keeps as text, as the value it was."""
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

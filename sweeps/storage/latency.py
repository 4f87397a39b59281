"""latency.json -> how large and how fast each trial's network is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sweeps.sanitize import clean_all, figure, whole

LATENCY = "latency.json"
"""Artifact of the sweep's run."""


@dataclass(frozen=True)
class TrialLatency:
    """How large and how fast a trial's network is; None where that was not measured."""

    parameters: int | None
    batch_1_ms: float | None
    batch_16_ms: float | None


UNKNOWN = TrialLatency(None, None, None)


@dataclass(frozen=True)
class NetworkTimings:
    """What was measured of the networks when the sweep ended."""

    device: str = ""
    precision: str = ""
    trials: Mapping[str, TrialLatency] = field(default_factory=dict)
    """By trial id; empty where nothing was measured."""

    def of(self, trial_id: str) -> TrialLatency:
        """Return what is known of a trial's network."""
        return self.trials.get(trial_id, UNKNOWN)


def parse_timings(found: Mapping[str, Any] | None) -> NetworkTimings:
    """Return what the artifact says; what is no number there is None."""
    facts = clean_all(found or {})
    trials = facts.get("trials")
    rows = {key: row for key, row in trials.items() if isinstance(row, dict)} if isinstance(trials, dict) else {}
    return NetworkTimings(
        device=str(facts.get("device", "")),
        precision=str(facts.get("precision", "")),
        trials={key: _latency(row) for key, row in rows.items()},
    )


def _latency(row: Mapping[str, Any]) -> TrialLatency:
    parameters = whole(row.get("parameters")) or None
    return TrialLatency(parameters, figure(row.get("batch_1_ms")), figure(row.get("batch_16_ms")))

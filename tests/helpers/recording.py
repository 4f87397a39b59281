"""Shared by the tests of recording: events, delivery to a real store, and its content."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sweeps.storage.events import Artifact, End, Epoch, Event, Start
from sweeps.storage.outbox import Outbox
from sweeps.tracking.client import EXPERIMENT, open_client
from sweeps.tracking.delivery import Delivery

SWEEP = "smoke-20261123-034501-3f2a"
REFUSED = "http://127.0.0.1:9"
"""The discard port: nobody listens there."""


def start(trial: str = "a", time_ms: int = 1000, params: Mapping[str, Any] | None = None) -> Start:
    name = f"trial {trial}" if trial else "the sweep"
    tags = {"sweep.id": SWEEP, "code.version": "abc"}
    return Start(trial, name, dict(params or {}), tags, time_ms=time_ms)


def epoch(step: int, value: float | None = 0.5, trial: str = "a", time_ms: int = 0, name: str = "val/miou") -> Epoch:
    return Epoch(trial, step, {name: value}, time_ms=time_ms or 1000 + step)


def end(
    status: str = "FINISHED", trial: str = "a", note: str | None = None, metrics: Mapping[str, float] | None = None
) -> End:
    return End(trial, status, {"sweep.stop_reason": "max_epochs"}, dict(metrics or {}), 2, note, time_ms=9000)


def artifact(path: Path, trial: str = "a", folder: str = "") -> Artifact:
    return Artifact(trial, path, folder, time_ms=5000)


def append_line(outbox: Outbox, content: Mapping[str, Any]) -> None:
    """Append a line that this version does not write."""
    with outbox.path.open("a") as file:
        file.write(json.dumps(content, separators=(",", ":")) + "\n")


def delivered(outbox: Outbox, uri: str, *events: Event | dict[str, Any]) -> Delivery:
    """Deliver events, and lines that this version does not write."""
    for event in events:
        append_line(outbox, event) if isinstance(event, dict) else outbox.append(event)
    delivery = Delivery(outbox, uri, SWEEP)
    while delivery.deliver_some():
        pass
    return delivery


def runs(uri: str) -> dict[str, Any]:
    """Return every run of the store by trial; "" is the parent."""
    client = open_client(uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    by_trial = {run.data.tags.get("sweep.trial_id", ""): run for run in runs}
    assert len(by_trial) == len(runs), "a trial has two runs"
    return by_trial


def history(uri: str, trial: str = "a", key: str = "val/miou") -> list[tuple[int, int, float]]:
    points = open_client(uri).get_metric_history(runs(uri)[trial].info.run_id, key)
    return sorted((point.step, point.timestamp, point.value) for point in points)


def rejects(outbox: Outbox) -> list[dict[str, Any]]:
    path = outbox.folder / "outbox.rejected.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False

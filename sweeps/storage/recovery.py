"""Sweeps whose driver was lost: found by their heartbeat, closed through their outbox, opened again by a resume."""

import time
from pathlib import Path
from typing import Any

from sweeps.errors import StorageError
from sweeps.storage.events import OUTBOX, PARENT, Event, EventFile
from sweeps.storage.heartbeat import HeartbeatRecord, read_pulse, remove_pulse
from sweeps.storage.outbox import Outbox
from sweeps.storage.outcomes import RunStatus, StopReason
from sweeps.storage.tags import STOP_DETAIL, STOP_REASON


def lost_driver(folder: Path) -> HeartbeatRecord | None:
    """Return the last heartbeat of a sweep whose driver is dead; None when it lives, or ended by itself."""
    pulse = read_pulse(folder)
    return None if pulse is None or pulse.is_alive() else pulse


def close_lost(folder: Path, outbox: Outbox) -> int:
    """Write the ends of the runs that a dead driver left open into its sweep's outbox; return how many.

    The outbox must be claimed: a driver that lives holds it, whatever its heartbeat looks like.
    """
    pulse = lost_driver(folder)
    if pulse is None:
        return 0
    found = runs_left_open(outbox)
    for trial, step in sorted(found.items(), key=lambda run: run[0] == PARENT):
        outbox.append(_end(trial, step, pulse))
    remove_pulse(folder)
    return len(found)


def runs_left_open(outbox: EventFile) -> dict[str, int]:
    """Return the runs that were started and have not ended, with their last epoch."""
    found: dict[str, int] = {}
    for event in outbox.events(epochs=False):
        trial = str(event.get("trial"))
        if event.get("kind") == "start":
            found.setdefault(trial, 0)
        elif event.get("kind") == "end":
            found.pop(trial, None)
    for event in outbox.events(found):
        if event.get("kind") == "epoch" and isinstance(event.get("step"), int):
            found[event["trial"]] = event["step"]
    return found


def reopen(outbox: Outbox) -> int:
    """Start again what was closed because its driver was lost, and the sweep's own run; return how many.

    For a sweep that is resumed: its runs are RUNNING once more, and say nothing about an end.
    """
    closed = {PARENT, *_lost_runs(outbox)}
    for trial in sorted(closed):
        outbox.append(_event("start", trial, params={}, tags={}))
    return len(closed)


def claim_and_close(folder: Path, *, is_strict: bool = False) -> int:
    """Close what a dead driver left open in a sweep's folder; return how many runs.

    Raises:
        StorageError: with `is_strict`, where another process delivers the sweep, or it cannot be written to; otherwise
            such a sweep is left as it is.
    """
    try:
        if lost_driver(folder) is None:
            return 0
        outbox = Outbox(folder / OUTBOX)
        with outbox.claimed():
            return close_lost(folder, outbox)
    except StorageError:
        if is_strict:
            raise
        return 0


def _lost_runs(outbox: EventFile) -> set[str]:
    found: set[str] = set()
    for event in outbox.events(epochs=False):
        trial = str(event.get("trial"))
        if event.get("kind") == "start":
            found.discard(trial)
        elif event.get("kind") == "end" and event.get("tags", {}).get(STOP_REASON) == StopReason.DRIVER_LOST:
            found.add(trial)
    return found


def _end(trial: str, step: int, pulse: HeartbeatRecord) -> Event:
    """Return the end of a run at the moment when its driver was heard of last."""
    tags = {STOP_REASON: StopReason.DRIVER_LOST, STOP_DETAIL: f"{pulse.driver} ended without a word"}
    end = _event("end", trial, status=RunStatus.KILLED, tags=tags, metrics={}, step=step, note=None)
    return end | {"time_ms": int(pulse.time * 1000)} if pulse.time else end


def _event(kind: str, trial: str, **fields: Any) -> Event:
    return {"kind": kind, "trial": trial, "time_ms": int(time.time() * 1000), **fields}

"""Recovery of sweeps whose driver was lost: their runs are closed through the outbox, and reopened by a resume."""

from pathlib import Path

from bddseg.data.folders import is_there
from sweeps.errors import FencedError, StorageError
from sweeps.storage.attempts import take_number
from sweeps.storage.event_file import OUTBOX, EventFile
from sweeps.storage.events import PARENT, End, Start, now_ms
from sweeps.storage.heartbeat import HeartbeatRecord, read_pulse, remove_pulse
from sweeps.storage.outbox import Outbox
from sweeps.storage.outcomes import FAILURES, RunStatus, StopReason
from sweeps.storage.sweep_json import FILE
from sweeps.storage.tags import STOP_DETAIL, STOP_REASON
from sweeps.storage.trial_history import read_runs


def lost_driver(folder: Path) -> HeartbeatRecord | None:
    """Return the last heartbeat of a sweep whose driver is dead; None when it is alive, or ended properly.

    A driver on another machine counts as alive: only `is_silent` can tell, and takes up to a minute.
    """
    pulse = read_pulse(folder)
    return None if pulse is None or pulse.is_alive() else pulse


def is_begun(folder: Path) -> bool:
    """Return whether a sweep has recorded its start, or has checkpoints; otherwise nothing of it can be continued."""
    if not is_there(folder / FILE):
        return False
    run = read_runs(EventFile(folder / OUTBOX).events(epochs=False)).get(PARENT)
    return (run is not None and run.is_started) or any(folder.glob("pass-*/*/checkpoint_*"))


def close_lost(folder: Path, outbox: Outbox, pulse: HeartbeatRecord | None = None) -> int:
    """Append the ends of the runs that a dead driver left open; return how many.

    The outbox must be claimed: a driver that is alive holds it, whatever its heartbeat looks like. A number is taken,
    so that a driver on another machine that was only cut off ends when it is back.

    Args:
        folder: of the sweep.
        outbox: its events.
        pulse: the last heartbeat of a driver that is known to be silent.
    """
    pulse = pulse or lost_driver(folder)
    if pulse is None:
        return 0
    outbox.attempt = take_number(folder)  # and a process that resumes the sweep meanwhile ends the closing
    open_runs = runs_left_open(outbox)
    for trial, step in sorted(open_runs.items(), key=lambda run: run[0] == PARENT):
        outbox.append(_end(trial, step, pulse))
    remove_pulse(folder)
    return len(open_runs)


def runs_left_open(outbox: EventFile) -> dict[str, int]:
    """Return the runs that were started and have not ended, with their last epoch."""
    runs = read_runs(outbox.events(epochs=False))
    open_ids = [trial_id for trial_id, run in runs.items() if run.is_started and not run.status]
    epochs = read_runs(outbox.events(open_ids))  # only now their epochs, which cost ten times as much to read
    return {trial_id: epochs[trial_id].epochs for trial_id in open_ids}


def reopen(outbox: Outbox, *, with_failed: bool = False) -> int:
    """Restart the runs that were closed because their driver was lost, and the sweep's own run; return how many.

    For a sweep that is resumed: its runs are RUNNING again, without tags of an end.

    Args:
        outbox: of the sweep.
        with_failed: restart trials that failed, too.
    """
    runs = read_runs(outbox.events(epochs=False))
    reasons = {StopReason.DRIVER_LOST, *(FAILURES if with_failed else ())}
    closed = {PARENT, *(trial_id for trial_id, run in runs.items() if run.reason in reasons)}
    for trial in sorted(closed):
        outbox.append(Start(trial))
    return len(closed)


def claim_and_close(folder: Path, *, is_strict: bool = False) -> int:
    """Close the runs that a dead driver left open in a sweep's folder; return how many.

    Raises:
        StorageError: with `is_strict`, where another process delivers the sweep, or its folder cannot be written;
            otherwise such a sweep stays as it is.
        FencedError: with `is_strict`, where another process resumes it meanwhile.
    """
    try:
        pulse = read_pulse(folder) if is_strict else lost_driver(folder)
        if pulse is None:
            return 0
        outbox = Outbox(folder / OUTBOX)
        with outbox.claimed():
            return close_lost(folder, outbox, pulse)
    except (StorageError, FencedError):
        if is_strict:
            raise
        return 0


def _end(trial: str, step: int, pulse: HeartbeatRecord) -> End:
    """Return the end of a run, at the time of its driver's last heartbeat."""
    tags = {STOP_REASON: StopReason.DRIVER_LOST, STOP_DETAIL: f"{pulse.driver} stopped without recording an end"}
    time_ms = int(pulse.time * 1000) if pulse.time else now_ms()
    return End(trial, RunStatus.KILLED, tags, step=step, time_ms=time_ms)

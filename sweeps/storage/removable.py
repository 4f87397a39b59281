"""What of a storage folder and of the cache may be removed; what is old and stays, and why. Nothing is changed.

A sweep may go when nothing needs its folder any more: it has ended long ago, MLflow has all of it, and no sweep that
stays confirms it, is confirmed by it, or reused its trials.
"""

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bddseg.data.folders import names_in
from bddseg.data.frames_uses import read_uses
from bddseg.errors import UserError
from bddseg.words import count
from sweeps.storage.event_file import OUTBOX, EventFile
from sweeps.storage.events import PARENT, Start
from sweeps.storage.folder import CHECKPOINT, SweepFolder
from sweeps.storage.heartbeat import read_pulse
from sweeps.storage.outcomes import RunStatus
from sweeps.storage.sweep_json import read_manifest
from sweeps.storage.sweeps import sweep_folders
from sweeps.storage.tags import CONFIRMS, REUSED
from sweeps.storage.trial_history import read_runs

DAY_SECONDS = 24 * 3600
REMOVED = ".removed"
"""Folder in the storage folder into which a sweep is moved before it is deleted, so that no reader sees half of one."""

SWEEP, CHECKPOINTS, FRAMES, SESSION, REST = "sweep", "checkpoints", "frames", "Ray session", "rest"


@dataclass(frozen=True)
class Removable:
    """Something that may be removed, or is old and stays."""

    kind: str
    path: Path
    """A sweep's folder for its checkpoints, too."""
    why: str
    size_bytes: int
    """Disk space that its removal frees."""
    stays: str = ""
    """Why it stays; "" where it may go."""
    parts: tuple[Path, ...] = ()
    """What is deleted, where that is less than the path."""


@dataclass(frozen=True)
class _Recorded:
    """A sweep as its folder records it."""

    folder: Path
    state: str = ""
    ended: float = 0.0
    """When its last event was written, in seconds since 1970."""
    relatives: frozenset[str] = field(default_factory=frozenset)
    """Sweeps that it confirms, or whose trials it reused."""
    stays: str = ""
    """Why it stays whatever its age."""
    trial_ids: tuple[str, ...] = ()
    fingerprint: str = ""
    has_own_checkpoints: bool = True


def find_in_storage(
    storage: Path, days: float, keep: Collection[str], why_registered: Callable[[Path], str]
) -> list[Removable]:
    """Return old sweeps, and the needless checkpoints of finished ones, by name.

    Args:
        storage: the folder.
        days: a sweep whose last event is younger stays.
        keep: ids of sweeps that stay.
        why_registered: asked for an old sweep that nothing else holds: why its models need it; "" if they do not.
    """
    sweeps = {folder.name: _read(folder) for folder in sweep_folders(storage)}
    before = time.time() - days * DAY_SECONDS
    old = {name: sweep for name, sweep in sweeps.items() if sweep.ended < before}
    held = {name: "named with --keep" if name in keep else sweep.stays for name, sweep in old.items()}
    held = {name: why or why_registered(sweeps[name].folder) for name, why in held.items()}
    _hold_relatives(sweeps, held)
    rows = [
        Removable(SWEEP, sweep.folder, _age(sweep.state, sweep.ended), freed_bytes([sweep.folder]), held[name])
        for name, sweep in old.items()
    ]
    going = {name for name in old if not held[name]}
    rows += [
        row for name, sweep in sweeps.items() if name not in going and name not in keep for row in _needless(sweep)
    ]
    rests = [storage / REMOVED / name for name in names_in(storage / REMOVED)]
    return rows + [Removable(REST, path, "its removal was interrupted", freed_bytes([path])) for path in rests]


def find_frames(cache: Path, storage: Path, days: float) -> list[Removable]:
    """Return this user's frames caches that were not used for so long, and that no sweep of the storage folder names.

    A cache without a note of its data, from an earlier version, counts by its age alone: frames are made again from
    the data whenever they are needed.
    """
    sweeps = [_read(folder) for folder in sweep_folders(storage)]
    rows = []
    for folder in (cache / name for name in names_in(cache) if name.startswith("frames-")):
        try:
            if not folder.is_dir() or folder.stat().st_uid != os.getuid():
                continue
            uses = read_uses(folder)
        except OSError:
            continue
        if uses.last < time.time() - days * DAY_SECONDS:
            users = sorted(sweep.folder.name for sweep in sweeps if sweep.fingerprint in uses.fingerprints)
            stays = f"the data of {users[0]}" + (f" and {len(users) - 1} more" if users[1:] else "") if users else ""
            rows.append(Removable(FRAMES, folder, _age("not used", uses.last), freed_bytes([folder]), stays))
    return rows


def check_again(sweep: Path) -> str:
    """Return why a sweep that was to be removed stays, because something has changed since; "" if nothing has."""
    return _read(sweep).stays


def remove_part(path: Path) -> None:
    """Remove a file or a folder.

    Raises:
        OSError: when it cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def move_aside(sweep: Path) -> Path:
    """Move a sweep's folder out of sight of every reader; return where it is now."""
    target = sweep.parent / REMOVED / sweep.name
    target.parent.mkdir(exist_ok=True)
    sweep.rename(target)
    return target


def freed_bytes(paths: Iterable[Path]) -> int:
    """Return the disk space that the removal of files and folders frees: a file with another link stays."""
    sizes, links, seen = dict[tuple[int, int], int](), dict[tuple[int, int], int](), Counter[tuple[int, int]]()
    for state in _states(paths):
        identity = state.st_dev, state.st_ino
        sizes[identity], links[identity] = state.st_blocks * 512, state.st_nlink
        seen[identity] += 1
    return sum(size for identity, size in sizes.items() if seen[identity] >= links[identity])


def _states(paths: Iterable[Path]) -> Iterator[os.stat_result]:
    for path in paths:
        files = [Path(root, name) for root, _, names in os.walk(path) for name in names] if path.is_dir() else [path]
        for file in files:
            try:
                yield file.lstat()
            except OSError:  # deleted a moment ago
                continue


def _read(folder: Path) -> _Recorded:
    """Return a sweep as its folder records it; one that cannot be read stays."""
    try:
        return _read_sound(folder)
    except (UserError, OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        ended = folder.stat().st_mtime if folder.exists() else time.time()
        return _Recorded(folder, "unreadable", ended, stays=f"it cannot be read: {error}")


def _read_sound(folder: Path) -> _Recorded:
    manifest, events = read_manifest(folder), EventFile(folder / OUTBOX)
    ended, recorded_events = events.path.stat().st_mtime, list(events.events(epochs=False))
    status = read_runs(recorded_events).get(PARENT)
    tags = [event.tags for event in recorded_events if isinstance(event, Start)]
    relatives = {str(tag[name]) for tag in tags for name in (REUSED, CONFIRMS) if tag.get(name)}
    fields = vars(manifest)
    relatives |= {str(name) for name in [(fields.get("confirmation") or {}).get("screening")] if name}
    states: dict[str, str] = {RunStatus.FINISHED: "finished", RunStatus.FAILED: "failed"}
    state = states.get(status.status if status else "", "interrupted")
    return _Recorded(
        folder,
        state,
        ended,
        frozenset(relatives - {folder.name}),
        _why_not_over(folder, events, is_open=status is None or not status.status),
        tuple(trial.trial_id for trial in manifest.trials),
        str(fields.get("data", {}).get("fingerprint", "")),
        not fields.get("terms", {}).get("checkpoints"),
    )


def _why_not_over(folder: Path, events: EventFile, *, is_open: bool) -> str:
    """Return why a sweep stays: it is driven, was not closed, or MLflow lacks some of it."""
    pulse = read_pulse(folder)
    if pulse is not None:
        if not pulse.is_alive():
            return "its driver was lost: --sync closes it"
        return f"running: {pulse.driver}; if that was lost, --sync closes it"
    if is_open:
        return "its end was never recorded: --resume or --sync it"
    if pending := events.pending():
        return f"{count(pending, 'event')} not delivered to MLflow: --sync"
    if rejects := events.rejects():
        return f"{count(len(rejects), 'event')} refused by MLflow: --sync"
    return ""


def _hold_relatives(sweeps: Mapping[str, _Recorded], held: dict[str, str]) -> None:
    """Hold every sweep that a sweep which stays confirms or reused, or that confirms it; until none is added."""
    while True:
        staying = {name for name in sweeps if held.get(name, "young")}
        reasons = {name: why for name in held if name not in staying and (why := _why_related(name, sweeps, staying))}
        if not reasons:
            return
        held.update(reasons)


def _why_related(name: str, sweeps: Mapping[str, _Recorded], staying: Collection[str]) -> str:
    for other in sorted(staying):
        if name in sweeps[other].relatives:
            return f"{other} confirms it, or reused its trials"
        if other in sweeps[name].relatives:
            return f"it confirms {other}, or reused its trials"
    return ""


def _needless(sweep: _Recorded) -> Iterator[Removable]:
    """Yield the checkpoints of a finished sweep that are not the newest of their trial: it keeps one at most."""
    if sweep.stays or sweep.state != "finished" or not sweep.has_own_checkpoints:
        return
    paths = SweepFolder(sweep.folder)
    older = tuple(path for trial_id in sweep.trial_ids for path in paths.checkpoints(trial_id)[1:])
    if older := tuple(path for path in older if CHECKPOINT.fullmatch(path.name)):
        why = f"{count(len(older), 'checkpoint')} before the last of a trial"
        yield Removable(CHECKPOINTS, sweep.folder, why, freed_bytes(older), parts=older)


def _age(state: str, last: float) -> str:
    days = max(0.0, time.time() - last) / DAY_SECONDS
    return f"{state} for {days:.0f} days" if state == "not used" else f"{state}, last event {days:.0f} days ago"

"""Which trials of a storage folder came to their own end: read from every sweep's events, and remembered in one file.

The file only saves time: what it says of a sweep holds as long as the sweep's event file has the size that it was read
at; otherwise, or where the file is missing or damaged, the events are read again.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from bddseg.errors import UserError
from bddseg.files import read_json, write_json
from bddseg.json_shapes import difference
from sweeps.storage.events import EVENTS, EventFile
from sweeps.storage.folder import SweepFolder
from sweeps.storage.outcomes import OWN_ENDS
from sweeps.storage.sweep_json import read_manifest
from sweeps.storage.sweeps import sweep_folders
from sweeps.storage.tags import STOP_REASON

FILE = "index.json"
FORMAT = 1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinishedTrial:
    """A trial that came to its own end in a recorded sweep."""

    sweep: Path
    """Folder of the sweep."""
    trial_id: str
    fingerprint: str
    """Of the data that it was trained on."""
    budget: int
    """Epochs that it might train."""
    epochs: int
    """Epochs that it trained."""
    reason: str


def find_finished(storage: Path, but: Path | None = None) -> list[FinishedTrial]:
    """Return the finished trials of every sweep in a storage folder but one, those of the newest sweep first.

    A sweep that cannot be read is named, and the others count.

    Raises:
        StorageError: when the storage folder cannot be listed.
    """
    known = _read(storage / FILE)
    current = {folder: _current(known.get(folder.name), folder) for folder in sweep_folders(storage) if folder != but}
    readable = {folder: sweep for folder, sweep in current.items() if sweep is not None}
    remembered = {folder.name: sweep for folder, sweep in readable.items()}
    if remembered != known:
        _write(storage / FILE, remembered)
    return [
        FinishedTrial(folder, trial_id, readable[folder]["fingerprint"], *trial)
        for folder in sorted(readable, key=_time, reverse=True)
        for trial_id, trial in readable[folder]["trials"].items()
    ]


def _time(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:  # it was deleted a moment ago
        return 0.0


def _current(known: Mapping[str, Any] | None, folder: Path) -> dict[str, Any] | None:
    """Return what is known of a sweep, read again when its event file has grown; None, and a line, for no reason.

    A failure to read is not remembered: leave, or a disk, may come back without any change of the file.
    """
    try:
        size = (SweepFolder(folder).outbox / EVENTS).stat().st_size
        if known is not None and known["size"] == size:
            return dict(known)
        return {"size": size, **_finished(folder)}
    except (UserError, OSError, KeyError, TypeError, ValueError) as error:
        why = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else error
        log.warning("the trials of %s are not reused: %s", folder.name, why)
        return None


def _finished(folder: Path) -> dict[str, Any]:
    """Return the data's fingerprint and the finished trials of a sweep.

    Raises:
        StorageError: when its manifest or its events cannot be read.
    """
    manifest = read_manifest(folder)
    budgets = {trial["trial_id"]: trial["settings"]["train.epochs"] for trial in manifest["trials"]}
    fingerprint = manifest["data"]["fingerprint"]
    trials: dict[str, list[Any]] = {}
    for event in EventFile(SweepFolder(folder).outbox).events(budgets, epochs=False):
        reason = event["tags"].get(STOP_REASON, "") if event["kind"] == "end" else ""
        if event["kind"] in ("start", "end"):
            trials.pop(event["trial"], None)
        if reason in OWN_ENDS:
            trials[event["trial"]] = [budgets[event["trial"]], int(event["step"]), reason]
    return {"fingerprint": fingerprint, "trials": trials}


def _read(path: Path) -> dict[str, Any]:
    """Return what is remembered by sweep; nothing where the file is missing, damaged or of another format."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    if difference(content, {"version": int, "sweeps": {"*": object}}) or content["version"] != FORMAT:
        return {}
    return {name: sweep for name, sweep in content["sweeps"].items() if _is_whole(sweep)}


def _is_whole(sweep: Any) -> bool:
    if difference(sweep, {"size": int, "fingerprint": str, "trials": {"*": [(int, str)]}}):
        return False
    return bool(sweep["fingerprint"]) and all(_are(trial, (int, int, str)) for trial in sweep["trials"].values())


def _are(values: Iterable[Any], kinds: tuple[type, ...]) -> bool:
    return [type(value) for value in values] == list(kinds)


def _write(path: Path, sweeps: Mapping[str, Any]) -> None:
    """Remember it, whole or not at all; a folder that cannot be written costs time the next time, no more."""
    try:
        with FileLock(f"{path}.lock", is_singleton=False):
            write_json(path, {"version": FORMAT, "sweeps": sweeps})
    except OSError as error:
        log.info("%s could not be written: %s", path, error)

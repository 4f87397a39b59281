"""Which trials of a storage folder came to their own end: read from every sweep's events, and remembered in one file.

The file only saves time: what it says of a sweep holds as long as the sweep's event file has the size that it was read
at; otherwise, or where the file is missing or damaged, the events are read again.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from bddseg.files import write_json
from sweeps.backlog import sweep_folders
from sweeps.errors import StorageError
from sweeps.events import EVENTS, EventFile
from sweeps.folder import SweepFolder
from sweeps.manifest import read_manifest

FILE = "index.json"
FORMAT = 1

OWN_END = frozenset({"max_epochs", "plateau"})
"""Ends of trials that nobody cut short."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
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


def find_finished(storage: Path, but: Path | None = None) -> list[Entry]:
    """Return the finished trials of every sweep in a storage folder but one, those of the newest sweep first."""
    others = (folder for folder in sweep_folders(storage) if folder != but)
    folders = sorted(others, key=lambda folder: folder.stat().st_mtime, reverse=True)
    known = _read(storage / FILE)
    found = {folder.name: _current(known.get(folder.name), folder) for folder in folders}
    if found != known:
        _write(storage / FILE, found)
    return [
        Entry(folder, trial_id, found[folder.name]["fingerprint"], *trial)
        for folder in folders
        for trial_id, trial in found[folder.name]["trials"].items()
    ]


def _current(known: Mapping[str, Any] | None, folder: Path) -> dict[str, Any]:
    """Return what is known of a sweep, read anew when its event file has grown."""
    size = (SweepFolder(folder).outbox / EVENTS).stat().st_size
    if known is not None and known["size"] == size and known["fingerprint"]:  # without one it could not be read then
        return dict(known)
    try:
        manifest = read_manifest(folder)
        budgets = {trial["trial_id"]: int(trial["settings"]["train.epochs"]) for trial in manifest["trials"]}
        fingerprint = str(manifest["data"]["fingerprint"])
    except (StorageError, KeyError, TypeError, ValueError) as error:
        log.info("the trials of %s are not reused: %s", folder, error)
        return {"size": size, "fingerprint": "", "trials": {}}
    trials: dict[str, list[Any]] = {}
    for event in EventFile(SweepFolder(folder).outbox).events(budgets, epochs=False):
        reason = event["tags"].get("sweep.stop_reason", "") if event["kind"] == "end" else ""
        if event["kind"] in ("start", "end"):
            trials.pop(event["trial"], None)
        if reason in OWN_END:
            trials[event["trial"]] = [budgets[event["trial"]], int(event["step"]), reason]
    return {"size": size, "fingerprint": fingerprint, "trials": trials}


def _read(path: Path) -> dict[str, Any]:
    """Return what is remembered by sweep; nothing where the file is missing, damaged or of another format."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        sweeps = content["sweeps"] if content["version"] == FORMAT else {}
        return {name: one for name, one in sweeps.items() if _is_whole(one)}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _is_whole(one: Any) -> bool:
    return (
        isinstance(one, dict)
        and isinstance(one.get("size"), int)
        and isinstance(one.get("fingerprint"), str)
        and isinstance(one.get("trials"), dict)
        and all(isinstance(trial, list) and _are(trial, (int, int, str)) for trial in one["trials"].values())
    )


def _are(values: Iterable[Any], kinds: tuple[type, ...]) -> bool:
    return [type(value) for value in values] == list(kinds)


def _write(path: Path, sweeps: Mapping[str, Any]) -> None:
    """Remember it, whole or not at all; a folder that cannot be written costs time the next time, no more."""
    try:
        with FileLock(f"{path}.lock", is_singleton=False):
            write_json(path, {"version": FORMAT, "sweeps": sweeps})
    except OSError as error:
        log.info("%s could not be written: %s", path, error)

"""Ids of a sweep's runs in MLflow, noted beside its events, so that the next process finds the runs fast."""

from collections.abc import Mapping
from pathlib import Path

from bddseg.files import read_json, write_json
from sweeps.storage.events import EventFile
from sweeps.tracking.uri import portable_uri, present_uri

FILE = "runs.json"


def load_ids(events: EventFile) -> tuple[str, dict[str, str]]:
    """Return the store that was noted, at its present address, and the ids of its runs.

    Nothing is returned of a note that is missing or damaged.
    """
    try:
        noted = read_json(events.folder / FILE)
        store, ids = str(noted["store"]), {str(trial): str(run) for trial, run in noted["runs"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "", {}
    return present_uri(store, storage_of(events), events.recorded_storage()), ids


def save_ids(events: EventFile, uri: str, ids: Mapping[str, str]) -> None:
    """Note the ids of the runs, and of which store they are."""
    write_json(events.folder / FILE, {"store": portable_uri(uri, storage_of(events)), "runs": ids})


def storage_of(events: EventFile) -> Path:
    """Return the storage folder around a sweep's events."""
    return events.folder.parent.parent

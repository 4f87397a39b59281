"""Reads and writes a scheduler's state file; each write is atomic."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bddseg.files import read_json, write_json
from sweeps.errors import StorageError

FILE = "scheduler.json"
"""Its name in a sweep's folder."""


def save_memory(path: Path, state: Mapping[str, Any]) -> None:
    """Replace the state file atomically and durably."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, state, durable=True)


def load_memory(path: Path) -> dict[str, Any] | None:
    """Return the state that `save_memory` wrote; None when nothing was written yet.

    Raises:
        StorageError: when the file is damaged or cannot be read.
    """
    try:
        state = read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read: {error}; without it the rungs would start empty") from error
    if not isinstance(state, dict):
        raise StorageError(f"{path} holds no state of a scheduler; without it the rungs would start empty")
    return state

"""Where the checkpoints of a sweep are: in its own folder, or in an object store."""

from pathlib import Path

from sweeps.storage.checkpoints import Checkpoints, FolderCheckpoints
from sweeps.storage.sweep_json import read_manifest


def open_checkpoints(folder: Path, uri: str = "", sweep_id: str = "") -> Checkpoints:
    """Return the checkpoints of a sweep.

    Args:
        folder: of the sweep.
        uri: where the checkpoints of all sweeps are; "" for the sweeps' own folders.
        sweep_id: of the sweep; the name of its folder by default.

    Raises:
        StorageError: when the store cannot be opened.
    """
    if not uri:
        return FolderCheckpoints(folder)
    from sweeps.storage.object_store import open_object_store  # imports pyarrow

    return open_object_store(uri, sweep_id or folder.name)


def recorded_checkpoints(folder: Path) -> Checkpoints:
    """Return the checkpoints of a recorded sweep, which are where its sweep.json says.

    Raises:
        StorageError: when that cannot be read, or the store cannot be opened.
    """
    manifest = read_manifest(folder)
    terms = vars(manifest).get("terms", {})
    return open_checkpoints(folder, terms.get("checkpoints", ""), vars(manifest).get("sweep_id", ""))

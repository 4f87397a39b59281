"""Recorded paths after the folder of a sweep was moved or copied together with its content.

A path within the sweep's folder is recorded relative to it. Where an absolute path was recorded, the part that starts
with the name of the sweep's folder, which is unique, is looked up in the present storage folder.
"""

from pathlib import Path

from bddseg.data.folders import is_visible


def portable_path(path: str, folder: Path) -> str:
    """Return a path as it is recorded in a sweep's folder."""
    return str(Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else path


def present_path(recorded: str, folder: Path) -> str:
    """Return the present path for one that was recorded in a sweep's folder, which is at `folder` now.

    It may lead into the folder of another sweep beside it; a path that leads elsewhere is returned as it is.
    """
    path = Path(recorded)
    if not path.is_absolute():
        return str(folder / path)
    storage = folder.parent
    sweeps = [i for i, name in enumerate(path.parts) if name == folder.name or _is_sweep(storage / name)]
    if not sweeps:
        return recorded
    present = storage.joinpath(*path.parts[sweeps[-1] :])
    return str(present) if is_visible(present) or not is_visible(path) else recorded


def _is_sweep(folder: Path) -> bool:
    return is_visible(folder / "outbox")

"""Recorded paths, and where they lead now: a sweep's folder is moved and copied together with what lies in it.

A path within the sweep's folder is written down relative to it. Where an absolute path was written down, the part from
the name of the sweep's folder on, which nothing else has, is looked for in the storage folder as it is now.
"""

from pathlib import Path

from bddseg.data.folders import is_visible


def portable_path(path: str, folder: Path) -> str:
    """Return a path as it is written down in a sweep's folder."""
    here = Path(path)
    return str(here.relative_to(folder)) if here.is_relative_to(folder) else path


def present_path(recorded: str, folder: Path) -> str:
    """Return where a path leads that was written down in a sweep's folder, which is at `folder` now.

    It may lead into the folder of another sweep beside it; one that leads elsewhere is returned as it is.
    """
    path = Path(recorded)
    if not path.is_absolute():
        return str(folder / path)
    storage = folder.parent
    places = [place for place, name in enumerate(path.parts) if name == folder.name or _is_sweep(storage / name)]
    if not places:
        return recorded
    here = storage.joinpath(*path.parts[places[-1] :])
    return str(here) if is_visible(here) or not is_visible(path) else recorded


def _is_sweep(folder: Path) -> bool:
    return is_visible(folder / "outbox")

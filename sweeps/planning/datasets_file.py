"""datasets.yaml, or a user's own file of datasets -> descriptions; an error in one dataset affects only that one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bddseg.data.bdd100k_labels import BDD100K
from bddseg.data.description import Description
from bddseg.data.description_parser import parse_description
from bddseg.data.draft import draft_description
from bddseg.errors import DataError, nearest
from sweeps.paths import DATASETS, shipped_file
from sweeps.planning.experiments_file import Location, compose, construct, look_up

SUFFIXES = (".yaml", ".yml")
"""Ends of the path of a user's own file of datasets; any other path is a folder."""

STREETS = "streets"
"""Dataset of the embedded streets."""


@dataclass(frozen=True)
class DatasetsFile:
    """The parsed file: entries by name, in its order."""

    path: Path
    entries: Mapping[str, Any]
    lines: Mapping[str, int]
    """Location, such as `camvid.classes.sky` -> its line, from 1."""
    repeated: tuple[Location, ...] = ()

    def describe(self, name: str) -> Description:
        """Return the description of a dataset.

        Raises:
            DataError: when there is no such dataset, or its entry cannot be used; with the line.
        """
        if name not in self.entries:
            raise DataError(
                f"dataset {name[:80]!r} is not in {self.path.name}; {nearest(name, self.entries)}known: "
                f"{', '.join(self.entries)}"
            )
        for location in self.repeated:
            if location[0] == name:
                raise DataError(self._located(f"{'.'.join(location)} is given more than once, but must be given once"))
        start = f"{self.path.name}: "
        try:
            return parse_description(name, self.entries[name], f"{start}{name}")
        except DataError as error:
            raise DataError(self._located(str(error).removeprefix(start))) from error

    def _located(self, message: str) -> str:
        """Return a message that starts with a location in the file, with the line of that location."""
        key = max((key for key in self.lines if is_start(key, message)), key=len, default="")
        return f"{self.path.name}:{self.lines[key]}: {message}" if key else f"{self.path.name}: {message}"

    def only_name(self) -> str:
        """Return the name of the only dataset.

        Raises:
            DataError: when there are several.
        """
        if len(self.entries) != 1:
            raise DataError(
                f"{self.path} describes {len(self.entries)} datasets: choose one with --dataset: "
                f"{', '.join(self.entries) or 'there is none'}"
            )
        return next(iter(self.entries))


def is_start(key: str, message: str) -> bool:
    """Return whether a message starts with a location."""
    return message.startswith(key) and message[len(key) : len(key) + 1] in ("", " ", ".", ":", "[")


def read_datasets(path: Path | None = None) -> DatasetsFile:
    """Return the file, datasets.yaml if none is given.

    Raises:
        ExperimentError: when it is missing or not YAML.
        DataError: when it is no mapping of datasets.
    """
    path = path or shipped_file(DATASETS)
    root, loader = compose(path)
    lines, repeated = look_up(root)
    entries = construct(loader, root, path)
    if not isinstance(entries, Mapping):
        raise DataError(f"{path} must be a mapping: the name of each dataset, and its description")
    return DatasetsFile(path, {str(name): entry for name, entry in entries.items()}, lines, tuple(repeated))


def is_datasets_file(path: Path) -> bool:
    """Return whether a path given as data is a file of datasets rather than a folder."""
    return path.suffix.lower() in SUFFIXES


def read_own(path: Path, name: str | None) -> tuple[Description, Path]:
    """Return a description of the user's own file, and the folder of its data.

    Args:
        path: of the file.
        name: of the dataset; None for the only one.

    Raises:
        DataError: when the dataset is missing, has no folder, or cannot be used.
    """
    file = read_datasets(path)
    description = file.describe(name or file.only_name())
    if not description.root:
        raise DataError(f"{path}: {description.name} has no root: the folder of its files, relative to this file")
    return description, (path.parent / description.root).resolve()


def recorded_description(data: Mapping[str, Any]) -> Description:
    """Return the description of a recorded sweep's data; records without one are of BDD100K's five classes.

    Raises:
        DataError: when this version does not read it any more.
    """
    entry, name = data.get("description"), str(data.get("dataset", ""))
    return parse_description(name, entry, f"recorded dataset {name}") if entry else BDD100K


def draft_dataset(root: Path) -> str:
    """Return a description of a folder as YAML, with the layout and classes of a shipped dataset where they fit.

    Raises:
        DataError: when no images with masks are in the folder, or the masks hold no classes.
    """
    file = read_datasets()
    return draft_description(root, [file.describe(name) for name in file.entries])

"""What is explored: a description from datasets.yaml or a file of the user's, and the samples of its folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bddseg.data.bdd100k import Catalog, Sample
from bddseg.data.description import Description, parse_description
from bddseg.errors import DataError, nearest
from bddseg.files import read_file
from sweeps.paths import ROOT
from sweeps.planning.dataset import Source, choose_source, load_catalog

DATASETS_FILE = ROOT / "datasets.yaml"
EMBEDDED, USUAL = "streets", "bdd100k"
DESCRIBED = (".yaml", ".yml")
"""Suffixes of a --data that is a description instead of a folder."""

TITLES = {"timeofday": "time of day"}
"""Attribute -> its name in sentences, where that differs."""


@dataclass(frozen=True)
class Folder:
    """A folder of images and masks, with what its files mean."""

    description: Description
    catalog: Catalog

    @property
    def root(self) -> Path:
        """Return the folder."""
        return self.catalog.root

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Return the pairs of image and mask, by name."""
        return self.catalog.samples


def open_folder(data: Path | None, dataset: str, cache: Path) -> Folder:
    """Return the folder to explore and its description.

    Args:
        data: a folder, or a file with a description; None takes what a sweep would take.
        dataset: name of the description; "" takes the usual one for the data.
        cache: folder of all caches, where the embedded streets are generated.

    Raises:
        DataError: when there is no such description, or the folder cannot be used.
    """
    if data is not None and data.suffix.lower() in DESCRIBED:
        name, entry = choose_entry(read_entries(data), dataset, data)
        root = (data.parent / str(entry.pop("root", "."))).resolve()
        return _opened(parse_description(name, entry, f"{data.name}: {name}"), Source("full", root), cache)
    source = Source("quick", None) if dataset == EMBEDDED and data is None else choose_source({}, None, data)
    name, entry = choose_entry(
        read_entries(DATASETS_FILE), dataset or (USUAL if source.root else EMBEDDED), DATASETS_FILE
    )
    return _opened(parse_description(name, entry, f"{DATASETS_FILE.name}: {name}"), source, cache)


def _opened(description: Description, source: Source, cache: Path) -> Folder:
    return Folder(description, load_catalog(source, cache))


def read_entries(path: Path) -> dict[str, Any]:
    """Return the entries of a file of descriptions by name.

    Raises:
        DataError: when it cannot be read, or is no mapping.
    """
    try:
        entries = yaml.safe_load(read_file(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except yaml.YAMLError as error:
        raise DataError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(entries, Mapping) or not entries:
        raise DataError(f"{path} must be a mapping from names to descriptions of datasets")
    return {str(name): entry for name, entry in entries.items()}


def choose_entry(entries: Mapping[str, Any], dataset: str, path: Path) -> tuple[str, Any]:
    """Return a name and its entry; without a name, the only entry.

    Raises:
        DataError: for an unknown name, or none among several.
    """
    if not dataset and len(entries) > 1:
        raise DataError(f"{path} describes several datasets: give --dataset with one of {', '.join(entries)}")
    name = dataset or next(iter(entries))
    if name not in entries:
        raise DataError(
            f"--dataset {name!r} is not in {path.name}; {nearest(name, entries)}known: {', '.join(entries)}"
        )
    entry = entries[name]
    return name, dict(entry) if isinstance(entry, Mapping) else entry


def attributes_of(sample: Sample) -> dict[str, str]:
    """Return the attributes of a sample by name."""
    return {"scene": sample.scene, "weather": sample.weather, "timeofday": sample.timeofday}


def title_of(attribute: str) -> str:
    """Return an attribute's name in sentences."""
    return TITLES.get(attribute, attribute)

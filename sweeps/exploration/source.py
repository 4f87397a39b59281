"""What is explored: the folder that a sweep would take, its samples, and what its masks mean."""

from dataclasses import dataclass
from pathlib import Path

from bddseg.data.catalog import Catalog, Sample
from bddseg.data.description import Description
from sweeps.planning.dataset import choose_source, complete_source, load_catalog

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


def open_folder(data: Path | None, dataset: str | None, cache: Path) -> Folder:
    """Return the folder to explore and its description, with classes found in the masks where it has none.

    Args:
        data: a folder, or a file of datasets; None takes what a sweep would take.
        dataset: name of the dataset in datasets.yaml, or in that file.
        cache: folder of all caches, where the embedded streets are generated.

    Raises:
        DataError: when there is no such dataset, or the folder cannot be used.
    """
    source = complete_source(choose_source({}, None, data, dataset), cache)
    return Folder(source.description, load_catalog(source, cache))


def title_of(attribute: str) -> str:
    """Return an attribute's name in sentences."""
    return TITLES.get(attribute, attribute)

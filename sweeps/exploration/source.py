"""What is explored: the folder that a sweep would take, its samples, and what its masks mean."""

from dataclasses import dataclass
from pathlib import Path

from bddseg.data.catalog import Catalog, Sample
from bddseg.data.description import Description
from bddseg.data.drives import BDD100K, check_drives
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

    @property
    def drive_pattern(self) -> str:
        """Return the rule that finds drives, as training has it: "" for that of BDD100K."""
        return "" if self.description.drive == BDD100K else self.description.drive


def open_folder(data: Path | None, dataset: str | None, cache: Path) -> Folder:
    """Return the folder to explore and its description, with classes found in the masks where it has none.

    Args:
        data: a folder, or a file of datasets; None takes what a sweep would take.
        dataset: name of the dataset in datasets.yaml, or in that file.
        cache: folder of all caches, where the embedded streets are generated.

    Raises:
        DataError: when there is no such dataset, the folder cannot be used, or the rule for drives tells none apart.
    """
    source = complete_source(choose_source({}, None, data, dataset), cache)
    folder = Folder(source.description, load_catalog(source, cache))
    names = [sample.name for sample in folder.samples]
    key, is_official = f"{folder.description.name}.drive", folder.description.is_official
    check_drives(names, folder.drive_pattern, key, may_be_one=is_official)
    return folder


def title_of(attribute: str) -> str:
    """Return an attribute's name in sentences."""
    return TITLES.get(attribute, attribute)

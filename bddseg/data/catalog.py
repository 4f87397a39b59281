"""A folder and its description -> the samples in it."""

from pathlib import Path

from bddseg.data.bdd100k import Catalog, Sample, check_root, is_dataset, read_bdd100k
from bddseg.data.bdd100k_labels import BDD100K
from bddseg.data.description import BDD100K_LAYOUT, Description
from bddseg.errors import DataError

__all__ = ["Catalog", "Sample", "check_root", "is_dataset", "read_catalog"]


def read_catalog(root: Path, description: Description = BDD100K) -> Catalog:
    """Return the samples of a folder by the description of its layout.

    Raises:
        AccessError: when the system refuses to read a folder or a label file.
        DataError: when the folder does not have what the description says.
    """
    if description.layout != BDD100K_LAYOUT:
        raise DataError(f"dataset {description.name} has two file patterns, which cannot be read yet")
    return read_bdd100k(root)

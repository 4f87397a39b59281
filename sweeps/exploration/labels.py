"""Masks as classes of a description: values are looked up, others than the known ones refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from bddseg.data.description import ALL, Description
from bddseg.data.image_io import read_mask
from bddseg.errors import DataError
from bddseg.task import IGNORE

NAMED = 5
"""Unknown values that a message names."""


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Look-up tables of a description.

    Shape:
        classes: (256,), uint8, index of the class or IGNORE.  is_known: (256,), bool.
    """

    classes: np.ndarray
    is_known: np.ndarray

    @classmethod
    def of(cls, description: Description) -> Self:
        """Return the tables of a description."""
        return cls(description.remap_table(ALL), description.is_known_value())


@dataclass(frozen=True, eq=False)
class Labels:
    """A decoded mask.

    Shape:
        values: (H, W), uint8, index of the class or IGNORE.  pixels: (C + 1,), of each class and ignored.
    """

    values: np.ndarray
    pixels: np.ndarray
    distinct: int
    """Number of different values in the file."""
    mode: str


def read_labels(path: Path, orientation: int, description: Description, table: LabelTable) -> Labels:
    """Return a mask, turned as its picture was, as classes.

    Raises:
        DataError: when it cannot be read, has several channels, or a value that the description does not have.
    """
    mask = read_mask(path, orientation)
    if mask.mode not in ("L", "P"):
        raise DataError(f"{path} has the mode {mask.mode}, but must have one channel of 8 bits (L or P)")
    counts = np.array(mask.histogram())
    unknown = np.flatnonzero((counts > 0) & ~table.is_known)
    if unknown.size:
        values = ", ".join(map(str, unknown[:NAMED]))
        pixels = int(counts[unknown].sum())
        raise DataError(f"{path} has {pixels} pixels of the unknown value {values}: {description.name} has no such one")
    by_class = np.bincount(table.classes, weights=counts, minlength=256).astype(np.int64)
    classes = len(description.classes)
    return Labels(
        values=table.classes[np.asarray(mask)],
        pixels=np.append(by_class[:classes], by_class[IGNORE]),
        distinct=int((counts > 0).sum()),
        mode=mask.mode,
    )

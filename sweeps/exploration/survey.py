"""The measurements of a whole folder as arrays, with its attributes, drives and split."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bddseg.config import TrainConfig
from bddseg.data.drives import drive_of
from bddseg.data.split import PARTS, Split, split_samples
from bddseg.errors import DataError
from bddseg.task import Task
from sweeps.exploration.measurement import Damage, Measurement
from sweeps.exploration.source import Folder, attributes_of

PART_NAMES = {"train": "training", "val": "validation", "test": "test"}
STACKED = (
    "pixels", "regions", "region_sizes", "opened_px", "shared_px", "restored_px", "regions_lost", "grid", "sums",
    "squares",
)  # fmt: skip
"""Arrays of a measurement that a survey stacks."""


@dataclass(frozen=True, eq=False)
class Survey:
    """All usable images of a folder, in the order of their names.

    Shape:
        arrays: (N, ...), as `Measurement` has them.  parts: indices of the images of each part.
    """

    folder: Folder
    size_px: int
    """Side of the frames that training uses."""
    rows: tuple[Measurement, ...]
    damaged: tuple[Damage, ...]
    attributes: Mapping[str, tuple[str, ...]]
    """Attribute -> its value for each image."""
    drives: tuple[str, ...]
    """Drive of each image; "" where its name tells none."""
    parts: Mapping[str, np.ndarray]
    """Empty where the images cannot be split."""
    split_note: str
    """Warning of the split, or why there is none."""
    by_drive: bool
    arrays: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the images."""
        return tuple(row.name for row in self.rows)

    @property
    def classes(self) -> tuple[str, ...]:
        """Return every class of the masks, in the order of the description."""
        return tuple(label.name for label in self.folder.description.classes)

    @property
    def colours(self) -> tuple[str, ...]:
        """Return the CSS colour of each class."""
        return tuple(f"rgb{label.colour}" for label in self.folder.description.classes)

    @cached_property
    def task(self) -> Task:
        """Return the task that is trained by default."""
        return self.folder.description.task()

    @cached_property
    def trained(self) -> np.ndarray:
        """Return which classes are trained by default.

        Shape:
            returns: (C,), bool
        """
        members = {member for merged in self.folder.description.chosen() for member in merged.members}
        return np.array([name in members for name in self.classes], dtype=bool)

    @cached_property
    def has_class(self) -> np.ndarray:
        """Return which image has a pixel of which class.

        Shape:
            returns: (N, C), bool
        """
        return self.arrays["pixels"][:, :-1] > 0

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Return the group of each image; "" for all where nothing is compared."""
        values = self.attributes.get(self.task.attribute, ("",) * len(self))
        return tuple(self.task.group_of(value) if self.task.groups else "" for value in values)

    def positions(self, names: Iterable[str]) -> list[int]:
        """Return the positions of images by their names."""
        index = {name: position for position, name in enumerate(self.names)}
        return [index[name] for name in names if name in index]


def build_survey(folder: Folder, results: Sequence[Measurement | Damage], size_px: int) -> Survey:
    """Return the survey of a folder from the results for its samples, in their order.

    Raises:
        DataError: when no image can be used.
    """
    rows = tuple(result for result in results if isinstance(result, Measurement))
    damaged = tuple(result for result in results if isinstance(result, Damage))
    if not rows:
        first = f"; the first: {damaged[0].reason}" if damaged else ""
        raise DataError(f"none of the {len(results)} images under {folder.root} can be used{first}")
    by_name = {sample.name: attributes_of(sample) for sample in folder.samples}
    keys = dict.fromkeys(key for attributes in by_name.values() for key in attributes)
    attributes = {key: tuple(by_name[row.name].get(key, "") for row in rows) for key in keys}
    names = [row.name for row in rows]
    pattern = folder.description.drive
    split, note = _split(folder, names, attributes)
    return Survey(
        folder=folder,
        size_px=size_px,
        rows=rows,
        damaged=damaged,
        attributes=attributes,
        drives=tuple((drive_of(name, pattern) if pattern else None) or "" for name in names),
        parts={part: np.array(getattr(split, part), dtype=int) for part in PARTS} if split else {},
        split_note=note,
        by_drive=bool(split and split.by_drive),
        arrays={key: np.stack([getattr(row, key) for row in rows]) for key in STACKED},
    )


def _split(folder: Folder, names: Sequence[str], attributes: Mapping[str, Sequence[str]]) -> tuple[Split | None, str]:
    """Return the split that training makes by default, and its warning; None and why there is none."""
    description, data = folder.description, TrainConfig().data
    values = attributes.get(description.attribute, ("",) * len(names))
    try:
        split = split_samples(
            names,
            values,
            seed=data.split_seed,
            val_fraction=data.val_fraction,
            test_fraction=data.test_fraction,
            drive_pattern="" if description.layout else description.drive,
        )
    except DataError as error:
        return None, str(error)
    return split, split.warning


def training_size() -> int:
    """Return the side of the frames that training uses by default."""
    return TrainConfig().data.size

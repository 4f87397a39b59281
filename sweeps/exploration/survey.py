"""The measurements of a whole folder as arrays, with its attributes, drives and split."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bddseg.config import TrainConfig
from bddseg.data.catalog import Sample
from bddseg.data.drives import drive_of
from bddseg.data.official_split import keep_parts
from bddseg.data.split import PARTS, Split, usual_split
from bddseg.data.strata import find_strata
from bddseg.errors import DataError
from bddseg.task import Task
from sweeps.exploration.measurement import Damage, Measurement
from sweeps.exploration.source import Folder

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
        return self.task.groups_of(self.attributes.get(self.task.attribute, ("",) * len(self)))

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
    by_name = {sample.name: sample for sample in folder.samples}
    samples = [by_name[row.name] for row in rows]
    keys = dict.fromkeys(key for sample in samples for key in sample.attributes)
    attributes = {key: tuple(sample.attributes.get(key, "") for sample in samples) for key in keys}
    pattern = folder.drive_pattern
    split, note = _split(folder, samples, attributes, pattern)
    return Survey(
        folder=folder,
        size_px=size_px,
        rows=rows,
        damaged=damaged,
        attributes=attributes,
        drives=tuple(drive_of(row.name, pattern) or "" for row in rows),
        parts={part: np.array(getattr(split, part), dtype=int) for part in PARTS} if split else {},
        split_note=note,
        by_drive=bool(split and split.by_drive),
        arrays={key: np.stack([getattr(row, key) for row in rows]) for key in STACKED},
    )


def _split(
    folder: Folder, samples: Sequence[Sample], attributes: Mapping[str, Sequence[str]], pattern: str
) -> tuple[Split | None, str]:
    """Return the split that training makes by default, and its warning; None and why there is none."""
    description = folder.description
    data = replace(TrainConfig().data, drive_pattern=pattern)
    names = [sample.name for sample in samples]
    try:
        strata = find_strata(description.task(), attributes, len(names), description.balance)
        if description.is_official:
            split = keep_parts(data, names, strata, [sample.part for sample in samples])
        else:
            split = usual_split(data, names, strata, description.balance)
    except DataError as error:
        return None, str(error)
    return split, split.warning


def training_size() -> int:
    """Return the side of the frames that training uses by default."""
    return TrainConfig().data.size

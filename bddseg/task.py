"""The task of a sweep: the classes that are predicted, and the groups of images that are compared. Needs no torch."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

IGNORE = 255
"""Mask value of pixels that are excluded from the loss and from every metric."""

Colour = tuple[int, int, int]
"""Red, green and blue, from 0 to 255."""


@dataclass(frozen=True)
class Group:
    """Images with one of several values of an attribute."""

    name: str
    values: tuple[str, ...]
    """Empty: every value that no other group has."""


@dataclass(frozen=True)
class Contrast:
    """Two sides whose scores are compared: two groups, or one group and all images of the others."""

    first: str
    second: str
    """The second group; `not_` and the first one where it is all others."""
    against: tuple[str, ...]
    """The groups of the second side."""

    @property
    def sides(self) -> tuple[str, str]:
        """Return the names of both sides, the first one first in every difference."""
        return self.first, self.second

    @property
    def is_against_rest(self) -> bool:
        """Return whether the second side is all other groups together."""
        return self.against != (self.second,)

    def masks(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which images are on each side.

        Shape:
            groups: (N,), names.  returns: two of (N,), bool.
        """
        return groups == self.first, np.isin(groups, self.against)


@dataclass(frozen=True)
class Task:
    """Classes in the order of the model's outputs, and the groups whose scores are compared.

    It travels with the frames, the weights, the evidence and the manifest, so that records can be read without the
    description of the dataset.
    """

    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    """Colour of each class in all pictures."""
    attribute: str = ""
    """Attribute of the images that decides their group; empty: there are no groups."""
    groups: tuple[Group, ...] = ()
    values: tuple[int, ...] = ()
    """Value of each class in the masks of the dataset; empty where they hold colours."""

    @property
    def group_names(self) -> tuple[str, ...]:
        """Return the names of the groups, the first one first in every difference."""
        return tuple(group.name for group in self.groups)

    def group_of(self, value: str) -> str:
        """Return the group of an image with this value of the attribute; "" if it is in none."""
        for group in self.groups:
            if value in group.values:
                return group.name
        return next((group.name for group in self.groups if not group.values), "")

    def groups_of(self, values: Iterable[str]) -> tuple[str, ...]:
        """Return the group of each image; "" for one that is in none."""
        return tuple(self.group_of(value) for value in values)

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """Return what is compared: the first of two groups with the second; of more, each with all others."""
        names = self.group_names
        if len(names) == 2:
            return (Contrast(names[0], names[1], (names[1],)),)
        return tuple(Contrast(name, f"not_{name}", tuple(other for other in names if other != name)) for name in names)

    def compared(self) -> dict[str, Any]:
        """Return what must be equal for figures to be comparable: all but colours and mask values."""
        return {key: value for key, value in self.to_dict().items() if key not in ("palette", "values")}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a record."""
        return {
            "classes": list(self.classes),
            "palette": [list(colour) for colour in self.palette],
            "attribute": self.attribute,
            "groups": {group.name: list(group.values) for group in self.groups},
            "values": list(self.values),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the task that `to_dict` described."""
        red, green, blue = range(3)
        return cls(
            classes=tuple(map(str, record["classes"])),
            palette=tuple((int(colour[red]), int(colour[green]), int(colour[blue])) for colour in record["palette"]),
            attribute=str(record["attribute"]),
            groups=tuple(Group(str(name), tuple(map(str, values))) for name, values in record["groups"].items()),
            values=tuple(map(int, record.get("values", ()))),
        )


FIVE_CLASSES = Task(
    classes=("road", "building", "vegetation", "sky", "car"),
    palette=((128, 64, 128), (110, 110, 110), (34, 139, 34), (70, 130, 180), (220, 60, 30)),
    attribute="scene",
    groups=(Group("city", ("city street",)), Group("non_city", ())),
    values=(0, 2, 8, 10, 13),
)
"""The five BDD100K classes with the most pixels, city streets and the rest: the task of every record without one."""


def slug(name: str) -> str:
    """Return a name as a part of metric names: lower case, words joined by `_`."""
    return re.sub(r"[\W_]+", "_", name.lower()).strip("_")

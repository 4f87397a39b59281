"""The task of a sweep: the classes that are predicted, and the groups of images that are compared. Needs no torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

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

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a record."""
        return {
            "classes": list(self.classes),
            "palette": [list(colour) for colour in self.palette],
            "attribute": self.attribute,
            "groups": {group.name: list(group.values) for group in self.groups},
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the task that `to_dict` described."""
        red, green, blue = range(3)
        return cls(
            classes=tuple(record["classes"]),
            palette=tuple((colour[red], colour[green], colour[blue]) for colour in record["palette"]),
            attribute=record["attribute"],
            groups=tuple(Group(name, tuple(values)) for name, values in record["groups"].items()),
        )


FIVE_CLASSES = Task(
    classes=("road", "building", "vegetation", "sky", "car"),
    palette=((128, 64, 128), (110, 110, 110), (34, 139, 34), (70, 130, 180), (220, 60, 30)),
    attribute="scene",
    groups=(Group("city", ("city street",)), Group("non_city", ())),
)
"""The five BDD100K classes with the most pixels, city streets and the rest: the task of every record without one."""


def slug(name: str) -> str:
    """Return a name as a part of metric names: lower case, words joined by `_`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")

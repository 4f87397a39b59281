"""Description of a dataset: where its files are, what its masks mean, what is compared.

An entry of `datasets.yaml`, which `bddseg.data.description_parser` reads:

    camvid:
      images: "{part}/{name}.png"               # file patterns below the folder, or `layout: bdd100k`
      masks: "{part}annot/{name}.png"
      classes:
        sky: {values: 0, colour: [70, 130, 180]}
        ...
      select: [sky, road, vehicle: [car, bus]]  # what is trained by default; left out: all classes
      ignore: 11
      attributes: {file: attributes.csv, key: name}
      groups: {scene: {city: [city street], non_city: rest}}
      drive: "(.{6})_"
      split: own                                # or official: the parts of the folder
      parts: [train, val]                       # the parts that are read; left out: all
      balance: [scene]

A mask holds class numbers (`values`), or colours (`mask_colours`). A value that neither a class nor `ignore` has is an
error of the mask; `ignore: rest` ignores it instead.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bddseg.errors import DataError, nearest
from bddseg.task import IGNORE, Colour, Group, Task, slug

BDD100K_LAYOUT = "bdd100k"
LAYOUTS = (BDD100K_LAYOUT,)
"""Layouts with a reader of their own; all others are two file patterns."""

REST = "rest"
SPLITS = ("own", "official")
PARTS = ("train", "val", "test")
ALL = "all"
TOP = re.compile(r"top:([1-9][0-9]*)")

MOST_LABELS = IGNORE
"""Classes of masks: the index of one is a byte, of which IGNORE is no class."""

MOST_CLASSES = 200
"""Classes that are trained. Pictures of predictions need colours of their palette for the photograph too."""

NAME = re.compile(r"[^\x00-\x1f,=+:]{1,60}")
"""Names of classes: settings join them with these marks."""


@dataclass(frozen=True)
class ClassLabel:
    """A class of the masks."""

    name: str
    values: tuple[int, ...]
    """Mask values, from 0 to 255."""
    mask_colours: tuple[Colour, ...]
    """Colours in masks that hold colours."""
    colour: Colour
    """Colour in all pictures."""


@dataclass(frozen=True)
class AttributesFile:
    """The file that has the attributes of the images: CSV with a header, or JSON with a list of objects."""

    file: str
    """Path below the folder of the dataset."""
    key: str
    """Column with the name of the image."""
    columns: tuple[str, ...]
    """The attributes; empty: every other column."""


@dataclass(frozen=True)
class Merged:
    """An output class, and the classes of the masks that belong to it."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """A dataset that can be trained on."""

    name: str
    classes: tuple[ClassLabel, ...]
    """Every class of the masks; empty where they are to be found in the masks."""
    layout: str = ""
    """One of LAYOUTS; empty: the two patterns."""
    images: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    """File patterns below the folder, with {part}, {name} and *; the first that matches any file is used."""
    select: tuple[Merged, ...] = ()
    """The classes that are trained by default; empty: all."""
    ignore: tuple[int, ...] = (IGNORE,)
    ignore_colours: tuple[Colour, ...] = ()
    ignores_rest: bool = False
    """Whether values that no class has are ignored, instead of refused."""
    attributes: AttributesFile | None = None
    attribute: str = ""
    groups: tuple[Group, ...] = ()
    """The groups of images that are compared, by the values of the attribute; none: nothing is compared."""
    drive: str = ""
    """Regular expression at the start of names; its first group is the drive. Empty: names tell no drive."""
    split: str = "own"
    parts: tuple[str, ...] = ()
    """The official parts that are read: train, val, test; empty: all. BDD100K's have masks in train and val alone."""
    balance: tuple[str, ...] = ()
    """Attributes that the own split balances beside the groups."""
    about: str = ""
    root: str = ""
    """Folder of the files, as the entry has it; empty: it is given with --data."""
    entry: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The mapping that it was parsed from, for records."""

    @property
    def is_official(self) -> bool:
        """Return whether the parts of the folder are kept as the split."""
        return self.split == "official"

    def chosen(self, selection: str = "") -> tuple[Merged, ...]:
        """Return the output classes of a selection, as `data.classes` has it.

        Args:
            selection: "" for the default, "all", or names joined by commas, merged ones as `vehicle=car+truck`.

        Raises:
            DataError: for an unknown class, one that is chosen twice, or `top:N`, which the pixels must resolve first.
        """
        if TOP.fullmatch(selection):
            raise DataError(f"data.classes {selection!r} says nothing before pixels are counted")
        if not selection:
            return self.select or tuple(Merged(label.name, (label.name,)) for label in self.classes)
        if selection == ALL:
            return tuple(Merged(label.name, (label.name,)) for label in self.classes)
        merged = tuple(_merged(text) for text in selection.split(","))
        check_selection(merged, [label.name for label in self.classes], f"data.classes {selection!r}: {self.name}")
        return merged

    def task(self, selection: str = "") -> Task:
        """Return the task of a selection; a merged class has the colour of its first member.

        Raises:
            DataError: as `chosen` does.
        """
        colours = {label.name: label.colour for label in self.classes}
        chosen = self.chosen(selection)
        return Task(
            classes=tuple(merged.name for merged in chosen),
            palette=tuple(colours[merged.members[0]] for merged in chosen),
            attribute=self.attribute,
            groups=self.groups,
            values=self._output_values(chosen),
        )

    def _output_values(self, chosen: Sequence[Merged]) -> tuple[int, ...]:
        """Return the first mask value of each output class; none where a class has colours only."""
        values = {label.name: label.values for label in self.classes}
        if not all(values[merged.members[0]] for merged in chosen):
            return ()
        return tuple(values[merged.members[0]][0] for merged in chosen)

    def remap_table(self, selection: str = "") -> np.ndarray:
        """Return the table from mask values to output classes.

        Shape:
            returns: (256,), uint8; every value outside the selection maps to IGNORE.
        """
        values = {label.name: label.values for label in self.classes}
        table = np.full(256, IGNORE, dtype=np.uint8)
        for index, merged in enumerate(self.chosen(selection)):
            for member in merged.members:
                table[list(values[member])] = index
        return table

    def is_known_value(self) -> np.ndarray:
        """Return which mask values the description knows.

        Shape:
            returns: (256,), bool
        """
        is_known = np.full(256, self.ignores_rest)
        for value in (*self.ignore, *(value for label in self.classes for value in label.values)):
            is_known[value] = True
        return is_known


def selection_text(value: Any, where: str) -> str:
    """Return `data.classes` as one text, from what YAML allows: a text, a list of names, or a mapping of merges.

    Raises:
        DataError: for anything else, or when it names nothing.
    """
    if isinstance(value, str):
        return value
    if not value:
        raise DataError(f"{where} is {value!r}, but must name classes")
    return write_selection(parse_selection(value, where))


def write_selection(chosen: Iterable[Merged]) -> str:
    """Return output classes as one text, as `Description.chosen` reads it."""
    return ",".join(
        merged.name if merged.members == (merged.name,) else f"{merged.name}={'+'.join(merged.members)}"
        for merged in chosen
    )


def check_selection(chosen: Sequence[Merged], known: Sequence[str], where: str) -> None:
    """Refuse unknown classes, and classes or names that occur twice.

    Raises:
        DataError: with the class and the known ones.
    """
    members = [member for merged in chosen for member in merged.members]
    for merged in chosen:
        if not merged.members:
            raise DataError(f"{where} has {merged.name!r} without a class that belongs to it")
    for member in members:
        if member not in known:
            raise DataError(
                f"{where} has no class {member!r}; {nearest(member, known)}known: {', '.join(known) or 'none'}"
            )
        if members.count(member) > 1:
            raise DataError(f"{where} has the class {member!r} twice, but a pixel belongs to one class")
    check_names([merged.name for merged in chosen], where, "classes")
    if len(chosen) > MOST_CLASSES:
        raise DataError(f"{where} has {len(chosen)} classes, but at most {MOST_CLASSES} can be trained")


def check_names(names: Sequence[str], where: str, kind: str) -> None:
    """Refuse names that settings or metrics could not tell apart.

    Args:
        names: of classes or groups.
        where: the place that errors name.
        kind: the plural noun of what is named.

    Raises:
        DataError: with the name.
    """
    owners: dict[str, str] = {}
    for name in names:
        if not NAME.fullmatch(name) or not slug(name):
            raise DataError(
                f"{where}: {name!r} must be a name of 1 to 60 characters, letters among them, without , = + :"
            )
        owner = owners.setdefault(slug(name), name)
        if names.count(name) > 1:
            raise DataError(f"{where} gives two {kind} the name {name!r}")
        if owner != name:
            raise DataError(f"{where} has {owner!r} and {name!r}, which metrics would name alike: rename one")


def _merged(text: str) -> Merged:
    name, is_merge, members = text.strip().partition("=")
    return Merged(name, tuple(member.strip() for member in members.split("+"))) if is_merge else Merged(name, (name,))


def parse_selection(value: Any, where: str) -> Iterator[Merged]:
    """Yield the output classes of a list of names and of mappings of merged ones.

    Raises:
        DataError: for anything else, or a merge of nothing.
    """
    if isinstance(value, str):
        yield Merged(value, (value,))
    elif isinstance(value, Mapping):
        for name, members in value.items():
            words = check_words(members, f"{where}.{name}")
            if not words:
                raise DataError(f"{where}.{name} is {members!r}, but must name the classes that it merges")
            yield Merged(str(name), tuple(words))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from parse_selection(item, where)
    else:
        raise DataError(f"{where} is {value!r}, but must be a list of classes, or a mapping of merged ones")


def check_words(value: Any, where: str) -> list[str]:
    """Return texts from one or a list of them.

    Raises:
        DataError: for anything else.
    """
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise DataError(f"{where} is {value!r}, but must be a text or a list of texts")
    return list(words)

"""Description of a dataset, as `datasets.yaml` has it: where its files are, what its masks mean, what is compared.

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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bddseg.errors import DataError, nearest
from bddseg.task import IGNORE, Colour, Group, Task

BDD100K_LAYOUT = "bdd100k"
LAYOUTS = (BDD100K_LAYOUT,)
"""Layouts with a reader of their own; all others are two file patterns."""

REST = "rest"
SPLITS = ("own", "official")
PARTS = ("train", "val", "test")
ALL = "all"
TOP = re.compile(r"top:([1-9][0-9]*)")

KEYS = (
    "layout", "images", "masks", "classes", "select", "ignore", "ignore_colours", "attributes", "groups", "drive",
    "split", "parts", "balance", "about",
)  # fmt: skip
CLASS_KEYS = ("values", "mask_colours", "colour")
ATTRIBUTES_KEYS = ("file", "key", "columns")
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
    """The official parts that are read: train, val, test; empty: all. Parts of BDD100K are train and val."""
    balance: tuple[str, ...] = ()
    """Attributes that the own split balances beside the groups."""
    about: str = ""

    def chosen(self, selection: str = "") -> tuple[Merged, ...]:
        """Return the output classes of a selection, as `data.classes` has it.

        Args:
            selection: "" for the default, "all", or names joined by commas, merged ones as `vehicle=car+truck`.

        Raises:
            DataError: for an unknown class, or one that is chosen twice.
        """
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
        )

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
        known = np.full(256, self.ignores_rest)
        for value in (*self.ignore, *(value for label in self.classes for value in label.values)):
            known[value] = True
        return known


def parse_description(name: str, entry: Any, where: str) -> Description:
    """Return the description of an entry of `datasets.yaml`.

    Args:
        name: of the dataset.
        entry: its mapping, as YAML gives it.
        where: the place that errors name, such as `datasets.yaml: camvid`.

    Raises:
        DataError: for an unknown key or a wrong value, with the place and what is known.
    """
    section = _mapping(entry, where, KEYS)
    layout = _text(section, "layout", where)
    if layout and layout not in LAYOUTS:
        raise DataError(
            f"{where}.layout is {layout!r}, but must be one of {', '.join(LAYOUTS)}; leave it out and give images and "
            "masks as patterns instead"
        )
    images, masks = _patterns(section, "images", where), _patterns(section, "masks", where)
    if bool(layout) == bool(images) or bool(images) != bool(masks):
        raise DataError(f"{where} must have either layout, or the two patterns images and masks")
    classes = _classes(section.get("classes") or {}, f"{where}.classes")
    ignore, ignores_rest = _ignored(section.get("ignore", IGNORE), f"{where}.ignore")
    ignore_colours = _colours(section.get("ignore_colours", ()), f"{where}.ignore_colours")
    _check_overlaps(classes, (*ignore, *ignore_colours), where)
    attribute, groups = _groups(section.get("groups") or {}, f"{where}.groups")
    description = Description(
        name=name,
        classes=classes,
        layout=layout,
        images=images,
        masks=masks,
        ignore=ignore,
        ignore_colours=ignore_colours,
        ignores_rest=ignores_rest,
        attributes=_attributes(section.get("attributes"), f"{where}.attributes"),
        attribute=attribute,
        groups=groups,
        drive=_pattern(section, "drive", where),
        split=_choice(section, "split", SPLITS, where),
        parts=_parts(section.get("parts") or (), f"{where}.parts"),
        balance=tuple(_words(section.get("balance") or (), f"{where}.balance")),
        about=_text(section, "about", where),
    )
    select = tuple(_selected(section.get("select") or (), f"{where}.select"))
    check_selection(select, [label.name for label in classes], f"{where}.select")
    return replace(description, select=select)


def selection_text(value: Any, where: str) -> str:
    """Return `data.classes` as one text, from what YAML allows: a text, a list of names, or a mapping of merges.

    Raises:
        DataError: for anything else.
    """
    if isinstance(value, str):
        return value
    return ",".join(
        merged.name if merged.members == (merged.name,) else f"{merged.name}={'+'.join(merged.members)}"
        for merged in _selected(value, where)
    )


def check_selection(chosen: Sequence[Merged], known: Sequence[str], where: str) -> None:
    """Refuse unknown classes, and classes or names that occur twice.

    Raises:
        DataError: with the class and the known ones.
    """
    members = [member for merged in chosen for member in merged.members]
    for member in members:
        if member not in known:
            raise DataError(
                f"{where} has no class {member!r}; {nearest(member, known)}known: {', '.join(known) or 'none'}"
            )
        if members.count(member) > 1:
            raise DataError(f"{where} has the class {member!r} twice, but a pixel belongs to one class")
    names = [merged.name for merged in chosen]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{where} gives two classes the name {name!r}")


def _merged(text: str) -> Merged:
    name, is_merge, members = text.strip().partition("=")
    return Merged(name, tuple(member.strip() for member in members.split("+"))) if is_merge else Merged(name, (name,))


def _selected(value: Any, where: str) -> Iterator[Merged]:
    if isinstance(value, str):
        yield Merged(value, (value,))
    elif isinstance(value, Mapping):
        for name, members in value.items():
            yield Merged(str(name), tuple(_words(members, f"{where}.{name}")))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _selected(item, where)
    else:
        raise DataError(f"{where} is {value!r}, but must be a list of classes, or a mapping of merged ones")


def _classes(section: Any, where: str) -> tuple[ClassLabel, ...]:
    return tuple(_class(name, entry, f"{where}.{name}") for name, entry in _mapping(section, where).items())


def _class(name: Any, entry: Any, where: str) -> ClassLabel:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise DataError(f"{where}: the name must be a text of 1 to 60 characters without , = + :")
    keys = _mapping(entry, where, CLASS_KEYS)
    values = tuple(_whole(value, f"{where}.values") for value in _listed(keys.get("values", ())))
    mask_colours = _colours(keys.get("mask_colours", ()), f"{where}.mask_colours")
    if not values and not mask_colours:
        raise DataError(f"{where} must have values or mask_colours: what the class is in a mask")
    if "colour" not in keys and not mask_colours:
        raise DataError(f"{where} must have a colour, as [red, green, blue]")
    colour = _colour(keys["colour"], f"{where}.colour") if "colour" in keys else mask_colours[0]
    return ClassLabel(name, values, mask_colours, colour)


def _ignored(value: Any, where: str) -> tuple[tuple[int, ...], bool]:
    if value == REST:
        return (IGNORE,), True
    return tuple(_whole(number, where) for number in _listed(value)), False


def _check_overlaps(classes: Sequence[ClassLabel], ignore: Sequence[Any], where: str) -> None:
    owners: dict[Any, str] = dict.fromkeys(ignore, "ignore")
    for label in classes:
        for mark in (*label.values, *label.mask_colours):
            owner = owners.setdefault(mark, label.name)
            if owner != label.name:
                raise DataError(f"{where}: {owner} and {label.name} both have the mask value {mark}")


def _groups(section: Any, where: str) -> tuple[str, tuple[Group, ...]]:
    attributes = _mapping(section, where)
    if not attributes:
        return "", ()
    if len(attributes) > 1:
        raise DataError(f"{where} has {len(attributes)} attributes, but must have one: {', '.join(attributes)}")
    ((attribute, members),) = attributes.items()
    entries = _mapping(members, f"{where}.{attribute}")
    groups = tuple(
        Group(str(name), () if values == REST else tuple(_words(values, f"{where}.{attribute}.{name}")))
        for name, values in entries.items()
    )
    if len(groups) < 2 or sum(not group.values for group in groups) > 1:
        raise DataError(f"{where}.{attribute} must have two or more groups, at most one of them `rest`")
    owners: dict[str, str] = {}
    for group in groups:
        for value in group.values:
            if owners.setdefault(value, group.name) != group.name:
                raise DataError(f"{where}.{attribute}: {owners[value]} and {group.name} both have {value!r}")
    return str(attribute), groups


def _attributes(section: Any, where: str) -> AttributesFile | None:
    if section is None:
        return None
    keys = _mapping(section, where, ATTRIBUTES_KEYS)
    if not _text(keys, "file", where):
        raise DataError(f"{where}.file is missing: the CSV or JSON file below the folder of the dataset")
    columns = tuple(_words(keys.get("columns") or (), f"{where}.columns"))
    return AttributesFile(_text(keys, "file", where), _text(keys, "key", where) or "name", columns)


def _mapping(value: Any, where: str, known: Sequence[str] = ()) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise DataError(f"{where} is {value!r}, but must be a mapping")
    for key in value:
        if known and key not in known:
            raise DataError(f"{where} has the unknown key {key!r}; {nearest(str(key), known)}known: {', '.join(known)}")
    return dict(value)


def _text(section: Mapping[str, Any], key: str, where: str) -> str:
    value = section.get(key, "")
    if not isinstance(value, str):
        raise DataError(f"{where}.{key} is {value!r}, but must be text")
    return value


def _choice(section: Mapping[str, Any], key: str, choices: Sequence[str], where: str) -> str:
    value = section.get(key, choices[0])
    if value not in choices:
        raise DataError(f"{where}.{key} is {value!r}, but must be one of {', '.join(choices)}")
    return str(value)


def _parts(value: Any, where: str) -> tuple[str, ...]:
    parts = tuple(_words(value, where))
    for part in parts:
        if part not in PARTS:
            raise DataError(f"{where} has {part!r}, but a part must be one of {', '.join(PARTS)}")
    return parts


def _patterns(section: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    patterns = tuple(_words(section.get(key) or (), f"{where}.{key}"))
    for pattern in patterns:
        if pattern.count("{name}") != 1 or pattern.startswith("/") or ".." in pattern.split("/"):
            raise DataError(
                f"{where}.{key} is {pattern!r}, but must be a path below the folder with {{name}} once; {{part}} and * "
                "may occur"
            )
    return patterns


def _pattern(section: Mapping[str, Any], key: str, where: str) -> str:
    text = _text(section, key, where)
    try:
        re.compile(text)
    except re.error as error:
        raise DataError(f"{where}.{key} is {text!r}, but must be a regular expression: {error}") from error
    return text


def _words(value: Any, where: str) -> list[str]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise DataError(f"{where} is {value!r}, but must be a text or a list of texts")
    return list(words)


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def _whole(value: Any, where: str) -> int:
    if type(value) is not int or not 0 <= value <= 255:
        raise DataError(f"{where} has {value!r}, but a mask value must be a whole number from 0 to 255")
    return value


def _colours(value: Any, where: str) -> tuple[Colour, ...]:
    """Return colours from a list of them, or from one."""
    is_one = isinstance(value, list | tuple) and bool(value) and not isinstance(value[0], list | tuple)
    return tuple(_colour(colour, where) for colour in ([value] if is_one else _listed(value)))


def _colour(value: Any, where: str) -> Colour:
    channels = value if isinstance(value, list | tuple) else ()
    if len(channels) != 3 or not all(type(channel) is int and 0 <= channel <= 255 for channel in channels):
        raise DataError(f"{where} is {value!r}, but must be [red, green, blue], each from 0 to 255")
    return (channels[0], channels[1], channels[2])

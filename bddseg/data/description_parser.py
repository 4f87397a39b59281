"""An entry of `datasets.yaml` -> Description; whatever is unknown, missing or contradictory is refused by its place."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bddseg.data.description import (
    LAYOUTS,
    MOST_LABELS,
    PARTS,
    REST,
    SPLITS,
    AttributesFile,
    ClassLabel,
    Description,
    check_names,
    check_selection,
    check_words,
    parse_selection,
)
from bddseg.errors import DataError, nearest
from bddseg.task import IGNORE, Colour, Group

LONGEST_NAME = 100
"""Characters of the name of a dataset, which MLflow's datasets and folders have."""

KEYS = (
    "root", "layout", "images", "masks", "classes", "select", "ignore", "ignore_colours", "attributes", "groups",
    "drive", "split", "parts", "balance", "about",
)  # fmt: skip
CLASS_KEYS = ("values", "mask_colours", "colour")
NUL = "\0"
ATTRIBUTES_KEYS = ("file", "key", "columns")


def parse_description(name: str, entry: Any, where: str) -> Description:
    """Return the description of an entry of `datasets.yaml`.

    Args:
        name: of the dataset.
        entry: its mapping, as YAML gives it.
        where: the place that errors name, such as `datasets.yaml: camvid`.

    Raises:
        DataError: for an unknown key or a wrong value, with the place and what is known.
    """
    if not 0 < len(name) <= LONGEST_NAME:
        raise DataError(f"{where[: 2 * LONGEST_NAME]}: the name of a dataset must have 1 to {LONGEST_NAME} characters")
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
    _check_overlaps(classes, (*(() if ignores_rest else ignore), *ignore_colours), where)
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
        balance=tuple(check_words(section.get("balance") or (), f"{where}.balance")),
        about=_text(section, "about", where),
        root=_text(section, "root", where),
        entry=section,
    )
    select = tuple(parse_selection(section.get("select") or (), f"{where}.select"))
    check_selection(select, [label.name for label in classes], f"{where}.select")
    return replace(description, select=select)


def _classes(section: Any, where: str) -> tuple[ClassLabel, ...]:
    classes = tuple(_class(name, entry, f"{where}.{name}") for name, entry in _mapping(section, where).items())
    if len(classes) > MOST_LABELS:
        raise DataError(f"{where} has {len(classes)} classes, but must have at most {MOST_LABELS}")
    check_names([label.name for label in classes], where, "classes")
    return classes


def _class(name: Any, entry: Any, where: str) -> ClassLabel:
    if not isinstance(name, str):
        raise DataError(f"{where}: the name is {name!r}, but must be text: write it in quotes")
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
                noun = "colour" if mark in label.mask_colours else "value"
                raise DataError(f"{where}: {owner} and {label.name} both have the mask {noun} {mark}")


def _groups(section: Any, where: str) -> tuple[str, tuple[Group, ...]]:
    attributes = _mapping(section, where)
    if not attributes:
        return "", ()
    if len(attributes) > 1:
        named = ", ".join(map(str, attributes))
        raise DataError(f"{where} has {len(attributes)} attributes, but must have one: {named}")
    ((attribute, members),) = attributes.items()
    if not str(attribute):
        raise DataError(f"{where} must name an attribute of the images")
    entries = _mapping(members, f"{where}.{attribute}")
    groups = tuple(_group(str(name), values, f"{where}.{attribute}") for name, values in entries.items())
    check_names([group.name for group in groups], f"{where}.{attribute}", "groups")
    if len(groups) < 2 or sum(not group.values for group in groups) > 1:
        raise DataError(f"{where}.{attribute} must have two or more groups, at most one of them `rest`")
    owners: dict[str, str] = {}
    for group in groups:
        for value in group.values:
            if owners.setdefault(value, group.name) != group.name:
                raise DataError(f"{where}.{attribute}: {owners[value]} and {group.name} both have {value!r}")
    return str(attribute), groups


def _group(name: str, values: Any, where: str) -> Group:
    words = [] if values == REST else check_words(values, f"{where}.{name}")
    if values != REST and not words:
        raise DataError(f"{where}.{name} has no value: name values of the attribute, or write `rest` for all others")
    return Group(name, tuple(words))


def _attributes(section: Any, where: str) -> AttributesFile | None:
    if section is None:
        return None
    keys = _mapping(section, where, ATTRIBUTES_KEYS)
    if not (file := _text(keys, "file", where)):
        raise DataError(f"{where}.file is missing: the CSV or JSON file below the folder of the dataset")
    if _leaves_folder(file):
        raise DataError(f"{where}.file is {file!r}, but must be a path below the folder of the dataset")
    columns = tuple(check_words(keys.get("columns") or (), f"{where}.columns"))
    return AttributesFile(file, _text(keys, "key", where) or "name", columns)


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
    if NUL in value:
        raise DataError(f"{where}.{key} is {value!r}, but no name of a file has a NUL character")
    return value


def _choice(section: Mapping[str, Any], key: str, choices: Sequence[str], where: str) -> str:
    value = section.get(key, choices[0])
    if value not in choices:
        raise DataError(f"{where}.{key} is {value!r}, but must be one of {', '.join(choices)}")
    return str(value)


def _parts(value: Any, where: str) -> tuple[str, ...]:
    parts = tuple(check_words(value, where))
    for part in parts:
        if part not in PARTS:
            raise DataError(f"{where} has {part!r}, but a part must be one of {', '.join(PARTS)}")
    return parts


def _patterns(section: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    patterns = tuple(check_words(section.get(key) or (), f"{where}.{key}"))
    for pattern in patterns:
        if pattern.count("{name}") != 1 or _leaves_folder(pattern) or NUL in pattern:
            raise DataError(
                f"{where}.{key} is {pattern!r}, but must be a path below the folder with {{name}} once; {{part}} and * "
                "may occur"
            )
    return patterns


def _leaves_folder(path: str) -> bool:
    """Return whether a relative path is none, or leads out of the folder that it starts in."""
    return path.startswith("/") or ".." in path.split("/")


def _pattern(section: Mapping[str, Any], key: str, where: str) -> str:
    text = _text(section, key, where)
    try:
        re.compile(text)
    except re.error as error:
        raise DataError(f"{where}.{key} is {text!r}, but must be a regular expression: {error}") from error
    return text


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

"""Drafts the description of a dataset from its folder: what is guessed is for the user to correct."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from bddseg.data.bdd100k_labels import BDD100K
from bddseg.data.description import ClassLabel, Description
from bddseg.data.description_parser import LONGEST_NAME
from bddseg.data.drives import drive_of
from bddseg.data.found_classes import MaskContent, class_entry, count_content, describe_content
from bddseg.data.layout_guess import guess_layout
from bddseg.data.sample import Catalog
from bddseg.task import IGNORE
from bddseg.words import count

MOST_MASKS = 200
"""Masks whose values are counted, spread over the names."""

DRIVES = (r"([^_-]+)[_-]", r"(.+)[_-][^_-]*$", r"(.*\D)\d+$")
"""Rules for the drive that are tried: the text before the first mark, before the last one, before the number."""

FEWEST_IMAGES_OF_DRIVE = 2
WIDTH = 110


class _OneLine(dict[str, Any]):
    """A mapping that is written on one line."""


class _Dumper(yaml.SafeDumper):
    """Writes YAML with some mappings on one line."""


_Dumper.add_representer(
    _OneLine, lambda dumper, mapping: dumper.represent_mapping("tag:yaml.org,2002:map", mapping, flow_style=True)
)


def draft_description(root: Path, shipped: Sequence[Description] = ()) -> str:
    """Return a description of the folder as YAML, which loads as it is.

    Args:
        root: the folder.
        shipped: descriptions whose layout and classes are taken where they fit.

    Raises:
        AccessError: when the system refuses to read a folder or a mask.
        DataError: when no images with masks are in the folder, or the masks hold no classes.
    """
    description, catalog = guess_layout(root, shipped)
    masks = [sample.mask for sample in catalog.samples[:: -(-len(catalog.samples) // MOST_MASKS)]]
    content = count_content(masks)
    if not description.classes or not knows_content(description, content):
        description = _describe(content, description, (BDD100K, *shipped))
    names = [sample.name for sample in catalog.samples]
    drive, drives = description.drive, 0
    if not drive or not any(drive_of(name, drive) for name in names):
        drive, drives = guess_drive(names)
    entry = {"about": f"drafted from {root.name}", "root": str(root.resolve()), **_layout_entry(description)}
    entry |= {"drive": drive} if drive else {}
    notes = (*_content_notes(content, description, len(masks), len(catalog.samples)), _drive_note(drive, drives))
    return _write(root, entry, catalog, notes)


def _describe(content: MaskContent, layout: Description, known: Sequence[Description]) -> Description:
    """Return the layout with the classes of the masks, named as in a known dataset that has all their colours."""
    bare = replace(layout, classes=(), select=(), ignore=(IGNORE,), ignores_rest=False)
    named = next((other for other in known if content.colours and knows_content(other, content)), None)
    if named is None:
        return describe_content(content, bare)
    labels = tuple(ClassLabel(label.name, (), label.mask_colours, label.colour) for label in named.classes)
    return replace(bare, classes=labels, ignore_colours=named.ignore_colours)


def knows_content(description: Description, content: MaskContent) -> bool:
    """Return whether a description has a meaning for every value and colour of masks."""
    is_known = description.is_known_value()
    colours = {*description.ignore_colours, *(colour for label in description.classes for colour in label.mask_colours)}
    has_values = any(label.values for label in description.classes)
    return all(has_values and is_known[value] for value in content.values) and colours.issuperset(content.colours)


def guess_drive(names: Sequence[str]) -> tuple[str, int]:
    """Return a regular expression for the drive in names, and the number of drives; "" and 0 if none is plausible.

    A rule is plausible if it finds a drive in every name, more than one in total, and most names share theirs.
    """
    for pattern in DRIVES:
        drives = Counter(match.group(1) for name in names if (match := re.match(pattern, name)))
        shared = sum(number for number in drives.values() if number >= FEWEST_IMAGES_OF_DRIVE)
        if len(drives) > 1 and drives.total() == len(names) and 2 * shared > len(names):
            return pattern, len(drives)
    return "", 0


def _layout_entry(description: Description) -> dict[str, Any]:
    """Return layout, classes and groups as an entry of `datasets.yaml` has them."""
    entry: dict[str, Any] = {"layout": description.layout} if description.layout else {
        "images": _one_or_list(description.images), "masks": _one_or_list(description.masks),
    }  # fmt: skip
    entry["classes"] = {label.name: _OneLine(class_entry(label)) for label in description.classes}
    if description.select:
        entry["select"] = [
            merged.name if merged.members == (merged.name,) else {merged.name: list(merged.members)}
            for merged in description.select
        ]
    entry["ignore"] = "rest" if description.ignores_rest else list(description.ignore)
    if description.ignore_colours:
        entry["ignore_colours"] = [list(colour) for colour in description.ignore_colours]
    if description.groups:
        entry["groups"] = {
            description.attribute: {group.name: list(group.values) or "rest" for group in description.groups}
        }
    return entry | ({"parts": list(description.parts)} if description.parts else {})


def _one_or_list(patterns: Sequence[str]) -> str | list[str]:
    return patterns[0] if len(patterns) == 1 else list(patterns)


def _content_notes(content: MaskContent, description: Description, masks: int, samples: int) -> Iterator[str]:
    total = sum(content.values.values()) + sum(content.colours.values())
    yield f"share of the pixels of {masks} of {count(samples, 'mask')}:"
    for value, pixels in sorted(content.values.items()):
        yield f"  value {value}: {pixels / total:.2%}"
    for colour, pixels in sorted(content.colours.items()):
        yield f"  colour {list(colour)}: {pixels / total:.2%}"
    if IGNORE in content.values and IGNORE in description.ignore:
        yield f"value {IGNORE} is taken as ignored"
    if masks < samples:
        yield "a value or colour that only the other masks have is refused by name when it is read"


def _drive_note(drive: str, drives: int) -> str:
    if not drive:
        return "the names show no drive: if they have one, give its regular expression as `drive`"
    return f"the rule for drives finds {count(drives, 'drive')}" if drives else "the rule for drives is the shipped one"


def _write(root: Path, entry: Mapping[str, Any], catalog: Catalog, notes: Sequence[str]) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", root.resolve().name).strip("-.")[:LONGEST_NAME] or "dataset"
    lines = ("Drafted from the files: check the names of the classes, their colours and the drive.",)
    comments = "".join(f"# {line}\n" for line in (*lines, *catalog.summary(), *notes))
    document = {name: dict(entry)}
    text = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=WIDTH
    )
    return f"{comments}\n{text}"

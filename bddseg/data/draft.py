"""Drafts the description of a dataset from its folder: layout, classes and drives are guessed, for the user to correct."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bddseg.data.bdd100k import is_dataset, read_bdd100k
from bddseg.data.bdd100k_labels import BDD100K
from bddseg.data.description import BDD100K_LAYOUT, Description
from bddseg.data.drives import clip_of
from bddseg.data.folders import archives_in, folders_in, in_short
from bddseg.data.found_classes import MaskContent, count_content, describe_content
from bddseg.data.image_io import has_image_name
from bddseg.data.pattern_layout import read_pattern_layout
from bddseg.data.patterns import PART_NAMES
from bddseg.data.sample import Catalog
from bddseg.errors import DataError
from bddseg.task import IGNORE

MOST_MASKS = 200
"""Masks whose values are counted, spread over the names."""

ENDS = ("_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_segmentation", "_L", "-mask", "_annot", "")
"""What names of masks have behind those of their images."""

FEWEST_IMAGES_OF_DRIVE = 2


@dataclass(frozen=True)
class Layout:
    """A guess at where the files are."""

    name: str
    images: str
    masks: str


SHIPPED = (
    Layout("cityscapes", "leftImg8bit/{part}/*/{name}_leftImg8bit.png", "gtFine/{part}/*/{name}_gtFine_labelIds.png"),
    Layout("camvid", "{part}/{name}.png", "{part}annot/{name}.png"),
    Layout("camvid-32", "701_StillsRaw_full/{name}.png", "LabeledApproved_full/{name}_L.png"),
    Layout("camvid-32", "{part}/{name}.png", "{part}_labels/{name}_L.png"),
    Layout("pairs", "images/{name}.*", "masks/{name}.*"),
    Layout("pairs", "images/{part}/{name}.*", "masks/{part}/{name}.*"),
)


def draft_description(root: Path) -> str:
    """Return a description of the folder as YAML, which loads as it is; what was guessed is commented.

    Raises:
        AccessError: when the system refuses to read a folder or a mask.
        DataError: when no images with masks are in the folder, or the masks hold no classes.
    """
    description, catalog = _guess_layout(root)
    chosen = catalog.samples[:: max(1, -(-len(catalog.samples) // MOST_MASKS))]
    content = count_content([sample.mask for sample in chosen])
    entry: dict[str, Any] = {"about": f"drafted from {root.name}", "root": str(root.resolve())}
    entry |= _layout_entry(description)
    if not description.layout:
        entry |= _classes_entry(content, description)
    drive, drives = guess_drive([sample.name for sample in catalog.samples])
    if drive and not description.drive:
        entry["drive"] = drive
    return _write(root, entry, catalog, content, len(chosen), drives)


def guess_drive(names: Sequence[str]) -> tuple[str, int]:
    """Return a regular expression for the drive in names, and the number of drives; "" and 0 if none is plausible.

    The drive is what names have before their first, or their last, `_` or `-`, where that makes at least two drives
    and most names share theirs; else the text before the number at the end.
    """
    for pattern in (r"([^_-]+)[_-]", r"(.+)[_-][^_-]*$", r"(.*\D)\d+$"):
        drives = Counter(match.group(1) for name in names if (match := re.match(pattern, name)))
        shared = sum(number for number in drives.values() if number >= FEWEST_IMAGES_OF_DRIVE)
        if len(drives) > 1 and drives.total() == len(names) and 2 * shared > len(names):
            return pattern, len(drives)
    return "", 0


def _guess_layout(root: Path) -> tuple[Description, Catalog]:
    """Return the first layout by which the folder has images with masks, and its files."""
    if is_dataset(root):
        try:
            return BDD100K, read_bdd100k(root, BDD100K)
        except DataError:
            return _without_groups(root)
    best: tuple[Description, Catalog] | None = None
    for layout in (*SHIPPED, *_guesses(root)):
        description = Description(layout.name, (), images=(layout.images,), masks=(layout.masks,))
        try:
            catalog = read_pattern_layout(root, description)
        except DataError:
            continue
        if best is None or len(catalog.samples) > len(best[1].samples):
            best = description, catalog
    if best is None:
        archives = archives_in(root)
        cure = f"unpack {in_short(archives)} in it first" if archives else "write the patterns images and masks by hand"
        raise DataError(f"{root} has no images with masks of the same names in two folders; {cure}")
    return best


def _without_groups(root: Path) -> tuple[Description, Catalog]:
    """Return the description of a BDD100K folder without label files."""
    description = Description("bdd100k", BDD100K.classes, layout=BDD100K_LAYOUT, ignore_colours=BDD100K.ignore_colours)
    return description, read_bdd100k(root, description)


def _guesses(root: Path) -> Iterator[Layout]:
    """Yield two patterns for each pair of folders that may hold images and masks, and for one folder with both."""
    folders = [path for path in (root, *_folders_below(root)) if any(has_image_name(name) for name in _names(path))]
    places = dict.fromkeys(_generic(path.relative_to(root).parts) for path in folders)
    for images in places:
        for masks in places:
            for end in ENDS:
                if images != masks or end:
                    yield Layout(root.name, _joined(images, "{name}.*"), _joined(masks, f"{{name}}{end}.*"))


def _folders_below(root: Path, depth: int = 3) -> Iterator[Path]:
    for folder in folders_in(root):
        if not folder.name.startswith("."):
            yield folder
            if depth > 1 and not folder.is_symlink():
                yield from _folders_below(folder, depth - 1)


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []


def _generic(parts: Sequence[str]) -> tuple[str, ...]:
    """Return the folders of a path with {part} for that of an official part."""
    return tuple("{part}" if part.lower() in PART_NAMES else part for part in parts)


def _joined(folders: Sequence[str], file: str) -> str:
    return "/".join((*folders, file))


def _layout_entry(description: Description) -> dict[str, Any]:
    if not description.layout:
        return {"images": description.images[0], "masks": description.masks[0]}
    classes = {
        label.name: {"values": list(label.values), "mask_colours": [list(colour) for colour in label.mask_colours],
                     "colour": list(label.colour)}
        for label in description.classes
    }  # fmt: skip
    entry: dict[str, Any] = {"layout": description.layout, "classes": classes}
    if description.select:
        entry["select"] = [merged.name for merged in description.select]
    entry["ignore_colours"] = [list(colour) for colour in description.ignore_colours]
    if description.groups:
        groups = {group.name: list(group.values) or "rest" for group in description.groups}
        entry |= {"groups": {description.attribute: groups}, "drive": description.drive}
    return entry


def _classes_entry(content: MaskContent, description: Description) -> dict[str, Any]:
    drafted = describe_content(content, description).entry
    return {"classes": drafted["classes"], "ignore": drafted["ignore"]}


def _write(
    root: Path, entry: Mapping[str, Any], catalog: Catalog, content: MaskContent, masks: int, drives: int
) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", root.resolve().name).strip("-.") or "dataset"
    total = sum(content.values.values()) + sum(content.colours.values())
    lines = ["Drafted from the files: check the names of the classes, their colours and the drive."]
    lines += catalog.summary()
    lines.append(f"of the pixels of {masks} masks:")
    lines += [f"  value {value}: {pixels / total:.2%}" for value, pixels in sorted(content.values.items())]
    lines += [f"  colour {list(colour)}: {pixels / total:.2%}" for colour, pixels in sorted(content.colours.items())]
    if IGNORE in content.values and IGNORE in entry.get("ignore", ()):
        lines.append(f"value {IGNORE} is taken as ignored")
    lines.append(
        f"drives by this rule: {drives}"
        if drives
        else "no drive is seen in the names: give `drive`, a regular expression"
    )
    text = yaml.safe_dump({name: dict(entry)}, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    return "".join(f"# {line}\n" for line in lines) + "\n" + text

"""Reads a dataset folder in BDD100K's layout, in every form in which it is distributed."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bddseg.data.attributes import read_attributes
from bddseg.data.bdd100k_scenes import check_scenes, unknown_values
from bddseg.data.description import Description
from bddseg.data.det_files import ATTRIBUTES, SCENE, has_det_files, read_entries
from bddseg.data.folders import NO_FILE, archives_in, folders_in, in_short, list_folder
from bddseg.data.image_io import has_image_name, key_of
from bddseg.data.matching import AttributeTable, Files, Key, absent_values, check_columns, match_files
from bddseg.data.sample import Catalog, Remark, same_name
from bddseg.errors import AccessError, DataError
from bddseg.words import count

IMAGES = "images/10k"
MASKS = "labels/sem_seg/masks"
IMAGE_FOLDERS = (IMAGES, "images/100k", "seg/images")
MASK_FOLDERS = (MASKS, "seg/labels", "labels/sem_seg/colormaps", "seg/color_labels")
"""Folders of the current and earlier downloads; the first that has files is read."""

PARTS = ("train", "val")
VALUE_MARK, COLOUR_MARK = "_train_id", "_train_color"
"""Ends of mask names in earlier downloads."""

CURE = (
    "download the 10k images, the semantic segmentation masks and the det_20 labels from the BDD100K project's "
    "download page and unpack them into one folder"
)


@dataclass(frozen=True)
class _Listed:
    """Files of both parts in one folder."""

    folder: str
    files: Mapping[Key, Path]
    other_names: tuple[str, ...] = ()
    """Names of what is neither image nor mask."""
    colour_maps: tuple[str, ...] = ()
    """Colour maps that have a mask of values beside them, which is read instead."""


def is_dataset(root: Path) -> bool:
    """Return whether a folder looks like BDD100K, without reading a file."""
    return any(os.path.isdir(root / folder / "train") for folder in IMAGE_FOLDERS)  # noqa: PTH112 - see is_visible


def read_bdd100k(root: Path, description: Description) -> Catalog:
    """Return the samples of a folder: every image that has a mask, and a scene if the description compares groups.

    The mask of an image is searched in the same part (train, val), its attributes by file name in both det files, or
    in the description's own attributes file.

    Raises:
        AccessError: when the system refuses to read a folder or a det file.
        DataError: when a part of the layout is missing, a det file is damaged, a scene is misspelt, two files have
            the same name, or no image has both mask and scene.
    """
    pictures = _first_folder(root, IMAGE_FOLDERS, _list_images)
    if not pictures.files:
        raise DataError(f"{root} has no images: looked for *.jpg in {_looked_in(IMAGE_FOLDERS)}; {_cure(root)}")
    _check_parts(pictures.files)
    masks = _first_folder(root, MASK_FOLDERS, _list_masks)
    if not masks.files:
        raise DataError(f"{root} has no masks: looked for *.png in {_looked_in(MASK_FOLDERS)}; {_cure(root)}")
    needed = description.attribute
    table = _read_table(root, description)
    check_columns(description, table)
    names = {key: path.stem for key, path in pictures.files.items()}
    files = Files(pictures.files, masks.files, names, {key: key[0] for key in names}, masks.folder)
    matches = match_files(files, table, needed)
    if not matches.samples:
        raise DataError(_nothing_matches(root, files, table, needed))
    has_scenes = table is not None and SCENE in table.columns and description.attributes is None
    if has_scenes and needed == SCENE:
        check_scenes(matches.samples, table.where if table else "")
    absent = absent_values(matches.samples, description)
    remarks = [*_forms(pictures, masks), *matches.remarks, *absent, *_ignored(root, pictures, masks)]
    remarks += unknown_values(matches.samples) if has_scenes else ()
    return Catalog(
        root=root,
        samples=matches.samples,
        attribute=needed,
        remarks=tuple(remarks),
        label_files=matches.label_files,
    )


def _first_folder(root: Path, folders: Sequence[str], list_files: Callable[[Path, str], _Listed]) -> _Listed:
    """Return the files of the first folder that has any."""
    for folder in folders:
        listed = list_files(root, folder)
        if listed.files:
            return listed
    return list_files(root, folders[0])


def _list_images(root: Path, folder: str) -> _Listed:
    files: dict[Key, Path] = {}
    other_names: list[str] = []
    for part in PARTS:
        listing = list_folder(root / folder / part, has_image_name)
        other_names += listing.other_names
        for path in listing.accepted:
            first = files.setdefault((part, key_of(path.name)), path)
            if first != path:
                raise same_name(first, path)
    return _Listed(folder, files, tuple(other_names))


def _list_masks(root: Path, folder: str) -> _Listed:
    files: dict[Key, Path] = {}
    other_names: list[str] = []
    colour_maps: dict[Key, Path] = {}
    for part in PARTS:
        listing = list_folder(root / folder / part, _has_mask_name)
        other_names += listing.other_names
        for path in listing.accepted:
            stem = key_of(path.name)
            holds_colours = stem.endswith(COLOUR_MARK)
            key = (part, stem.removesuffix(COLOUR_MARK).removesuffix(VALUE_MARK))
            first = (colour_maps if holds_colours else files).setdefault(key, path)
            if first != path:
                raise same_name(first, path)
    beside = tuple(f"{key[0]}/{path.name}" for key, path in colour_maps.items() if key in files)
    return _Listed(folder, colour_maps | files, tuple(other_names), beside)


def _has_mask_name(name: str) -> bool:
    return name.lower().endswith(".png") and not name.startswith(".")


def _check_parts(files: Mapping[Key, Path]) -> None:
    first: dict[str, Path] = {}
    for (_, name), path in files.items():
        if (first_path := first.setdefault(name, path)) != path:
            raise same_name(first_path, path)


def _read_table(root: Path, description: Description) -> AttributeTable | None:
    """Return the attributes of the images; None if there is no label file and none is needed."""
    if description.attributes:
        return read_attributes(root, description.attributes)
    if not description.attribute and not description.balance and not has_det_files(root):
        return None
    entries = read_entries(root)
    remarks = []
    if entries.unusable:
        number = count(len(entries.unusable), "entry", "entries")
        remarks.append(Remark("unusable", f"{number} of {entries.where} without a scene", entries.unusable))
    if entries.other_forms:
        remarks.append(Remark("other_labels", "label files in other forms, not read", entries.other_forms))
    if entries.odd:
        remarks.append(Remark("odd", f"counted as undefined, not text: {len(entries.odd)}", entries.odd))
    values = {key: attributes._asdict() for key, attributes in entries.attributes.items()}
    return AttributeTable(ATTRIBUTES, values, entries.files, entries.where, tuple(remarks))


def _nothing_matches(root: Path, files: Files, table: AttributeTable | None, needed: str) -> str:
    entries = f" and {len(table.values)} det entries" if table else ""
    wanted = f"both a {needed} and a mask" if needed else "a mask"
    return (
        f"no image in {root} has {wanted}: {len(files.images)} images, {len(files.masks)} masks{entries} do not share "
        f"names; {_cure(root)}"
    )


def _forms(pictures: _Listed, masks: _Listed) -> Iterator[Remark]:
    """Yield a remark for each folder that is not the one of the current download."""
    if pictures.folder != IMAGES:
        yield Remark("form", f"images are read from {pictures.folder}: there are none in {IMAGES}")
    if masks.folder != MASKS:
        yield Remark("form", f"masks are read from {masks.folder}: there are none in {MASKS}")
    if names := masks.colour_maps:
        yield Remark("form", f"{count(len(names), 'colour map')} not read: masks of values are beside them", names)


def _ignored(root: Path, pictures: _Listed, masks: _Listed) -> Iterator[Remark]:
    if names := (*pictures.other_names, *masks.other_names):
        yield Remark("ignored", f"ignored, not an image or mask: {len(names)}", names)
    if names := (*_beside(root, pictures.folder), *_beside(root, masks.folder)):
        yield Remark("beside", f"ignored, only {' and '.join(PARTS)} are read: {len(names)}", names)


def _beside(root: Path, folder: str) -> Iterator[str]:
    """Yield the names beside the parts, with their folder; none if the folder cannot be listed."""
    try:
        listing = list_folder(root / folder, lambda name: False)
    except AccessError:
        return
    for name in listing.other_names:
        if name.removesuffix(NO_FILE) not in PARTS:
            yield f"{folder}/{name}"


def _looked_in(folders: Sequence[str]) -> str:
    first = " and ".join(f"{folders[0]}/{part}" for part in PARTS)
    return f"{first}, also in {', '.join(folders[1:])}"


def _cure(root: Path) -> str:
    """Return how to get what is missing: another folder to name, files to unpack, or a download."""
    if nested := [folder for folder in folders_in(root) if is_dataset(folder)]:
        return f"{nested[0]} looks like the folder to give instead"
    if archives := archives_in(root):
        return f"unpack {in_short(archives)} in it first"
    return CURE

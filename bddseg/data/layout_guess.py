"""Guesses where the images and masks of an unknown folder are."""

import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

import numpy as np

from bddseg.data.bdd100k import is_dataset, read_bdd100k
from bddseg.data.bdd100k_labels import BDD100K
from bddseg.data.description import Description
from bddseg.data.folders import archives_in, folders_in, in_short, is_folder, is_there, names_in
from bddseg.data.image_io import LOSSLESS_SUFFIXES, has_image_name, read_picture
from bddseg.data.mask_values import pack_colours
from bddseg.data.pattern_layout import read_pattern_layout
from bddseg.data.patterns import PART_NAMES, list_first
from bddseg.data.sample import Catalog, Remark
from bddseg.errors import DataError

ENDS = ("", "_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_segmentation", "_annot", "_L", "-mask", "_m")
"""What names of masks have behind those of their images."""

DEEPEST = 4
"""Folders are searched so many levels down."""

PART, ANY = "{part}", "*"
ALL_COLOURS = 2**24
PART_IN_NAME = re.compile(
    f"(?i)(?<![a-z])(?:{'|'.join(sorted(PART_NAMES, key=len, reverse=True))})(?=$|[^a-z]|annot|labels?|masks?)"
)
"""A part in the name of a folder, such as `train`, `train_labels` or `trainannot`."""


@dataclass
class _Group:
    """Folders that differ in their part only, and the names of the images or masks in them."""

    folders: tuple[str, ...]
    """Path below the root, with {part}."""
    paths: dict[str, Path] = field(default_factory=dict)
    """Part and name -> file."""


@dataclass(frozen=True)
class _Guess:
    """Two groups of which one may hold the masks of the other."""

    images: _Group
    masks: _Group
    end: str
    shared: tuple[str, ...]
    """Part and name of each image that has a mask."""


def guess_layout(root: Path, shipped: Sequence[Description]) -> tuple[Description, Catalog]:
    """Return a description of the folder, without classes where it is none of the shipped, and its samples.

    Args:
        root: the folder.
        shipped: descriptions that are tried first.

    Raises:
        AccessError: when the system refuses to read a folder.
        DataError: when there is no such folder, or no images with masks are found.
    """
    if not is_folder(root):
        raise DataError(f"{root} {'is not a folder' if is_there(root) else 'does not exist'}")
    if is_dataset(root):
        return _as_bdd100k(root)
    for description in shipped:
        if description.classes and not description.layout:
            try:
                return description, read_pattern_layout(root, description)
            except DataError:
                continue
    descriptions = _guess_pairs(root)
    if not descriptions:
        _check_access(root)
        raise DataError(f"{root} has no images with masks of the same names in two folders; {_cure(root, shipped)}")
    return _first_readable(root, descriptions)


def _check_access(root: Path) -> None:
    """Refuse a folder in which something cannot be listed: what is missing may be there.

    Raises:
        AccessError: with the first such folder.
    """
    for folder in (root, *_folders_below(root, DEEPEST)):
        names_in(folder)


def _cure(root: Path, shipped: Sequence[Description]) -> str:
    """Return how to get what is missing: another folder to name, files to unpack, or patterns of one's own."""
    for folder in folders_in(root):
        if is_dataset(folder) or any(_has_files(folder, description) for description in shipped):
            return f"{folder} looks like the folder to give instead"
    if archives := archives_in(root):
        return f"unpack {in_short(archives)} in it first"
    return "write the patterns images and masks by hand"


def _has_files(root: Path, description: Description) -> bool:
    patterns = (description.images, description.masks)
    return not description.layout and all(list_first(root, choices).files for choices in patterns)


def _as_bdd100k(root: Path) -> tuple[Description, Catalog]:
    try:
        return BDD100K, read_bdd100k(root, BDD100K)
    except DataError:  # no label files: all classes, and nothing to compare
        bare = replace(BDD100K, select=(), attribute="", groups=())
        return bare, read_bdd100k(root, bare)


def _guess_pairs(root: Path) -> list[Description]:
    """Return descriptions of two groups with as many shared names as possible, the most likely one first."""
    groups = _groups(root)
    guesses = [guess for images in groups for masks in groups for end in ENDS if (guess := _pair(images, masks, end))]
    most = max((len(guess.shared) for guess in guesses), default=0)
    likely = sorted((guess for guess in guesses if len(guess.shared) == most), key=_doubt)
    name = PurePath(root.resolve().name).name or "dataset"
    return [
        Description(name, (), images=(_pattern(guess.images, ""),), masks=(_pattern(guess.masks, guess.end),))
        for guess in likely
    ]


def _first_readable(root: Path, descriptions: Sequence[Description]) -> tuple[Description, Catalog]:
    """Return the first description that reads the folder.

    Raises:
        DataError: that of the first one, when none does.
    """
    problems: list[DataError] = []
    for description in descriptions:
        try:
            catalog = read_pattern_layout(root, description)
            return description, replace(catalog, remarks=(*catalog.remarks, *_unread(_groups(root), catalog)))
        except DataError as error:
            problems.append(error)
    raise problems[0]


def _unread(groups: Sequence[_Group], catalog: Catalog) -> Iterator[Remark]:
    """Yield a remark about image files that are neither an image nor a mask of the catalog."""
    used = {path for sample in catalog.samples for path in (sample.image, sample.mask)}
    paths = {path for group in groups for path in group.paths.values()} - used
    if paths:
        names = tuple(sorted(path.relative_to(catalog.root).as_posix() for path in paths))
        yield Remark("unread", f"image files that are no part of these pairs: {len(names)}", names)


def _groups(root: Path) -> list[_Group]:
    groups: dict[tuple[str, ...], _Group] = {}
    for folder in (root, *_folders_below(root, DEEPEST)):
        parts = folder.relative_to(root).parts
        generic = tuple(PART_IN_NAME.sub(PART, folder_name, count=1) for folder_name in parts)
        match = next(filter(None, map(PART_IN_NAME.search, parts)), None)
        part = PART_NAMES[match.group().lower()] if match else ""
        places = [generic] if len(generic) < 2 or generic[-1] == PART else [generic, (*generic[:-1], ANY)]
        for path, place in itertools.product(_images_in(folder), places):
            groups.setdefault(place, _Group(place)).paths[f"{part}/{path.stem}"] = path
    return list(groups.values())


def _folders_below(root: Path, depth: int) -> Iterator[Path]:
    for folder in folders_in(root):
        if not folder.name.startswith(".") and not folder.is_symlink():
            yield folder
            if depth > 1:
                yield from _folders_below(folder, depth - 1)


def _images_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if has_image_name(path.name))
    except OSError:
        return []


def _pair(images: _Group, masks: _Group, end: str) -> _Guess | None:
    """Return the guess that these are images and masks; None if no names match."""
    if images is masks and not end:
        return None
    shared = tuple(
        name for name, path in images.paths.items() if masks.paths.get(f"{name}{end}", path) != path
    )  # a folder is no mask of itself, which one of its groups with * would be
    if not shared or not all(masks.paths[f"{name}{end}"].suffix.lower() in LOSSLESS_SUFFIXES for name in shared):
        return None
    return _Guess(images, masks, end, shared)


def _doubt(guess: _Guess) -> tuple[int, int, int]:
    """Return how unlikely a guess is: by its wildcards, and by the colours of the first mask and its image.

    Of a photograph and a mask, the mask has fewer colours.
    """
    name = guess.shared[0]
    wildcards = (*guess.images.folders, *guess.masks.folders).count(ANY)
    return wildcards, _count_colours(guess.masks.paths[f"{name}{guess.end}"]), -_count_colours(guess.images.paths[name])


@functools.lru_cache(maxsize=1024)
def _count_colours(path: Path) -> int:
    """Return the number of colours of an image; more than any has for one that cannot be read."""
    try:
        return len(np.unique(pack_colours(read_picture(path).image)))
    except DataError:
        return ALL_COLOURS + 1


def _pattern(group: _Group, end: str) -> str:
    return "/".join((*group.folders, f"{{name}}{end}.*"))

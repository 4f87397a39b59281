"""Reads a dataset folder by the two file patterns of its description."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bddseg.data.attributes import read_attributes
from bddseg.data.description import Description
from bddseg.data.folders import archives_in, folders_in, in_short
from bddseg.data.matching import AttributeTable, Files, Key, absent_values, check_columns, match_files
from bddseg.data.patterns import PatternFile, PatternListing, list_first, normal_name
from bddseg.data.sample import Catalog, Remark, images, same_name
from bddseg.errors import DataError
from bddseg.words import count

PART_FIELD = "{part}"


def read_pattern_layout(root: Path, description: Description) -> Catalog:
    """Return the samples of a folder: every image that has a mask, and the attribute whose groups are compared.

    Raises:
        AccessError: when the system refuses to read a folder or the attributes file.
        DataError: when no file matches a pattern, two files have the same name, the attributes file is damaged, or no
            image has a mask.
    """
    pictures, masks = list_first(root, description.images), list_first(root, description.masks)
    for listing, noun, patterns in ((pictures, "images", description.images), (masks, "masks", description.masks)):
        if not listing.files:
            raise DataError(f"{root} has no {noun}: looked for {' and '.join(patterns)}; {_cure(root, description)}")
    _drop_masks(root, pictures, masks)
    table = read_attributes(root, description.attributes) if description.attributes else None
    check_columns(description, table)
    files = _match_parts(root, pictures, masks, description.parts)
    matches = match_files(files, table, description.attribute)
    if not matches.samples:
        raise DataError(_nothing_matches(root, pictures, masks, table, description))
    return Catalog(
        root=root,
        samples=matches.samples,
        attribute=description.attribute,
        remarks=(
            *_left_out(pictures, description.parts),
            *matches.remarks,
            *absent_values(matches.samples, description),
            *_ignored(root, pictures, masks),
        ),
        label_files=matches.label_files,
    )


def _drop_masks(root: Path, pictures: PatternListing, masks: PatternListing) -> None:
    """Remove from the images what is a mask: the pattern of masks says more, such as `{name}_mask.png`.

    Raises:
        DataError: when no image remains.
    """
    paths = {file.path for file in masks.files}
    pictures.files = [file for file in pictures.files if file.path not in paths]
    if not pictures.files:
        raise DataError(f"{root}: the patterns {pictures.pattern} and {masks.pattern} match the same files")


def _match_parts(root: Path, pictures: PatternListing, masks: PatternListing, parts: Sequence[str]) -> Files:
    """Return the files by their keys; the part belongs to the key if both patterns have it."""
    has_parts = PART_FIELD in pictures.pattern and PART_FIELD in masks.pattern
    chosen = [file for file in pictures.files if not parts or file.part in parts]
    images_by_key = _by_key(chosen, has_parts)
    chosen_masks = [file for file in masks.files if not parts or not file.part or file.part in parts]
    masks_by_key = _by_key(chosen_masks, has_parts)
    _check_names(images_by_key)
    return Files(
        images={key: file.path for key, file in images_by_key.items()},
        masks={key: file.path for key, file in masks_by_key.items()},
        names={key: file.name for key, file in images_by_key.items()},
        parts={key: file.part for key, file in images_by_key.items()},
        masks_where=masks.pattern,
    )


def _by_key(files: Iterable[PatternFile], has_parts: bool) -> dict[Key, PatternFile]:
    by_key: dict[Key, PatternFile] = {}
    for file in files:
        key = (file.part if has_parts else "", normal_name(file.name))
        first = by_key.setdefault(key, file)
        if first is not file:
            raise same_name(first.path, file.path)
    return by_key


def _check_names(files: Mapping[Key, PatternFile]) -> None:
    """Refuse one name in two parts."""
    first: dict[str, PatternFile] = {}
    for (_, name), file in files.items():
        if (first_file := first.setdefault(name, file)) is not file:
            raise same_name(first_file.path, file.path)


def _left_out(pictures: PatternListing, parts: Sequence[str]) -> Iterator[Remark]:
    names = tuple(file.name for file in pictures.files if parts and file.part not in parts)
    if names:
        yield Remark("other_parts", f"{images(len(names))} left out: not in {' or '.join(parts)}", names)


def _ignored(root: Path, pictures: PatternListing, masks: PatternListing) -> Iterator[Remark]:
    """Yield remarks about the names beside the files, without the folders in which the others are."""
    paths = [file.path.relative_to(root) for listing in (pictures, masks) for file in listing.files]
    used = {path.as_posix() for path in paths} | {folder.as_posix() for path in paths for folder in path.parents}
    names = sorted({*pictures.other_names, *masks.other_names} - used)
    if names:
        yield Remark("ignored", f"ignored, not an image or mask: {len(names)}", tuple(names))
    if system_names := sorted({*pictures.system_names, *masks.system_names}):
        yield Remark("system", f"ignored, hidden or of the system: {len(system_names)}", tuple(system_names))


def _nothing_matches(
    root: Path, pictures: PatternListing, masks: PatternListing, table: AttributeTable | None, description: Description
) -> str:
    wanted = f"both a {description.attribute} and a mask" if description.attribute else "a mask"
    rows = f", {table.where} has {count(len(table.values), 'name')}{_first(table.values)}" if table else ""
    return (
        f"no image in {root} has {wanted}: {len(pictures.files)} images (first: {pictures.files[0].name}) match "
        f"{pictures.pattern}, {len(masks.files)} masks (first: {masks.files[0].name}) match {masks.pattern}{rows}, and "
        "they do not share names"
    )


def _first(names: Iterable[str]) -> str:
    return next((f" (first: {name})" for name in names), "")


def _cure(root: Path, description: Description) -> str:
    """Return how to get what is missing: another folder to name, files to unpack, or other patterns."""
    for folder in folders_in(root):
        if list_first(folder, description.images).files and list_first(folder, description.masks).files:
            return f"{folder} looks like the folder to give instead"
    if archives := archives_in(root):
        return f"unpack {in_short(archives)} in it first"
    return f"give the folder that has them, or change the patterns of {description.name}"

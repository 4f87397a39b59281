"""Images, masks and attributes, each by name -> samples, and remarks about what does not match."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bddseg.data.description import Description
from bddseg.data.image_io import key_of
from bddseg.data.sample import UNDEFINED, Remark, Sample, check_name, images
from bddseg.errors import DataError, nearest
from bddseg.words import count

Key = tuple[str, str]
"""Part and name, which an image and its mask share; the part is empty where folders have none."""


@dataclass(frozen=True)
class AttributeTable:
    """Attributes of images, from one or several label files."""

    columns: tuple[str, ...]
    values: Mapping[str, Mapping[str, str]]
    """By the name's key, see `key_of`."""
    files: Mapping[str, str]
    """Name's key -> the label file, relative to the folder."""
    where: str
    """The label files, as messages name them."""
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class Files:
    """The files of a folder by part and name."""

    images: Mapping[Key, Path]
    masks: Mapping[Key, Path]
    names: Mapping[Key, str]
    """Name of each image."""
    parts: Mapping[Key, str]
    """Official part of each image; empty if there is none."""
    masks_where: str
    """The folder or pattern of the masks, as messages name it."""


@dataclass(frozen=True)
class Matches:
    """Samples, sorted by name, and what does not match."""

    samples: tuple[Sample, ...]
    remarks: tuple[Remark, ...]
    label_files: Mapping[str, str]
    """Name of each sample with attributes -> its label file."""


def match_files(files: Files, table: AttributeTable | None, needed: str) -> Matches:
    """Return a sample for each image that has a mask, and attributes if these are needed.

    Args:
        files: the images and masks.
        table: their attributes; None if there are none.
        needed: the attribute without which an image is left out; "" keeps all images.
    """
    rows = {key: _row(key, files, table) for key in files.images}
    labelled = {key: row for key, row in rows.items() if row is not None or not needed}
    samples = sorted(
        (_sample(key, files, row or "", table) for key, row in labelled.items() if key in files.masks),
        key=lambda sample: sample.name,
    )
    label_files = {files.names[key]: table.files[row] for key, row in labelled.items() if row and table}
    remarks = _remarks(files, table, needed, rows, labelled)
    return Matches(tuple(samples), tuple(remarks), label_files)


def check_columns(description: Description, table: AttributeTable | None) -> None:
    """Refuse groups and balanced attributes that no label file has.

    Raises:
        DataError: with the attribute and the known ones.
    """
    columns = table.columns if table else ()
    uses = [("groups", description.attribute), *(("balance", name) for name in description.balance)]
    for key, name in uses:
        if name and name not in columns:
            why = f"which {table.where} gives no image" if table else "but there is no attributes file"
            raise DataError(
                f"{description.name}.{key} names the attribute {name!r}, {why}; "
                f"{nearest(name, columns)}known: {', '.join(columns) or 'none'}"
            )


def absent_values(samples: Sequence[Sample], description: Description) -> Iterator[Remark]:
    """Yield a remark about the values that groups name and no image has: they may be misspelt."""
    present = sorted({sample.attributes[description.attribute] for sample in samples}) if description.groups else []
    named = [value for group in description.groups for value in group.values]
    if absent := tuple(value for value in named if value not in present):
        likely = "".join(nearest(value, present) for value in absent)
        values = " or ".join(map(repr, absent))
        text = f"no image has the {description.attribute} {values}, which groups name; {likely}known: "
        yield Remark("absent_values", f"{text}{', '.join(present)}")


def _row(key: Key, files: Files, table: AttributeTable | None) -> str | None:
    """Return the table's key of an image: its name, or the name of its file."""
    names = key_of(files.names[key]), key_of(files.images[key].name)
    return next((name for name in names if table and name in table.values), None)


def _sample(key: Key, files: Files, row: str, table: AttributeTable | None) -> Sample:
    image = files.images[key]
    name = check_name(files.names[key], image)
    values = table.values.get(row, dict.fromkeys(table.columns, UNDEFINED)) if table else {}
    return Sample(name, image, files.masks[key], values, files.parts.get(key, ""))


def _remarks(
    files: Files,
    table: AttributeTable | None,
    needed: str,
    rows: Mapping[Key, str | None],
    labelled: Mapping[Key, str | None],
) -> Iterator[Remark]:
    if table and (names := tuple(files.names[key] for key, row in rows.items() if row is None)):
        fate = f"left out: no {needed} in" if needed else "without attributes in"
        yield Remark("without_attributes", f"{images(len(names))} {fate} {table.where}", names)
    yield from table.remarks if table else ()
    if names := tuple(files.names[key] for key in labelled if key not in files.masks):
        yield Remark("without_mask", f"{images(len(names))} left out: no mask in {files.masks_where}", names)
    if names := tuple(_shown(key, path) for key, path in files.masks.items() if key not in files.images):
        of_part = " of their part" if any(part for part, _ in files.masks) else ""
        masks = count(len(names), "mask")
        yield Remark("masks_without_image", f"{masks} in {files.masks_where} without an image{of_part}", names)
    matched = {row for row in rows.values() if row}
    if table and (names := tuple(name for name in table.values if name not in matched)):
        entries = count(len(names), "entry", "entries")
        yield Remark("without_image", f"{entries} of {table.where} without an image", names)


def _shown(key: Key, path: Path) -> str:
    return f"{key[0]}/{path.name}" if key[0] else path.name

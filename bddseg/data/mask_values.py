"""Decodes masks: the values or colours of a mask file -> the classes of the description.

A mask of one channel holds values; one of three holds colours, of which each must be exactly that of a class. A
palette mask holds values too, its indices, unless only the colours of its palette are those of classes.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from bddseg.data.description import Description
from bddseg.data.image_io import read_mask
from bddseg.errors import DataError
from bddseg.task import IGNORE, Colour
from bddseg.words import count

MASK_MODES = "one channel of 8 bits (L or P)"
COLOUR_MODES = ("RGB", "RGBA")
OPAQUE = 255
LITTLE_ENDIAN, ALL_CHANNELS = "<u4", np.uint32(0xFFFFFF)
NAMED = 5
"""Number of unknown values or colours that are named."""


class ColourTable(NamedTuple):
    """Colours, packed into numbers that ascend, and what they mean.

    Shape:
        packed: (C,), uint32.  classes: (C,), uint8.
    """

    packed: np.ndarray
    classes: np.ndarray


class MaskValues(NamedTuple):
    """A mask in one channel, which can be resized before its values are mapped to classes.

    Shape:
        table: (256,), uint8, value of the image -> class of the description, or IGNORE.
    """

    image: Image.Image
    table: np.ndarray


def read_labels(path: Path, orientation: int, description: Description) -> np.ndarray:
    """Return a mask with the index of the class of each pixel in the description, or IGNORE.

    Args:
        path: of the mask.
        orientation: EXIF orientation of its picture, which was undone; see `image_io.read_mask`.
        description: of the dataset.

    Shape:
        returns: (H, W), uint8

    Raises:
        AccessError: when the system refuses to read the file.
        DataError: when its content is unusable, or has a value or colour that the description does not know.
    """
    return decode_labels(read_mask(path, orientation), path, description)


def decode_labels(mask: Image.Image, path: Path, description: Description) -> np.ndarray:
    """Return the classes of an open mask, as `read_labels` does."""
    values = check_mask(mask, path, description)
    return values.table[np.asarray(values.image)]


def check_mask(mask: Image.Image, path: Path, description: Description) -> MaskValues:
    """Return an open mask in one channel, and what its values mean.

    Raises:
        DataError: when it has a value or colour that the description does not know.
    """
    has_colours = any(label.mask_colours for label in description.classes)
    if mask.mode == "P" and has_colours and _means_colours(mask, path, description):
        mask = mask.convert("RGB")
    if mask.mode in COLOUR_MODES and has_colours:
        return MaskValues(Image.fromarray(_by_colour(mask, path, description)), np.arange(256, dtype=np.uint8))
    has_values = any(label.values for label in description.classes)
    if mask.mode not in ("L", "P") or not has_values:
        expected = [MASK_MODES] if has_values else []
        expected += ["the colours of classes (RGB)"] if has_colours else []
        raise DataError(f"{path} has the mode {mask.mode}, but must have {' or '.join(expected) or 'classes'}")
    _check_values(mask, path, description)
    return MaskValues(mask, class_table(description))


def selection_table(description: Description, selection: str = "") -> np.ndarray:
    """Return the table from indices of the description's classes to output classes.

    Shape:
        returns: (256,), uint8; every class outside the selection, and IGNORE, map to IGNORE.
    """
    indices = {label.name: index for index, label in enumerate(description.classes)}
    table = np.full(256, IGNORE, dtype=np.uint8)
    for output, merged in enumerate(description.chosen(selection)):
        for member in merged.members:
            table[indices[member]] = output
    return table


@functools.lru_cache(maxsize=8)
def class_table(description: Description) -> np.ndarray:
    """Return the table from mask values to indices of the description's classes.

    Shape:
        returns: (256,), uint8; every value without a class maps to IGNORE.
    """
    table = np.full(256, IGNORE, dtype=np.uint8)
    for index, label in enumerate(description.classes):
        table[list(label.values)] = index
    table.flags.writeable = False
    return table


@functools.lru_cache(maxsize=8)
def colour_table(description: Description) -> ColourTable:
    """Return the colours of masks, with the index of their class in the description, or IGNORE."""
    meanings = {colour: index for index, label in enumerate(description.classes) for colour in label.mask_colours}
    meanings |= dict.fromkeys(description.ignore_colours, IGNORE)
    entries = sorted((_packed(colour), index) for colour, index in meanings.items())
    return ColourTable(
        np.array([number for number, _ in entries], dtype=np.uint32),
        np.array([index for _, index in entries], dtype=np.uint8),
    )


def pack_colours(image: Image.Image) -> np.ndarray:
    """Return the colour of each pixel as one number.

    Shape:
        returns: (H, W), uint32
    """
    return np.asarray(image.convert("RGBA")).view(LITTLE_ENDIAN)[..., 0] & ALL_CHANNELS


def unpack_colour(number: int) -> Colour:
    """Return the colour that `pack_colours` made a number of."""
    return (number & 255, number >> 8 & 255, number >> 16 & 255)


def _packed(colour: Colour) -> int:
    red, green, blue = colour
    return red | green << 8 | blue << 16


def _look_up(packed: np.ndarray, table: ColourTable) -> tuple[np.ndarray, np.ndarray]:
    """Return the class of each packed colour, and whether the colour is known.

    Shape:
        packed: any.  returns: uint8 and bool of that shape.
    """
    positions = np.searchsorted(table.packed, packed).clip(max=len(table.packed) - 1)
    is_known = table.packed[positions] == packed
    return np.where(is_known, table.classes[positions], np.uint8(IGNORE)), is_known


def _by_colour(mask: Image.Image, path: Path, description: Description) -> np.ndarray:
    if mask.mode == "RGBA" and (transparent := sum(mask.getchannel("A").histogram()[:OPAQUE])):
        raise DataError(f"{path} has {count(transparent, 'pixel')} that are not opaque, but a mask must be")
    packed = pack_colours(mask)
    classes, is_known = _look_up(packed, colour_table(description))
    if not is_known.all() and not description.ignores_rest:
        numbers, counts = np.unique(packed[~is_known], return_counts=True)
        raise DataError(
            f"{path} has the unknown {_names('colour', [unpack_colour(int(number)) for number in numbers], counts)}, "
            f"but must hold the colours of {description.name} exactly: {_known_colours(description)}"
        )
    return classes


def _known_colours(description: Description) -> str:
    colours = [colour for label in description.classes for colour in label.mask_colours]
    colours += description.ignore_colours
    more = f" and {len(colours) - NAMED} more" if len(colours) > NAMED else ""
    return ", ".join(map(str, colours[:NAMED])) + more


def _means_colours(mask: Image.Image, path: Path, description: Description) -> bool:
    """Return whether a palette mask is to be read by its colours.

    That is so if its indices cannot be values, or if every colour in use is one of the description and one belongs to
    another class than its index: an image program has then sorted the palette.
    """
    used = np.flatnonzero(np.array(mask.histogram()[:256]))
    if not any(label.values for label in description.classes):
        return True
    channels = [*(mask.getpalette("RGB") or []), *[0] * (3 * 256)]
    packed = np.array([_packed((channels[3 * i], channels[3 * i + 1], channels[3 * i + 2])) for i in used], np.uint32)
    by_colour, is_known = _look_up(packed, colour_table(description))
    by_index = class_table(description)[used]
    return bool(is_known.all()) and bool(((by_colour != by_index) & (by_colour != IGNORE)).any())


def _check_values(mask: Image.Image, path: Path, description: Description) -> None:
    """Refuse values that the description does not know, in the whole mask: resizing would drop some.

    Raises:
        DataError: with these values and their pixels.
    """
    histogram = np.array(mask.histogram()[:256])
    is_known = description.is_known_value()
    unknown = np.flatnonzero((histogram > 0) & ~is_known)
    if unknown.size:
        raise DataError(
            f"{path} has the unknown {_names('value', unknown.tolist(), histogram[unknown])}, but must hold "
            f"{_ranges(np.flatnonzero(is_known).tolist())} only"
        )


def _names(noun: str, marks: Sequence[object], counts: np.ndarray) -> str:
    """Return the first unknown values or colours, each with the number of its pixels."""
    pairs = zip(marks[:NAMED], counts[:NAMED], strict=True)
    named = ", ".join(f"{mark} ({count(int(pixels), 'pixel')})" for mark, pixels in pairs)
    more = f" and {len(marks) - NAMED} more" if len(marks) > NAMED else ""
    return f"{noun if len(marks) == 1 else noun + 's'} {named}{more}"


def _ranges(values: Sequence[int]) -> str:
    """Return numbers in ascending order as text: `0 to 18 and 255`."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    texts = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))

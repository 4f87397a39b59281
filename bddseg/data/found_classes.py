"""Finds the classes of a dataset in its masks, where the description names none."""

import colorsys
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bddseg.cores import usable_cores
from bddseg.data.description import MOST_LABELS, ClassLabel, Description
from bddseg.data.image_io import read_mask
from bddseg.data.sample import Sample
from bddseg.errors import AccessError, DataError
from bddseg.files import read_json, write_json
from bddseg.json_shapes import fits
from bddseg.task import IGNORE, Colour
from bddseg.words import count

COLOUR_MODES = ("RGB", "RGBA")
SHAPE = {"values": {"*": int}, "colours": {"*": int}}
GOLDEN_SHARE = 0.61803398875
"""Step between hues that spreads any number of them evenly."""


@dataclass(frozen=True)
class MaskContent:
    """What masks hold: the pixels of each value, or of each colour."""

    values: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[Colour, int] = field(default_factory=dict)
    examples: tuple[Path, ...] = ()
    """The first mask of values and the first of colours; empty unless there are both."""


def find_classes(samples: Sequence[Sample], description: Description, cache: Path | None = None) -> Description:
    """Return the description with the classes that are in the masks, `class 0` and so on, in distinct colours.

    Ignored values are no classes. Where only one other value occurs, 255 is a class: such masks are black and white.

    Args:
        samples: of the dataset.
        description: without classes.
        cache: folder in which the counts are kept; None keeps none.

    Raises:
        AccessError: when the system refuses to read a mask.
        DataError: when masks hold both values and colours, too many of them, or fewer than two.
    """
    content = _cached_content(samples, cache) if cache else count_content([sample.mask for sample in samples])
    return describe_content(content, description)


def describe_content(content: MaskContent, description: Description) -> Description:
    """Return the description with the classes of what masks hold.

    Raises:
        DataError: as `find_classes` does.
    """
    if content.values and content.colours:
        examples = f": {' and '.join(map(str, content.examples))}" if content.examples else ""
        raise DataError(
            f"{description.name}: some masks hold values and others colours, so classes cannot be found{examples}"
        )
    values = [value for value in sorted(content.values) if value not in description.ignore]
    ignore = description.ignore
    if len(values) == 1 and IGNORE in content.values and ignore == (IGNORE,):
        values, ignore = [*values, IGNORE], ()
    colours = [colour for colour in sorted(content.colours) if colour not in description.ignore_colours]
    number = len(values) + len(colours)
    if not 2 <= number <= MOST_LABELS:
        classes = count(number, "class", "classes")
        raise DataError(
            f"{description.name}: the masks hold {classes}, but must hold 2 to {MOST_LABELS}; name them in the "
            "description"
        )
    labels = [
        ClassLabel(f"class {value}", (value,), (), colour)
        for value, colour in zip(values, distinct_colours(), strict=False)
    ]
    labels += [ClassLabel(f"class {index}", (), (colour,), colour) for index, colour in enumerate(colours)]
    entry = {
        **description.entry,
        "classes": {label.name: class_entry(label) for label in labels},
        "ignore": list(ignore),
    }
    return replace(description, classes=tuple(labels), ignore=ignore, entry=entry)


def class_entry(label: ClassLabel) -> dict[str, Any]:
    """Return a class as an entry of `datasets.yaml` has it."""
    values = {"values": list(label.values)} if label.values else {}
    colours = {"mask_colours": [list(colour) for colour in label.mask_colours]} if label.mask_colours else {}
    return {**values, **colours, "colour": list(label.colour)}


def distinct_colours() -> Iterator[Colour]:
    """Yield colours that differ, the first ones the most."""
    for index in itertools.count():
        hue = index * GOLDEN_SHARE % 1
        saturation, brightness = (0.75, 0.95, 0.55)[index % 3], (0.9, 0.65, 0.8, 0.5)[index % 4]
        red, green, blue = (round(255 * channel) for channel in colorsys.hsv_to_rgb(hue, saturation, brightness))
        yield (red, green, blue)


def count_content(paths: Sequence[Path]) -> MaskContent:
    """Return the pixels of each value or colour in masks; damaged masks are left out, unless all are.

    Raises:
        AccessError: when the system refuses to read a mask.
        DataError: when no mask can be read, or the masks hold too many colours.
    """
    values, colours = Counter[int](), Counter[Colour]()
    problems: list[DataError] = []
    firsts: dict[bool, Path] = {}
    with ThreadPoolExecutor(usable_cores()) as pool:
        for path, counts in zip(paths, pool.map(_try_count, paths), strict=True):
            if isinstance(counts, DataError):
                problems.append(counts)
                continue
            firsts.setdefault(bool(counts.colours), path)
            values.update(counts.values)
            colours.update(counts.colours)
            if len(colours) > MOST_LABELS + 1:
                raise _too_many(path, len(colours))
    if problems and len(problems) == len(paths):
        raise problems[0]
    return MaskContent(dict(values), dict(colours), (firsts[False], firsts[True]) if len(firsts) > 1 else ())


def _try_count(path: Path) -> MaskContent | DataError:
    try:
        return _count(path)
    except AccessError:
        raise
    except DataError as error:
        return error


def _count(path: Path) -> MaskContent:
    mask = read_mask(path, None)
    if mask.mode in ("L", "P"):
        return MaskContent(values={value: pixels for value, pixels in enumerate(mask.histogram()[:256]) if pixels})
    if mask.mode not in COLOUR_MODES:
        raise DataError(f"{path} has the mode {mask.mode}, but a mask must have one channel of 8 bits, or be RGB")
    counts = mask.convert("RGB").getcolors(MOST_LABELS + 1)
    if counts is None:
        raise _too_many(path, MOST_LABELS + 2)
    return MaskContent(colours={_colour(colour): pixels for pixels, colour in counts})


def _colour(channels: Any) -> Colour:
    red, green, blue = channels
    return (red, green, blue)


def _too_many(path: Path, number: int) -> DataError:
    return DataError(
        f"the masks up to {path} hold {number} or more colours, but at most {MOST_LABELS} can be classes: photographs "
        "or lossy files are no masks"
    )


def _cached_content(samples: Sequence[Sample], cache: Path) -> MaskContent:
    path = cache / f"mask-content-{_key(samples)}.json"
    try:
        record = read_json(path)
    except (OSError, ValueError):
        record = None
    if fits(record, SHAPE):
        return _from_record(record)
    content = count_content([sample.mask for sample in samples])
    if not content.examples:  # which are of this folder only
        cache.mkdir(parents=True, exist_ok=True)
        write_json(path, _to_record(content))
    return content


def _to_record(content: MaskContent) -> dict[str, dict[str, int]]:
    return {
        "values": {str(value): pixels for value, pixels in content.values.items()},
        "colours": {" ".join(map(str, colour)): pixels for colour, pixels in content.colours.items()},
    }


def _from_record(record: Mapping[str, Mapping[str, int]]) -> MaskContent:
    return MaskContent(
        values={int(value): pixels for value, pixels in record["values"].items()},
        colours={_colour(map(int, text.split())): pixels for text, pixels in record["colours"].items()},
    )


def _key(samples: Sequence[Sample]) -> str:
    key = hashlib.sha256()
    for sample in samples:
        try:
            status = sample.mask.stat()
        except OSError as error:
            raise AccessError(f"{sample.mask} cannot be read: {error.strerror}") from error
        key.update(repr((sample.name, status.st_size, status.st_mtime_ns)).encode())
    return key.hexdigest()[:16]

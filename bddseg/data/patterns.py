"""File patterns of a description: which files of a folder are images or masks, their names and parts.

{name}  the name that an image and its mask share
{part}  the official part of an image: train, val or test, as its folder is called (PART_NAMES)
*       any text within a name
.*      at the end: the suffix of any image
"""

import functools
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bddseg.data.image_io import SUFFIXES
from bddseg.errors import AccessError

PART_NAMES = {
    "train": "train",
    "training": "train",
    "train_extra": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""Folder of a part -> the part."""

ANY_SUFFIX = ".*"
AGAIN = "{part} again"
SYSTEM_FILES = ("thumbs.db", "desktop.ini")
FIELD = re.compile(r"\{name\}|\{part\}|\*")


@dataclass(frozen=True)
class PatternFile:
    """A file that a pattern matches."""

    path: Path
    name: str
    folder_part: str
    """The text of {part}, such as `training`; empty if the pattern has none."""

    @property
    def part(self) -> str:
        """Return train, val or test; empty if the pattern has no {part}."""
        return PART_NAMES.get(self.folder_part.lower(), "")


@dataclass
class PatternListing:
    """The files that a pattern matches, and the names beside them, relative to the folder of the dataset."""

    pattern: str
    files: list[PatternFile] = field(default_factory=list)
    other_names: list[str] = field(default_factory=list)
    """Names in the folders of the files that do not match."""
    system_names: list[str] = field(default_factory=list)
    """Hidden files, and those that operating systems add."""


def list_first(root: Path, patterns: Sequence[str]) -> PatternListing:
    """Return the files of the first pattern that matches any, or the empty listing of the first pattern.

    Raises:
        AccessError: when the system refuses to list a folder.
    """
    listings = (list_pattern(root, pattern) for pattern in patterns)
    return next((listing for listing in listings if listing.files), PatternListing(patterns[0]))


def list_pattern(root: Path, pattern: str) -> PatternListing:
    """Return the files that a pattern matches, in the order of their paths.

    Raises:
        AccessError: when the system refuses to list a folder.
    """
    listing = PatternListing(pattern)
    _descend(root, root, pattern.split("/"), {}, listing)
    return listing


def _descend(
    root: Path, folder: Path, segments: Sequence[str], fields: Mapping[str, str], listing: PatternListing
) -> None:
    """Add what matches the segments below a folder, given the fields of the folders above it."""
    segment, is_last = segments[0], len(segments) == 1
    if not is_last and not FIELD.search(segment):
        _descend(root, folder / segment, segments[1:], fields, listing)
        return
    expression = _expression(segment, is_last)
    for entry in _entries(folder):
        path = folder / entry.name
        match = expression.fullmatch(entry.name)
        if _is_of_system(entry.name):
            listing.system_names.append(path.relative_to(root).as_posix())
        elif match is None or _is_folder(entry, path) == is_last or not _agrees(match.groupdict(), fields):
            listing.other_names.append(path.relative_to(root).as_posix())
        elif is_last:
            texts = {**fields, **match.groupdict()}
            listing.files.append(PatternFile(path, texts["name"], texts.get("part", "")))
        else:
            _descend(root, path, segments[1:], {**fields, **match.groupdict()}, listing)


def _agrees(fields: Mapping[str, str], above: Mapping[str, str]) -> bool:
    """Return whether a field that occurs twice in a pattern has the same text both times."""
    return all(above.get(key, value) == value for key, value in fields.items())


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise AccessError(f"{folder} cannot be listed: {error.strerror}") from error


def _is_folder(entry: os.DirEntry[str], path: Path) -> bool:
    """Return whether an entry is a folder, or a link to one.

    Raises:
        AccessError: when a link leads back to itself, or the system refuses the answer.
    """
    try:
        return entry.is_dir()
    except OSError as error:
        raise AccessError(f"{path} cannot be read: {error.strerror}") from error


def _is_of_system(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM_FILES


@functools.cache
def _expression(segment: str, is_last: bool) -> re.Pattern[str]:
    """Return the expression of one segment; suffixes may be in upper case."""
    stem, suffix = segment, ""
    if is_last and segment.endswith(ANY_SUFFIX):
        stem, suffix = segment.removesuffix(ANY_SUFFIX), "|".join(map(re.escape, SUFFIXES))
    elif is_last and any(segment.endswith(ending) for ending in SUFFIXES):
        stem, _, ending = segment.rpartition(".")
        suffix = re.escape(f".{ending}")
    parts = "|".join(sorted(map(re.escape, PART_NAMES), key=len, reverse=True))
    meanings = {"{name}": "(?P<name>.+)", "{part}": f"(?P<part>(?i:{parts}))", "*": ".*", AGAIN: "(?P=part)"}
    literals, marks = FIELD.split(stem), FIELD.findall(stem)
    marks = [AGAIN if mark == "{part}" and mark in marks[:index] else mark for index, mark in enumerate(marks)]
    text = "".join(
        re.escape(literal) + (meanings[mark] if mark else "")
        for literal, mark in zip(literals, [*marks, ""], strict=True)
    )
    return re.compile(f"{text}(?i:{suffix})" if suffix else text, re.DOTALL)


def normal_name(name: str) -> str:
    """Return a name in Unicode's composed form, in which images and masks are compared."""
    return unicodedata.normalize("NFC", name)

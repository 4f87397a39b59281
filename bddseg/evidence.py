"""Evidence: per-image confusion counts of a trial with names and attributes, in one file. Needs no torch."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from bddseg.errors import DataError, one_line
from bddseg.files import replacing
from bddseg.task import FIVE_CLASSES, Task

FORMAT = 2
EARLIER = 1
"""Format of files that have three lists of attributes and no task."""

EARLIER_LISTS = {"scene": "scenes", "weather": "weathers", "timeofday": "times_of_day"}
"""Attribute -> its list in such a file."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Counts of the predictions of a trial's best weights, for every image of one part.

    Shape:
        counts: (N, C, C), int64, rows truth.  ignored: (N, C), int64.  boundary: (N, C, 2), int64, or None.
    """

    part: str
    """val or test."""
    epoch: int
    """The epoch whose weights were used, from 1."""
    names: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]]
    """Attribute, such as the scene, -> its value for each image; empty texts where it is not known."""
    counts: np.ndarray
    ignored: np.ndarray
    """Pixels per class that were predicted where the truth is IGNORE."""
    fingerprint: str
    """Fingerprint of the frames."""
    task: Task = FIVE_CLASSES
    drives: tuple[str, ...] = ()
    """Drive of each image, "" where unknown; empty where the names contain them as in BDD100K."""
    boundary: np.ndarray | None = None
    """Intersection and union of both outlines, see `bddseg.boundary`; None in earlier records."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes, in the order of the counts."""
        return self.task.classes

    @property
    def scenes(self) -> tuple[str, ...]:
        """Return the value of each image in the attribute that decides its group; empty texts without one."""
        return self.attributes.get(self.task.attribute) or ("",) * len(self.names)

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the group of each image; empty texts without groups."""
        return self.task.groups_of(self.scenes)

    def __post_init__(self) -> None:
        images, classes = len(self.names), len(self.classes)
        if self.counts.shape != (images, classes, classes) or self.ignored.shape != (images, classes):
            raise DataError(
                f"evidence of {images} images and {classes} classes has counts {self.counts.shape} and "
                f"ignored {self.ignored.shape}, but must have {(images, classes, classes)} and {(images, classes)}"
            )
        for attribute, values in self.attributes.items():
            if len(values) != images:
                raise DataError(f"evidence of {images} images has {len(values)} values of {attribute}")
        if len(self.drives) not in (0, images):
            raise DataError(f"evidence of {images} images has {len(self.drives)} drives, but must have none or as many")
        if self.boundary is not None and self.boundary.shape != (images, classes, 2):
            raise DataError(
                f"evidence of {images} images and {classes} classes has boundary {self.boundary.shape}, but must have "
                f"{(images, classes, 2)}"
            )


ARRAYS = ("counts", "ignored")
OPTIONAL = ("boundary",)
"""Arrays that files of earlier versions lack."""

UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""Raised by numpy for a file that is missing, damaged or no evidence."""


def save_evidence(path: Path, evidence: Evidence) -> None:
    """Write the evidence; the file appears whole or not at all."""
    arrays = {name: array for name in (*ARRAYS, *OPTIONAL) if (array := getattr(evidence, name)) is not None}
    names = [spec.name for spec in fields(evidence) if spec.name not in (*ARRAYS, *OPTIONAL, "task")]
    header = {"format": FORMAT, "task": evidence.task.to_dict(), **{name: getattr(evidence, name) for name in names}}
    text = json.dumps(header).encode()
    with replacing(path) as file:
        np.savez_compressed(file, words=np.frombuffer(text, dtype=np.uint8), **arrays)


def load_evidence(path: Path) -> Evidence:
    """Read the evidence that `save_evidence` wrote.

    Raises:
        DataError: when the file is missing, truncated or of another format.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            header = json.loads(file["words"].tobytes())
            arrays = {name: file[name] for name in (*ARRAYS, *OPTIONAL) if name in (*ARRAYS, *file.files)}
    except UNREADABLE as error:
        raise DataError(f"{path} is not readable evidence: {error}") from error
    form = header.pop("format", None)
    if form not in (EARLIER, FORMAT):
        raise DataError(f"{path} has another evidence format, but must have format {FORMAT} or {EARLIER}")
    try:
        return Evidence(**(_earlier_header(header) if form == EARLIER else _header(header)), **arrays)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is not readable evidence: {one_line(error)}") from error


def _header(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the evidence that are no arrays."""
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in header.items()}
    attributes = {name: tuple(values) for name, values in header["attributes"].items()}
    return {**plain, "task": Task.from_dict(header["task"]), "attributes": attributes}


def _earlier_header(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same of a file of an earlier version, which had no task: its classes were the five."""
    kept = {key: value for key, value in header.items() if key not in (*EARLIER_LISTS.values(), "classes")}
    attributes = {name: header[key] for name, key in EARLIER_LISTS.items()}
    task = replace(FIVE_CLASSES, classes=tuple(header.get("classes", FIVE_CLASSES.classes)))
    return _header({**kept, "attributes": attributes, "task": task.to_dict()})

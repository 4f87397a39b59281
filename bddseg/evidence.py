"""Evidence: per-image confusion counts of a trial with names and scenes, in one file. Needs no torch."""

import json
import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from bddseg.errors import DataError
from bddseg.files import replacing
from bddseg.labels import CLASSES

FORMAT = 1


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
    scenes: tuple[str, ...]
    weathers: tuple[str, ...]
    times_of_day: tuple[str, ...]
    counts: np.ndarray
    ignored: np.ndarray
    """Pixels per class that were predicted where the truth is IGNORE."""
    fingerprint: str
    """Fingerprint of the frames."""
    classes: tuple[str, ...] = CLASSES
    drives: tuple[str, ...] = ()
    """Drive of each image, "" where unknown; empty where the names contain them as in BDD100K."""
    boundary: np.ndarray | None = None
    """Intersection and union of both outlines, see `bddseg.boundary`; None in earlier records."""

    def __post_init__(self) -> None:
        images, classes = len(self.names), len(self.classes)
        if self.counts.shape != (images, classes, classes) or self.ignored.shape != (images, classes):
            raise DataError(
                f"evidence of {images} images and {classes} classes has counts {self.counts.shape} and "
                f"ignored {self.ignored.shape}, but must have {(images, classes, classes)} and {(images, classes)}"
            )
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
    names = [spec.name for spec in fields(evidence) if spec.name not in (*ARRAYS, *OPTIONAL)]
    text = json.dumps({"format": FORMAT, **{name: getattr(evidence, name) for name in names}}).encode()
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
    if header.pop("format", None) != FORMAT:
        raise DataError(f"{path} has another evidence format, but must have format {FORMAT}")
    lists: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in header.items()}
    return Evidence(**lists, **arrays)

"""The files of a review: page, ranking as JSON and CSV, and a list of images to leave out."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bddseg.files import write_file
from sweeps.errors import StorageError
from sweeps.formatting import quote_formula
from sweeps.report.files import PAGE, write_files
from sweeps.review.unseen import Reviewers
from sweeps.sanitize import figure
from sweeps.statistics.label_faults import Fault, LabelCounts, Suspect
from sweeps.storage.folder import try_writing
from sweeps.storage.suspects import FILE, RecordedSuspect, RecordedSuspects

TABLE = "suspects.csv"


def record_review(
    sweep_id: str,
    fingerprint: str,
    reviewers: Reviewers,
    counts: LabelCounts,
    bars: np.ndarray,
    suspects: Sequence[Suspect],
) -> RecordedSuspects:
    """Return the review as it is recorded: figures rounded, NaN as None.

    Shape:
        bars: (C,)
    """
    row_of = {name: row for row, name in enumerate(counts.names)}
    return RecordedSuspects(
        sweep_id=sweep_id,
        fingerprint=fingerprint,
        basis=reviewers.basis,
        images=len(suspects),
        open_images=reviewers.open_images,
        models=reviewers.settings,
        suspects=tuple(_recorded(suspect, counts, row_of[suspect.name]) for suspect in suspects),
        bars={name: figure(float(bar)) for name, bar in zip(counts.classes, bars, strict=True)},
        joint=tuple(tuple(round(float(share), 6) for share in row) for row in counts.estimated()),
    )


def write_review(folder: Path, reviewed: RecordedSuspects, page: str) -> Path:
    """Write page, JSON and CSV; return the page's path.

    Raises:
        StorageError: when the folder cannot be written.
    """
    files = {PAGE: page, FILE: json.dumps(reviewed.to_dict(), indent=1) + "\n", TABLE: render_table(reviewed)}
    write_files(folder, {name: text.encode(errors="replace") for name, text in files.items()})
    return folder / PAGE


def render_table(reviewed: RecordedSuspects) -> str:
    """Return all images as CSV, with the loss of each class."""
    classes = tuple(reviewed.bars)
    head = ["rank", "name", "score", "reason", *(f"loss/{name}" for name in classes)]
    rows = [
        [place, suspect.name, suspect.score, suspect.reason, *(_cell(suspect.losses.get(name)) for name in classes)]
        for place, suspect in enumerate(reviewed.suspects, 1)
    ]
    return _csv([head, *rows])


def write_skip(path: Path, suspects: Sequence[RecordedSuspect]) -> None:
    """Write a list of images that `data.skip` takes.

    Raises:
        StorageError: when the file cannot be written.
    """
    text = _csv([["name", "reason"], *([suspect.name, suspect.reason] for suspect in suspects)])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, text.encode(errors="replace"))
    except OSError as error:
        raise StorageError(f"--write-skip {path} cannot be written: {error.strerror}") from error


def check_skip(path: Path) -> None:
    """Check that a list of images can be written, before anything is predicted.

    Raises:
        StorageError: when it is a folder, or cannot be written.
    """
    if path.is_dir():
        raise StorageError(f"--write-skip {path} is a folder, but must be a file")
    try:
        try_writing(path.parent)
    except OSError as error:
        raise StorageError(f"--write-skip {path} cannot be written: {error.strerror}") from error


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([map(quote_formula, row) for row in rows])
    return buffer.getvalue()


def _recorded(suspect: Suspect, counts: LabelCounts, row: int) -> RecordedSuspect:
    losses = zip(counts.classes, counts.losses[row], strict=True)
    return RecordedSuspect(
        name=suspect.name,
        score=round(suspect.score, 6),
        reason=suspect.reason,
        faults=tuple(map(_fault, suspect.faults)),
        losses={name: figure(float(loss)) for name, loss in losses},
    )


def _fault(fault: Fault) -> dict[str, Any]:
    shares = {key: round(value, 6) for key, value in asdict(fault).items() if isinstance(value, float)}
    return {"label": fault.label, "predicted": fault.predicted, "is_missing": fault.is_missing, **shares}


def _cell(value: float | None) -> Any:
    return "" if value is None else value

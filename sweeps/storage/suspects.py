"""Images whose labels are probably wrong, ranked <-> `suspects.json`, which is recorded with their sweep."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sweeps.sanitize import clean, clean_all, finite_number, whole

FORMAT = 1
FOLDER, FILE = "suspects", "suspects.json"
"""Folder among the artifacts of a sweep, and the file in it that a report reads."""

SHARE = 0.05
"""Share of the reviewed images that counts as most suspect."""

MOST_SUSPECTS = 1_000_000


@dataclass(frozen=True)
class RecordedSuspect:
    """An image, and why its labels are doubted."""

    name: str
    score: float
    """Share of its pixels that are probably labelled wrong."""
    reason: str
    faults: tuple[Mapping[str, Any], ...] = ()
    losses: Mapping[str, float | None] = field(default_factory=dict)
    """Mean loss of the label by class; None where the class has no label."""


@dataclass(frozen=True)
class RecordedSuspects:
    """All reviewed images of a sweep, the most suspect first."""

    sweep_id: str
    fingerprint: str
    """Of the frames."""
    basis: str
    """`out of fold` or `validation`."""
    images: int
    """Reviewed ones."""
    open_images: int
    """Images of train and validation."""
    models: tuple[str, ...]
    suspects: tuple[RecordedSuspect, ...]
    bars: Mapping[str, float | None] = field(default_factory=dict)
    """Class -> probability from which a pixel is confidently of it."""
    joint: tuple[tuple[float, ...], ...] = ()
    """Estimated share of the labelled pixels, by label and true class."""

    def most_suspect(self, share: float = SHARE) -> tuple[RecordedSuspect, ...]:
        """Return the share of the images that is most suspect, rounded up; none whose score is 0."""
        most = math.ceil(share * self.images)
        return tuple(suspect for suspect in self.suspects[:most] if suspect.score > 0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as `read_suspects` reads them."""
        return {"version": FORMAT, **asdict(self)}


def read_suspects(record: Mapping[str, Any] | None) -> RecordedSuspects | None:
    """Return the suspects of a record; None where there is none, or one of another form: anyone may have written it."""
    if not isinstance(record, Mapping) or record.get("version") != FORMAT:
        return None
    entries, models = record.get("suspects"), record.get("models")
    if not isinstance(entries, list) or not isinstance(models, list):
        return None
    suspects = [suspect for entry in entries[:MOST_SUSPECTS] if (suspect := _suspect(entry))]
    return RecordedSuspects(
        sweep_id=clean(record.get("sweep_id", "")),
        fingerprint=clean(record.get("fingerprint", "")),
        basis=clean(record.get("basis", "")),
        images=whole(record.get("images")),
        open_images=whole(record.get("open_images")),
        models=tuple(map(clean, models)),
        suspects=tuple(sorted(suspects, key=lambda suspect: -suspect.score)),
    )


def _suspect(entry: Any) -> RecordedSuspect | None:
    name, score = (entry.get(key) for key in ("name", "score")) if isinstance(entry, Mapping) else (None, None)
    share = finite_number(score)
    if not isinstance(name, str) or share is None:
        return None
    losses = entry.get("losses")
    return RecordedSuspect(
        name, share, clean(entry.get("reason", "")), losses=clean_all(losses) if isinstance(losses, Mapping) else {}
    )

"""The events of a sweep, and their form in its event file: one JSON object on one line.

Fields of every event: `kind`, `trial` ("" is the sweep's own run) and `time_ms`. By kind:

    start      name: str, params: {setting: value}, tags: {str: str}      again on a retry: the run continues
               inputs: the parts of the data that the run uses; missing in earlier records
    epoch      step: int (from 1), metrics: {name: number or None}        None is NaN
    end        status: FINISHED | KILLED | FAILED, tags, metrics, step, note: str or None (Markdown)
    artifact   path: file to upload, folder: artifact folder ("" is the top)

`name`, `inputs` and `ending`, the trial's own reason to end with this epoch, are left out where they are empty. The
path of a file in the sweep's folder is written relative to that folder. Fields that a newer version added are kept.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from bddseg.json_shapes import difference
from sweeps.storage.relocation import portable_path, present_path

PARENT = ""
"""The trial of an event that concerns the sweep as a whole."""


def now_ms() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class _RunEvent:
    """What all events have."""

    kind: ClassVar[str]
    trial: str
    """Whose run it concerns; PARENT is the sweep's own."""
    time_ms: int = field(default_factory=now_ms, kw_only=True)
    newer: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    """Fields that only a newer version knows."""


@dataclass(frozen=True)
class Start(_RunEvent):
    """A run is started, or continues after a retry or a resume."""

    kind = "start"
    name: str = ""
    """Of the run; "" where it has one already."""
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[Mapping[str, Any]] = ()
    """The parts of the data that it uses."""


@dataclass(frozen=True)
class Epoch(_RunEvent):
    """A trial has reported an epoch."""

    kind = "epoch"
    step: int
    """From 1."""
    metrics: Mapping[str, float | None]
    """None is NaN."""
    ending: str = ""
    """The trial's own reason to end with this epoch; "" where it continues."""


@dataclass(frozen=True)
class End(_RunEvent):
    """A run has ended."""

    kind = "end"
    status: str
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    step: int = 0
    """The last epoch."""
    note: str | None = None
    """Markdown."""


@dataclass(frozen=True)
class Artifact(_RunEvent):
    """A file belongs to a run."""

    kind = "artifact"
    path: Path
    folder: str = ""
    """Of the artifact; "" is the top."""


@dataclass(frozen=True)
class Pause(_RunEvent):
    """A trial is paused at its rung: for listeners, never written."""

    kind = "pause"


@dataclass(frozen=True)
class Retry(_RunEvent):
    """A trial has failed and will be started again: for listeners, never written."""

    kind = "retry"


Event = Start | Epoch | End | Artifact
"""What is written."""

TrialEvent = Event | Pause | Retry
"""What listeners get."""


@dataclass(frozen=True)
class Unreadable:
    """A line that is no event: it is damaged, or of a kind that only a newer version knows."""

    content: dict[str, Any]
    """The JSON object of the line; where it has none, its text."""
    why: str

    @property
    def kind(self) -> Any:
        """Return the kind that the line names."""
        return self.content.get("kind")

    @property
    def trial(self) -> str | None:
        """Return the trial that the line names; None where it names none."""
        trial = self.content.get("trial")
        return trial if isinstance(trial, str) else None


Line = Event | Unreadable
"""What a line of the event file holds."""

KINDS: dict[str, type[Event]] = {cls.kind: cls for cls in (Start, Epoch, End, Artifact)}
SHAPES: dict[str, Any] = {
    "start": {"trial": str, "time_ms": int, "name?": str, "params": {}, "tags": {}, "inputs?": [{}]},
    "epoch": {"trial": str, "time_ms": int, "step": int, "metrics": {}, "ending?": str},
    "end": {"trial": str, "time_ms": int, "status": str, "tags": {}, "metrics": {}, "step": int, "note?": (str, None)},
    "artifact": {"trial": str, "time_ms": int, "path": str, "folder": str},
}
"""What every reader needs of each kind of event; what MLflow demands besides is checked on delivery."""

FIELDS = {kind: tuple(entry.name for entry in fields(cls) if entry.name != "newer") for kind, cls in KINDS.items()}
LEFT_OUT = ("name", "ending", "inputs")
"""Fields that are not written where they are empty."""


def encode(line: Line, folder: Path) -> dict[str, Any]:
    """Return the JSON object of a line.

    Args:
        line: an event of a kind that is written, or a line that could not be read.
        folder: the sweep's.
    """
    if isinstance(line, Unreadable):
        content = line.content
    else:
        values = {name: getattr(line, name) for name in FIELDS[line.kind]}
        head = {"trial": values.pop("trial"), "time_ms": values.pop("time_ms"), "kind": line.kind}
        written = {name: value for name, value in values.items() if value or name not in LEFT_OUT}
        content = {**head, **written, **line.newer}
    path = content.get("path")
    return content | {"path": portable_path(str(path), folder)} if isinstance(path, str | Path) else content


def decode(content: dict[str, Any], folder: Path) -> Line:
    """Return the event of a JSON object, with the present path of its file in the sweep's folder."""
    kind, path = content.get("kind"), content.get("path")
    if isinstance(path, str):
        content = content | {"path": present_path(path, folder)}
    if not isinstance(kind, str) or kind not in KINDS:
        return Unreadable(content, f"kind is {kind!r}, but must be one of {', '.join(KINDS)}")
    if wrong := difference(content, SHAPES[kind]):
        return Unreadable(content, f"{kind} event: {wrong}")
    values = {name: content[name] for name in FIELDS[kind] if name in content}
    if kind == Artifact.kind:
        values["path"] = Path(values["path"])
    newer = {key: value for key, value in content.items() if key not in values and key != "kind"}
    return KINDS[kind](**values, newer=newer)


def read_line(text: bytes, folder: Path) -> Line:
    """Return what a line of the event file holds."""
    content = json_object(text)
    if content is None:
        content = {"kind": "unreadable", "text": text.decode(errors="replace").rstrip("\n")}
    return decode(content, folder)


def json_object(text: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a line; None for anything else, NaN and infinities included."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")

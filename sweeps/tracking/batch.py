"""A batch: the events of one run, added up into params, metrics, tags and status for MLflow."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bddseg.result import OBJECTIVE
from sweeps.storage.events import PARENT, End, Epoch, Event, Line, Start, Unreadable
from sweeps.storage.outcomes import ENDED, RunStatus
from sweeps.storage.records import IDENTITY
from sweeps.storage.tags import STOP_DETAIL, STOP_REASON
from sweeps.tracking.dataset_inputs import check_input
from sweeps.tracking.failures import ArtifactFileError

LARGEST_INTEGER = 2**63 - 1
NAME_CHARS, PARAM_CHARS, TAG_CHARS = 250, 6000, 8000
STOP_TAGS = (STOP_REASON, STOP_DETAIL)
"""Set when a run ends, and removed when it continues."""

Points = dict[int, tuple[int, float]]
"""Step -> time in milliseconds and value of the point there."""


def no_points(key: str) -> Points:
    """Return the points of a metric in a new run: none."""
    return {}


@dataclass
class Batch:
    """What is to be sent to one run."""

    params: dict[str, str] = field(default_factory=dict)
    """Those that MLflow has, and new ones."""
    points: dict[str, Points] = field(default_factory=dict)
    """Metric -> its points, for one metric of each group that is reported together."""
    recorded: Callable[[str], Points] = no_points
    """Return the points of a metric that MLflow has; called once for each metric that `points` lacks."""
    metrics: list[tuple[str, float, int, int]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    inputs: list[Mapping[str, Any]] = field(default_factory=list)
    """The parts of the data that the run uses."""
    name: str = ""
    status: str = ""
    time_ms: int = 0
    is_started: bool = False
    """The run is started, or started again, by these events."""

    def add(self, event: Event) -> None:
        """Add an event; the files of artifacts are uploaded separately.

        Raises:
            TypeError, ValueError, OverflowError: when it has a value that MLflow does not take.
        """
        match event:
            case Start():
                _add_start(self, event)
            case Epoch():
                _add_points(self, event.metrics, _whole("time_ms", event.time_ms), _whole("step", event.step))
            case End():
                _add_end(self, event)


def fault_of(line: Line) -> str:
    """Return why a line can never be sent; "" when it can."""
    if isinstance(line, Unreadable):
        return line.why
    try:
        _whole("time_ms", line.time_ms)
        if line.trial != PARENT and not IDENTITY.fullmatch(line.trial):
            raise ValueError(f"trial is {line.trial!r}, but must be made of letters, digits, '_', '.' and '-'")
        Batch().add(line)
    except (TypeError, ValueError, OverflowError) as error:
        return f"{line.kind} event: {type(error).__name__} {error}"
    return ""


def check_file(path: Path) -> None:
    """Check that a file can be read; a failing disk shows in the upload itself.

    Raises:
        ArtifactFileError: when it is missing, or cannot be read.
    """
    try:
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise ArtifactFileError(f"there is no file {path}") from error
    except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise ArtifactFileError(f"{path} cannot be read ({error.strerror})") from error
    except OSError:
        pass


def clean(value: Any, longest: int) -> str:
    """Return a value as text that every database takes: no NUL, no half of a surrogate pair, not too long."""
    return str(value).replace("\0", "").encode(errors="replace").decode()[:longest]


def _add_start(batch: Batch, event: Start) -> None:
    for key, value in event.params.items():
        text = clean(value, PARAM_CHARS)
        if batch.params.setdefault(key, text) != text:  # MLflow keeps the first value for good
            batch.tags[f"changed.{key}"] = text
    for key in STOP_TAGS:
        batch.tags.pop(key, None)
    _add_tags(batch, event.tags)
    batch.inputs += map(check_input, event.inputs)
    batch.status, batch.is_started, batch.name = RunStatus.RUNNING, True, event.name[:NAME_CHARS]


def _add_end(batch: Batch, event: End) -> None:
    if event.status not in ENDED:
        raise ValueError(f"status is {event.status!r}, but must be one of {', '.join(ENDED)}")
    batch.status, batch.time_ms = event.status, _whole("time_ms", event.time_ms)
    _add_points(batch, event.metrics, batch.time_ms, _whole("step", event.step))
    _add_tags(batch, {**event.tags, **({"mlflow.note.content": event.note} if event.note else {})})


def _add_points(batch: Batch, metrics: Mapping[str, Any], time_ms: int, step: int) -> None:
    """Add metrics that were reported together, unless an earlier attempt reported the same at that step.

    An event that is sent again has the same time, and MLflow keeps one of two such points. Another attempt at an epoch
    mostly has the same value, bit for bit, and would only double the point; where the value differs, the later counts.
    """
    points = [(name, _number(name, value), time_ms, step) for name, value in metrics.items()]
    if not points:
        return
    key = OBJECTIVE if OBJECTIVE in metrics else min(metrics)
    value = _number(key, metrics[key])
    if key not in batch.points:
        batch.points[key] = batch.recorded(key)
    earlier_ms, earlier = batch.points[key].setdefault(step, (time_ms, value))
    if time_ms == earlier_ms or repr(value) != repr(earlier):  # repr: NaN equals itself
        batch.points[key][step] = (time_ms, value)
        batch.metrics += points


def _add_tags(batch: Batch, tags: Mapping[str, Any]) -> None:
    batch.tags.update({key: clean(value, TAG_CHARS) for key, value in tags.items()})


def _number(name: str, value: Any) -> float:
    if value is None:
        return math.nan
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}, but must be a number or None")
    return float(value)


def _whole(key: str, value: int) -> int:
    if not 0 <= value <= LARGEST_INTEGER:
        raise ValueError(f"{key} is {value!r}, but must be a whole number from 0 to 2^63 - 1")
    return value

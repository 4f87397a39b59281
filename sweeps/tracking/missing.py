"""Parts of a delivered sweep that MLflow has lost: runs, epochs, ends or files that were deleted since.

MLflow is asked, since the cursor beside the events only says what it once had. Events that were never delivered, or
were refused, are not looked for.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bddseg.result import OBJECTIVE
from sweeps.errors import NoSweepError, TrackingError
from sweeps.storage.event_file import EPOCH, TRIAL, EventFile
from sweeps.storage.events import PARENT, Artifact, End, Event, Start
from sweeps.storage.outcomes import RunStatus
from sweeps.storage.tags import INCOMPLETE, TRIAL_ID
from sweeps.tracking.batch import STOP_TAGS, fault_of
from sweeps.tracking.reader import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

STEP = re.compile(rb'"step":(\d+)')
MEASURED = f'"{OBJECTIVE}":'.encode()


@dataclass(frozen=True)
class MissingParts:
    """The parts that have to be delivered again."""

    trials: tuple[str, ...] = ()
    """Whose events; "" is the sweep's own run."""
    files: tuple[Artifact, ...] = ()
    failure: TrackingError | None = None
    """Why the files could not all be compared: a store of files did not list what it has."""

    def __bool__(self) -> bool:
        return bool(self.trials or self.files)


@dataclass
class _Expected:
    """The parts that the run of a trial must have."""

    status: str = ""
    params: bool = False
    tags: set[str] = field(default_factory=set)
    steps: set[int] = field(default_factory=set)
    files: dict[tuple[str, str], Artifact] = field(default_factory=dict)
    """By folder and name."""

    def add(self, event: Event) -> None:
        """Add an event of any kind but epoch."""
        match event:
            case Start():
                self.status, self.params = RunStatus.RUNNING, self.params or bool(event.params)
                self.tags = self.tags - set(STOP_TAGS) | set(event.tags)
            case End():
                self.status = event.status
                self.tags |= set(event.tags)
            case Artifact():
                self.files[event.folder, event.path.name] = event

    def is_met(self, run: "Run", steps: set[int]) -> bool:
        """Return whether a run has all parts, files excluded."""
        return (
            INCOMPLETE not in run.data.tags
            and self.status in ("", run.info.status)
            and bool(run.data.params) >= self.params
            and self.tags <= set(run.data.tags)
            and self.steps <= steps
        )


def find_missing(events: EventFile, tracking_uri: str, sweep_id: str) -> MissingParts:
    """Return the parts of a sweep that MLflow has lost; a store of files that fails hides no run that was lost.

    Raises:
        TrackingError: when MLflow cannot be asked for runs.
        StorageError: when the events cannot be read.
    """
    expected, store = _read_expected(events), Store(tracking_uri)
    if not expected:
        return MissingParts()
    try:
        recorded = store.runs_of(sweep_id)
    except NoSweepError:
        recorded = []
    runs: dict[str, list[Run]] = {}
    for run in recorded:
        runs.setdefault(run.data.tags.get(TRIAL_ID, PARENT), []).append(run)
    steps = store.steps([run.info.run_id for run in recorded], OBJECTIVE) if recorded else {}
    whole = {trial: _complete_run(want, runs.get(trial, ()), steps) for trial, want in expected.items()}
    files: list[Artifact] = []
    failure = None
    try:
        for trial, run in whole.items():
            files += _missing_files(store, run, expected[trial]) if run else ()
    except TrackingError as error:  # each further run would take as long to fail
        failure = error
    return MissingParts(tuple(trial for trial, run in whole.items() if run is None), tuple(files), failure)


def _complete_run(want: _Expected, runs: Sequence["Run"], steps: Mapping[str, set[int]]) -> "Run | None":
    """Return the run that has all parts of a trial."""
    return next((run for run in runs if want.is_met(run, steps.get(run.info.run_id, set()))), None)


def _missing_files(store: Store, run: "Run", want: _Expected) -> Iterable[Artifact]:
    """Yield the files that a run does not have, or has with another size."""
    folders = {folder for folder, _ in want.files}
    present = {folder: store.files_of(run, folder) for folder in folders}
    for (folder, name), event in want.files.items():
        if name not in present[folder] or present[folder][name] not in (None, _size(event.path)):
            yield event


def _size(path: Path) -> int | None:
    """Return the size of a file; None where there is none, which says nothing about MLflow's copy."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _read_expected(events: EventFile) -> dict[str, _Expected]:
    """Return what MLflow was given so far, by trial, without refused events and queued files."""
    expected: dict[str, _Expected] = {}
    for line in events.lines(end=events.committed()):
        is_measured = EPOCH in line and MEASURED in line
        if is_measured and (step := STEP.search(line)) and (trial := TRIAL.search(line)):
            expected.setdefault(trial[1].decode(), _Expected()).steps.add(int(step[1]))
    for event in events.events(epochs=False, before=events.committed()):
        if not fault_of(event):
            expected.setdefault(event.trial, _Expected()).add(event)
    _leave_out(expected, events)
    return expected


def _leave_out(expected: dict[str, _Expected], events: EventFile) -> None:
    """Remove refused events, and files that are queued."""
    uploads = events.uploads()
    waiting = [event for event, _ in uploads.waiting]
    later = [event for event in events.events(epochs=False, start=uploads.offset) if isinstance(event, Artifact)]
    for line in (*waiting, *later, *(line for line, _ in events.rejects())):
        if line.trial is None or (want := expected.get(line.trial)) is None:
            continue
        if isinstance(line, Artifact):
            want.files.pop((line.folder, line.path.name), None)
        else:
            expected.pop(line.trial)  # a delivery of refused events sends the whole trial

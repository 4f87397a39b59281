"""Later delivery of sweeps that MLflow does not have in full, from their folders alone."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bddseg.errors import UserError
from sweeps.errors import StorageError, SweepError, TrackingError
from sweeps.storage.event_file import OUTBOX, EventFile, Refused
from sweeps.storage.events import Artifact, Epoch, Line, Unreadable
from sweeps.storage.heartbeat import Watches, is_silent, read_pulse
from sweeps.storage.outbox import Outbox
from sweeps.storage.recovery import claim_and_close
from sweeps.storage.sweep_json import read_mlflow_experiment, read_tracking_uri
from sweeps.storage.sweeps import sweep_folders
from sweeps.tracking.artifact_root import ARTIFACTS
from sweeps.tracking.client import EXPERIMENT
from sweeps.tracking.delivery import Delivery
from sweeps.tracking.missing import find_missing
from sweeps.tracking.store import prepare_store
from sweeps.tracking.sweep_runs import load_ids
from sweeps.tracking.uri import (
    VARIABLE,
    check_uri,
    default_tracking_uri,
    has_password,
    hide_password,
    present_uri,
    resolve_tracking_uri,
)

SHOWN_REJECTS = 3
CLOSING_SECONDS = 10
"""For how long a new sweep waits until MLflow has the ends of an older one."""


@dataclass(frozen=True)
class SyncResult:
    """The result of a later delivery."""

    sweep_id: str
    delivered: int
    undelivered: int
    why: str = ""
    """Why events are undelivered, or why MLflow could not be asked; "" otherwise."""
    closed: int = 0
    """Number of runs that a lost driver had left open."""
    rejects: tuple[Refused, ...] = ()

    @property
    def is_left(self) -> bool:
        """Return whether MLflow lacks a part of the sweep, or could not be asked."""
        return bool(self.undelivered or self.why or self.rejects)

    @property
    def is_news(self) -> bool:
        """Return whether there is anything to report."""
        return bool(self.is_left or self.delivered or self.closed)

    def sentences(self) -> Iterator[str]:
        """Yield the result in sentences."""
        if self.closed:
            yield closing_sentence(self.sweep_id, self.closed)
        remaining = f"; {_events(self.undelivered)} left" if self.undelivered else ""
        yield f"{self.sweep_id}: {_events(self.delivered)} delivered{remaining}{f': {self.why}' if self.why else ''}"
        yield from reject_sentences(self.rejects)


def sync_sweeps(folders: Sequence[Path], tracking_uri: str | None) -> Iterator[SyncResult]:
    """Deliver one sweep after another; of several, one that cannot be synced now does not stop the others.

    Their heartbeats are watched at the same time.

    Raises:
        UserError: when the only sweep cannot be synced now.
    """
    failures: dict[str, str] = {}
    with Watches(folders) as watches:
        for folder in folders:
            try:
                yield sync(folder, tracking_uri, failures, watches.is_silent)
            except (UserError, OSError) as error:
                if len(folders) == 1 and isinstance(error, UserError):
                    raise
                yield _not_synced(folder, error)


def sync(
    folder: Path,
    tracking_uri: str | None,
    failures: dict[str, str] | None = None,
    is_free: Callable[[Path], bool] = is_silent,
) -> SyncResult:
    """Deliver the parts of a sweep that MLflow does not have, and close its runs where its driver was lost.

    MLflow is asked what it has, and refused events are sent again. A sweep that is complete is not written to, so that
    its folder may be read-only. A failure to deliver is part of the result.

    Args:
        folder: the sweep's.
        tracking_uri: takes precedence over the environment, which takes precedence over the sweep's own note.
        failures: stores that could not be used, with the reason; they are not tried again. New failures are added.
        is_free: whether no process drives it.

    Raises:
        SweepError: when the sweep is running, is delivered by another process, or cannot be written to.
    """
    if not is_free(folder) and (pulse := read_pulse(folder)):
        raise SweepError(f"sweep {folder.name} is running ({pulse.driver}): sync it when it has ended")
    failures = {} if failures is None else failures
    closed, uri = claim_and_close(folder, is_strict=True), ""
    try:
        uri = recorded_in(folder, tracking_uri)
        if uri in failures:
            raise TrackingError(failures[uri])
        events = EventFile(folder / OUTBOX)
        if _is_settled(events, uri) and not (missing := find_missing(events, uri, folder.name)):
            return SyncResult(folder.name, 0, 0, str(missing.failure or ""), closed=closed)
        return replace(_deliver(folder, uri), closed=closed)
    except TrackingError as error:
        failures[uri] = str(error)
        return replace(_not_synced(folder, error), closed=closed)


def _is_settled(events: EventFile, uri: str) -> bool:
    """Return whether everything was delivered to this store, according to the sweep's own folder."""
    noted, _ = load_ids(events)
    return not events.pending() and not events.rejects() and noted == hide_password(check_uri(uri))


def _deliver(folder: Path, uri: str) -> SyncResult:
    """Deliver the undelivered events, the refused ones, and those that MLflow has lost.

    Raises:
        TrackingError: when the store cannot be used.
    """
    outbox = Outbox(folder / OUTBOX)
    with outbox.claimed():
        experiment = read_mlflow_experiment(folder) or EXPERIMENT
        prepare_store(uri, folder.parent / ARTIFACTS, experiment)
        delivered, undelivered, why = Delivery(outbox, uri, folder.name, experiment).catch_up()
    return SyncResult(folder.name, delivered, undelivered, why, rejects=tuple(outbox.rejects()))


def _not_synced(folder: Path, error: Exception) -> SyncResult:
    """Return the result for a sweep of which nothing could be delivered."""
    events = EventFile(folder / OUTBOX)
    try:
        return SyncResult(folder.name, 0, events.pending(), str(error), rejects=tuple(events.rejects()))
    except StorageError as damage:
        return SyncResult(folder.name, 0, 0, f"{error}; {damage}")


def close_lost_sweeps(storage: Path, tracking_uri: str | None) -> Iterator[str]:
    """Close the runs of every sweep whose driver was lost; yield a sentence for each such sweep.

    Sweeps that were recorded in this store are closed in it at once, the others with their next `sync`.
    """
    for folder in sweep_folders(storage):
        closed = claim_and_close(folder)
        if not closed:
            continue
        if tracking_uri and _noted_uri(folder) == hide_password(tracking_uri):
            _deliver_briefly(folder, tracking_uri)
        yield closing_sentence(folder.name, closed)


def closing_sentence(sweep_id: str, closed: int) -> str:
    """Return the sentence about closed runs of a lost driver."""
    return f"closed {closed} run{'s' * (closed != 1)} of sweep {sweep_id} whose driver was lost"


def reject_sentences(rejects: Sequence[Refused]) -> Iterator[str]:
    """Yield sentences about refused events: their number, and the first few by name."""
    if not rejects:
        return
    verb = "was" if len(rejects) == 1 else "were"
    yield f"warning: {_events(len(rejects))} {verb} refused, kept in outbox.rejected.jsonl until --sync delivers them:"
    for line, why in rejects[:SHOWN_REJECTS]:
        yield f"  {_name(line)}: {why}"
    if len(rejects) > SHOWN_REJECTS:
        yield f"  and {len(rejects) - SHOWN_REJECTS} more"


def _name(line: Line) -> str:
    """Return the name of an event: `epoch 3 of trial 1f2e3d4c`."""
    match line:
        case Epoch(step=detail) | Artifact(path=detail) | Unreadable(content={"path": detail}):
            what = f"{line.kind} {detail}"
        case _:
            what = str(line.kind)
    return f"{what} of {f'trial {line.trial}' if line.trial else 'the sweep'}"


def recorded_in(folder: Path, tracking_uri: str | None) -> str:
    """Return the store of a sweep: the given one, that of the environment, or the one that it noted.

    Raises:
        TrackingError: when its address needs a password that is not given.
    """
    noted = _noted_uri(folder)
    if not tracking_uri and not os.environ.get(VARIABLE) and has_password(noted):
        raise TrackingError(f"it was recorded at {noted}: set {VARIABLE} to that address, with user and password")
    return resolve_tracking_uri(tracking_uri or os.environ.get(VARIABLE) or noted, folder.parent)


def _noted_uri(folder: Path) -> str:
    """Return the store that a sweep noted, without a password; the default where its note is missing or damaged.

    A database in the storage folder is the one in the present storage folder.
    """
    recorded = read_tracking_uri(folder)
    if recorded is None:
        return default_tracking_uri(folder.parent)
    return present_uri(recorded, folder.parent, EventFile(folder / OUTBOX).recorded_storage())


def _deliver_briefly(folder: Path, tracking_uri: str) -> None:
    try:
        outbox = Outbox(folder / OUTBOX)
        with outbox.claimed():
            experiment = read_mlflow_experiment(folder) or EXPERIMENT
            Delivery(outbox, tracking_uri, folder.name, experiment).drain(CLOSING_SECONDS)
    except SweepError:
        return  # another process delivers it, or it cannot be written to


def _events(number: int) -> str:
    return f"{number} event{'s' * (number != 1)}"


def recorded_at(folder: Path, tracking_uri: str | None, *, is_offline: bool = False) -> str:
    """Return the store of a sweep: the option, else the environment, else the sweep's own note.

    An offline sweep sends nothing, so that an address without its password will do.

    Raises:
        TrackingError: when MLflow cannot record there, or its password is not known.
    """
    return _noted_uri(folder) if is_offline and not tracking_uri else recorded_in(folder, tracking_uri)

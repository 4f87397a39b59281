"""Sweeps of a storage folder that MLflow does not have in full, and their later delivery: from their folders alone."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeps.address import VARIABLE, default_tracking_uri, has_password, hide_password, resolve_tracking_uri
from sweeps.delivery import Delivery
from sweeps.errors import NoSweepError, StorageError, SweepError, TrackingError
from sweeps.heartbeat import read_pulse
from sweeps.lost import claim_and_close, close_lost, lost_driver
from sweeps.manifest import FILE
from sweeps.mlflow_store import prepare_store
from sweeps.outbox import Event, Outbox

OUTBOX = "outbox"
ARTIFACTS = "artifacts"
SHOWN_SWEEPS = 10
SHOWN_REJECTS = 3
CLOSING_SECONDS = 10
"""How long a new sweep waits until MLflow has the ends of an older one."""


@dataclass(frozen=True)
class Synced:
    """What a later delivery came to."""

    sweep_id: str
    delivered: int
    undelivered: int
    why: str = ""
    """Why something is left; "" when nothing is."""
    closed: int = 0
    """Runs that a lost driver had left open."""
    rejects: tuple[dict[str, Any], ...] = ()

    @property
    def is_left(self) -> bool:
        return self.undelivered > 0

    def sentences(self) -> Iterator[str]:
        """Yield what to say of it."""
        if self.closed:
            yield closing_sentence(self.sweep_id, self.closed)
        left = f"; {_events(self.undelivered)} left: {self.why}" if self.undelivered else ""
        yield f"{self.sweep_id}: {_events(self.delivered)} delivered{left}"
        yield from reject_sentences(self.rejects)


def find_sweep(storage: Path, sweep_id: str) -> Path:
    """Return the folder of a sweep.

    Raises:
        NoSweepError: when there is none of that id; names those there are, the last first.
        StorageError: when its events are missing.
    """
    folders = {folder.name: folder for folder in sweep_folders(storage)}
    if sweep_id in folders:
        return folders[sweep_id]
    if (Path(storage) / sweep_id / FILE).exists():
        raise StorageError(f"{Path(storage).absolute() / sweep_id / OUTBOX} has no events: put them back from a copy")
    known = sorted(folders, key=lambda name: -folders[name].stat().st_mtime)
    more = f" and {len(known) - SHOWN_SWEEPS} older ones" if len(known) > SHOWN_SWEEPS else ""
    raise NoSweepError(
        f"no sweep {sweep_id[:80]!r} in {storage}; known: {', '.join(known[:SHOWN_SWEEPS]) or 'none'}{more}"
    )


def sweep_folders(storage: Path) -> list[Path]:
    """Return the folders of all sweeps in a storage folder, by name."""
    return sorted(found.parent.parent for found in Path(storage).absolute().glob(f"*/{OUTBOX}/outbox.jsonl"))


def unfinished_business(storage: Path) -> list[Path]:
    """Return the folders of the sweeps that have undelivered events, or a driver that was lost."""
    return [
        folder
        for folder in sweep_folders(storage)
        if Outbox(folder / OUTBOX).pending() or lost_driver(folder) is not None
    ]


def sync_sweeps(folders: Sequence[Path], tracking_uri: str | None) -> Iterator[Synced]:
    """Deliver sweep after sweep; of several, one that cannot be synced now is told of and the others go on.

    Raises:
        SweepError: when the only sweep is running, or delivered by another process.
    """
    for folder in folders:
        try:
            yield sync(folder, tracking_uri)
        except SweepError as error:
            if len(folders) == 1:
                raise
            yield Synced(folder.name, 0, Outbox(folder / OUTBOX).pending(), str(error))


def sync(folder: Path, tracking_uri: str | None) -> Synced:
    """Deliver what MLflow does not have of a sweep, and close its runs where its driver was lost.

    `tracking_uri` beats the environment beats what the sweep itself noted. A failure to deliver is told in the answer.

    Raises:
        SweepError: when the sweep is running, or delivered by another process.
    """
    outbox = Outbox(folder / OUTBOX)
    _check_not_running(folder)
    with outbox.claimed():
        closed = close_lost(folder, outbox)
        waiting = outbox.pending()
        try:
            uri = _where_to(folder, tracking_uri)
            prepare_store(uri, folder.parent / ARTIFACTS)
            delivery = Delivery(outbox, uri, folder.name)
            waiting = outbox.pending()  # all of it, when the store is another one
            left, why = delivery.drain()
        except TrackingError as error:
            left, why = waiting, str(error)
    return Synced(folder.name, waiting - left, left, why, closed, tuple(outbox.rejects()))


def close_lost_sweeps(storage: Path, tracking_uri: str | None) -> Iterator[str]:
    """Close the runs of every sweep whose driver was lost; yield a sentence for each such sweep.

    Those that were recorded in the store that is named here are closed there at once; the others wait for a `sync`.
    """
    for folder in sweep_folders(storage):
        closed = claim_and_close(folder)
        if not closed:
            continue
        if tracking_uri and _noted_uri(folder) == hide_password(tracking_uri):
            _deliver_briefly(folder, tracking_uri)
        yield closing_sentence(folder.name, closed)


def closing_sentence(sweep_id: str, closed: int) -> str:
    """Return what is said when runs of a lost driver have been closed."""
    return f"closed {closed} run{'s' * (closed != 1)} of sweep {sweep_id} whose driver was lost"


def reject_sentences(rejects: tuple[dict[str, Any], ...] | list[dict[str, Any]]) -> Iterator[str]:
    """Yield what is said of events that MLflow refused for good: how many, and the first few by name."""
    if not rejects:
        return
    yield f"warning: MLflow refused {_events(len(rejects))} for good, kept in outbox.rejected.jsonl:"
    for reject in rejects[:SHOWN_REJECTS]:
        yield f"  {_name(reject['event'])}: {reject['why']}"
    if len(rejects) > SHOWN_REJECTS:
        yield f"  and {len(rejects) - SHOWN_REJECTS} more"


def _name(event: Event) -> str:
    """Return which event it is: `epoch 3 of trial 1f2e3d4c`."""
    detail = f" {event['step']}" if event.get("kind") == "epoch" else f" {event['path']}" if event.get("path") else ""
    return f"{event.get('kind')}{detail} of {'trial ' + str(event['trial']) if event.get('trial') else 'the sweep'}"


def _check_not_running(folder: Path) -> None:
    pulse = read_pulse(folder)
    if pulse is not None and pulse.is_alive():
        raise SweepError(f"sweep {folder.name} is running ({pulse.driver}): sync it when it has ended")


def _where_to(folder: Path, tracking_uri: str | None) -> str:
    noted = _noted_uri(folder)
    if not tracking_uri and not os.environ.get(VARIABLE) and has_password(noted):
        raise TrackingError(f"it was recorded at {noted}: set {VARIABLE} to that address, with user and password")
    return resolve_tracking_uri(tracking_uri or os.environ.get(VARIABLE) or noted, folder.parent)


def _noted_uri(folder: Path) -> str:
    """Return where a sweep recorded, without a password; the default where it noted nothing that can be read."""
    try:
        found = json.loads((folder / FILE).read_text()).get("tracking_uri")
    except (OSError, ValueError, AttributeError):
        found = None
    return found if isinstance(found, str) else default_tracking_uri(folder.parent)


def _deliver_briefly(folder: Path, tracking_uri: str) -> None:
    outbox = Outbox(folder / OUTBOX)
    try:
        with outbox.claimed():
            Delivery(outbox, tracking_uri, folder.name).drain(CLOSING_SECONDS)
    except SweepError:
        return  # somebody else delivers it


def _events(number: int) -> str:
    return f"{number} event{'s' * (number != 1)}"


def recorded_at(folder: Path, tracking_uri: str | None, *, is_offline: bool = False) -> str:
    """Return where a sweep is recorded: as it is typed, else as the environment says, else as the sweep noted.

    Of a sweep that is offline nothing is sent, so that an address without its password will do.

    Raises:
        TrackingError: when MLflow cannot record there, or its password is not known.
    """
    return _noted_uri(folder) if is_offline and not tracking_uri else _where_to(folder, tracking_uri)

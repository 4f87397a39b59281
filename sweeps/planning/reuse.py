"""Trials that were trained before: their events, evidence and checkpoints taken over into a new sweep.

A trial is the same when its digest, the data's fingerprint and its budget are: it is not trained again. With a larger
budget it goes on from its last checkpoint, where that was kept. What is taken over belongs to the new sweep (files are
linked, or copied), so the old one may be deleted; events keep their times: they say when the trial was trained.
"""

import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bddseg.checkpoint import load_training
from bddseg.errors import DataError
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.storage.artifacts import evidence_file
from sweeps.storage.events import Event, EventFile
from sweeps.storage.finished_trials import FinishedTrial
from sweeps.storage.folder import SweepFolder
from sweeps.storage.outbox import Outbox
from sweeps.storage.outcomes import StopReason
from sweeps.storage.tags import IS_REFERENCE, REUSED, SETTING, SWEEP_ID

EVIDENCE = evidence_file("val")
"""The file without which a trial cannot be compared: it is trained again."""

AT_A_TIME = 200
"""Trials whose events are held in memory together."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reused:
    """A trial of the new sweep that another one has trained, wholly or up to some epoch."""

    trial: PlannedTrial
    entry: FinishedTrial

    @property
    def is_whole(self) -> bool:
        return is_same_budget(self.entry, self.trial.epochs)


def is_same_budget(entry: FinishedTrial, epochs: int) -> bool:
    """Return whether a finished trial is the same under a budget: it used it up, or had given up by then."""
    return entry.epochs <= epochs if entry.reason == StopReason.PLATEAU else entry.budget == epochs


def take_over(
    plan: Plan, entries: Iterable[FinishedTrial], fingerprint: str, sweep_id: str, folder: SweepFolder, outbox: Outbox
) -> list[Reused]:
    """Write what was recorded of the plan's trials into the new sweep; return which were found.

    Of several the newest whole one is taken, otherwise the one with the most epochs to go on from.
    """
    by_trial: dict[str, list[FinishedTrial]] = {}
    for entry in entries:
        if entry.fingerprint == fingerprint and entry.sweep != folder.path:
            by_trial.setdefault(entry.trial_id, []).append(entry)
    found: dict[str, Reused] = {}
    left = {it.trial_id: _candidates(it, by_trial[it.trial_id]) for it in plan.trials if it.trial_id in by_trial}
    while left := {trial_id: ones for trial_id, ones in left.items() if ones and trial_id not in found}:
        for ones in _together([ones.pop(0) for ones in left.values()]):
            told = _events(ones)
            taken = (it for it in ones if _take(it, told.get(it.trial.trial_id, []), sweep_id, folder, outbox))
            found.update({it.trial.trial_id: it for it in taken})
    outbox.sync()  # once for all: each would take milliseconds
    return [found[trial.trial_id] for trial in plan.trials if trial.trial_id in found]


def _candidates(trial: PlannedTrial, known: Sequence[FinishedTrial]) -> list[Reused]:
    """Return what a trial might be taken over from, the best first."""
    whole = [entry for entry in known if is_same_budget(entry, trial.epochs)]
    begun = sorted((entry for entry in known if entry.epochs < trial.epochs), key=lambda entry: -entry.epochs)
    return [Reused(trial, entry) for entry in (*whole, *(entry for entry in begun if entry not in whole))]


def _together(ones: Iterable[Reused]) -> Iterator[list[Reused]]:
    """Yield those of one sweep together, so many at a time: its events are read once for all of them."""
    by_sweep: dict[Path, list[Reused]] = {}
    for it in ones:
        by_sweep.setdefault(it.entry.sweep, []).append(it)
    for found in by_sweep.values():
        yield from (found[first : first + AT_A_TIME] for first in range(0, len(found), AT_A_TIME))


def _events(ones: Sequence[Reused]) -> dict[str, list[Event]]:
    """Return the events of trials of one sweep."""
    found: dict[str, list[Event]] = {}
    events = EventFile(SweepFolder(ones[0].entry.sweep).outbox)
    for event in events.events({it.trial.trial_id for it in ones}):
        found.setdefault(event["trial"], []).append(event)
    return found


def reuse_sentences(found: Iterable[Reused], trials: int) -> Iterator[str]:
    """Yield what is said of the trials that were taken over."""
    whole = [it for it in found if it.is_whole]
    begun = [it for it in found if not it.is_whole]
    same = "trained before with the same settings, data and budget"
    if whole:
        yield f"{len(whole)} of {trials} reused from {_sweeps(whole)}: {same}; --fresh trains them again"
    if begun:
        yield f"{len(begun)} of {trials} go on where {_sweeps(begun)} ended, with a larger budget"


def _sweeps(found: Iterable[Reused]) -> str:
    return ", ".join(dict.fromkeys(it.entry.sweep.name for it in found))


def _take(reused: Reused, events: Sequence[Event], sweep_id: str, folder: SweepFolder, outbox: Outbox) -> bool:
    """Take one trial over; return whether it could be."""
    source, trial_id = SweepFolder(reused.entry.sweep), reused.trial.trial_id
    checkpoint = next(iter(source.checkpoints(trial_id)), None)
    try:
        if reused.is_whole:
            if not any(_is_evidence(event) for event in events):
                return False
        elif checkpoint is None or load_training(checkpoint)["epoch"] != reused.entry.epochs:
            return False
        if checkpoint is not None:
            _link_tree(checkpoint, folder.path / "pass-0" / trial_id / checkpoint.name)
        taken = [*_taken(events, reused, sweep_id, folder)]
    except (OSError, DataError) as error:
        log.warning("%s of %s is trained again: %s", reused.trial.name, reused.entry.sweep.name, error)
        return False
    outbox.extend(taken, is_synced=False)
    return True


def _taken(events: Iterable[Event], reused: Reused, sweep_id: str, folder: SweepFolder) -> Iterator[Event]:
    """Yield the events as those of the new sweep; of a trial that goes on, without its end."""
    mark, trial = {SWEEP_ID: sweep_id, REUSED: reused.entry.sweep.name}, reused.trial
    for event in events:
        if event["kind"] == "artifact":
            if reused.is_whole and Path(event["path"]).is_file():
                yield event | {"path": str(_linked(Path(event["path"]), trial.trial_id, folder))}
        elif event["kind"] == "start":
            setting = {SETTING: trial.config.setting_digest()}  # the budget may be another one here
            tags = {
                **event["tags"],
                **mark,
                **setting,
                IS_REFERENCE: str(trial.is_reference).lower(),
                **trial.tags,
            }
            yield event | {"name": trial.name, "params": dict(trial.settings), "tags": tags}
        elif event["kind"] == "epoch":
            yield event if reused.is_whole else {key: value for key, value in event.items() if key != "ending"}
        elif event["kind"] == "end" and reused.is_whole:
            yield event | {"tags": {**event["tags"], **mark}, "note": None}


def _is_evidence(event: Event) -> bool:
    return event.get("kind") == "artifact" and Path(event["path"]).name == EVIDENCE and Path(event["path"]).is_file()


def _linked(file: Path, trial_id: str, folder: SweepFolder) -> Path:
    """Return the new sweep's own link to a file: a log beside its logs, anything else in its spool."""
    place = folder.logs if file.suffix == ".log" else folder.outbox / "spool" / trial_id
    place.mkdir(parents=True, exist_ok=True)
    _link(file, place / file.name)
    return place / file.name


def _link_tree(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for file in source.iterdir():
        _link(file, target / file.name)


def _link(source: Path, target: Path) -> None:
    """Link a file, or copy it where the disks differ; files here are replaced whole, never written to."""
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)

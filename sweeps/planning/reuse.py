"""Reuse of trials that earlier sweeps trained: events, evidence and checkpoints are copied into the new sweep.

A trial with the same digest, data fingerprint and budget is not trained again. With a larger budget it continues from
its last checkpoint, if that was kept. Files are linked, or copied, into the new sweep, so the old sweep may be deleted.
Events keep their times, which are those of the training.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bddseg.checkpoint import STATE_FILES, load_training
from bddseg.errors import DataError
from sweeps.errors import StorageError
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.storage.artifacts import evidence_file
from sweeps.storage.checkpoint_store import recorded_checkpoints
from sweeps.storage.checkpoints import OF_OTHERS, Checkpoints, FolderCheckpoints, link
from sweeps.storage.event_file import EventFile
from sweeps.storage.events import Artifact, End, Epoch, Event, Start
from sweeps.storage.finished_trials import FinishedTrial
from sweeps.storage.folder import SweepFolder
from sweeps.storage.outbox import Outbox
from sweeps.storage.outcomes import StopReason
from sweeps.storage.tags import IS_REFERENCE, REUSED, SETTING, SWEEP_ID

EVIDENCE = evidence_file("val")
"""Evidence file: without it a trial cannot be compared and is trained again."""

FILES = (*STATE_FILES, EVIDENCE, evidence_file("test"))
"""Files of a checkpoint."""

BATCH = 200
"""Trials whose events are in memory at the same time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reused:
    """A trial of the new sweep that an earlier sweep trained, completely or up to some epoch."""

    trial: PlannedTrial
    entry: FinishedTrial

    @property
    def is_whole(self) -> bool:
        return is_same_budget(self.entry, self.trial.epochs)


def is_same_budget(entry: FinishedTrial, epochs: int) -> bool:
    """Return whether a finished trial counts as complete under a budget: it used it, or reached its plateau earlier."""
    return entry.epochs <= epochs if entry.reason == StopReason.PLATEAU else entry.budget == epochs


def take_over(
    plan: Plan,
    entries: Iterable[FinishedTrial],
    fingerprint: str,
    sweep_id: str,
    folder: SweepFolder,
    checkpoints: Checkpoints,
    outbox: Outbox,
) -> list[Reused]:
    """Copy recorded trials of the plan into the new sweep; return those that could be reused.

    Of several candidates the newest complete one is used, otherwise the one with the most epochs.

    Args:
        plan: of the new sweep.
        entries: finished trials of earlier sweeps, the newest first.
        fingerprint: of the new sweep's data.
        sweep_id: of the new sweep.
        folder: of the new sweep.
        checkpoints: of the new sweep; receives those of the reused trials.
        outbox: of the new sweep; receives the events.
    """
    by_trial: dict[str, list[FinishedTrial]] = {}
    for entry in entries:
        if entry.fingerprint == fingerprint and entry.sweep != folder.path:
            by_trial.setdefault(entry.trial_id, []).append(entry)
    queues = [_candidates(trial, by_trial.get(trial.trial_id, [])) for trial in plan.trials]
    reused_by_id: dict[str, Reused] = {}
    while queues := [queue for queue in queues if queue and queue[0].trial.trial_id not in reused_by_id]:
        # the best candidate of each open trial; where it cannot be used, the next one in the next round
        for batch in _batches([queue.pop(0) for queue in queues]):
            events, source = _events(batch), _Source.of(batch)
            for reused in batch:
                trial_id = reused.trial.trial_id
                copied = _take(reused, events.get(trial_id, []), source, sweep_id, folder, checkpoints)
                if copied:
                    outbox.extend(copied, is_synced=False)
                    reused_by_id[trial_id] = reused
    outbox.sync()  # once for all: each would take milliseconds
    return [reused_by_id[trial.trial_id] for trial in plan.trials if trial.trial_id in reused_by_id]


def _candidates(trial: PlannedTrial, entries: Sequence[FinishedTrial]) -> list[Reused]:
    """Return the recorded trials that can stand for a trial, the best first."""
    whole = [entry for entry in entries if is_same_budget(entry, trial.epochs)]
    shorter = sorted((entry for entry in entries if entry.epochs < trial.epochs), key=lambda entry: -entry.epochs)
    return [Reused(trial, entry) for entry in (*whole, *(entry for entry in shorter if entry not in whole))]


def _batches(candidates: Iterable[Reused]) -> Iterator[list[Reused]]:
    """Yield the candidates of one sweep together, at most BATCH: its events are read once for all of them."""
    by_sweep: dict[Path, list[Reused]] = {}
    for reused in candidates:
        by_sweep.setdefault(reused.entry.sweep, []).append(reused)
    for of_sweep in by_sweep.values():
        yield from (of_sweep[first : first + BATCH] for first in range(0, len(of_sweep), BATCH))


def _events(batch: Sequence[Reused]) -> dict[str, list[Event]]:
    """Return the events of trials of one sweep."""
    by_trial: dict[str, list[Event]] = {}
    file = EventFile(SweepFolder(batch[0].entry.sweep).outbox)
    for event in file.events({reused.trial.trial_id for reused in batch}):
        by_trial.setdefault(event.trial, []).append(event)
    return by_trial


@dataclass(frozen=True)
class _Source:
    """The checkpoints of a sweep that some trials were trained in."""

    checkpoints: Checkpoints
    newest: Mapping[str, str]
    """Trial -> its newest checkpoint, where it has one."""

    @classmethod
    def of(cls, batch: Sequence[Reused]) -> "_Source":
        """Return the source of trials of one sweep; without checkpoints where they cannot be read."""
        folder = batch[0].entry.sweep
        try:
            checkpoints = recorded_checkpoints(folder)
            return cls(checkpoints, checkpoints.newest(reused.trial.trial_id for reused in batch))
        except (OSError, StorageError) as error:
            log.warning("trials of %s are reused without checkpoints, which cannot be read: %s", folder.name, error)
            return cls(FolderCheckpoints(folder), {})

    def epoch(self, name: str) -> int:
        """Return the epoch of a checkpoint."""
        with self.checkpoints.opened(name, STATE_FILES) as folder:
            return int(load_training(folder)["epoch"])


def reuse_sentences(reused: Sequence[Reused], trials: int) -> Iterator[str]:
    """Yield a sentence about the trials that were reused whole, and one about those that continue."""
    whole = [trial for trial in reused if trial.is_whole]
    continued = [trial for trial in reused if not trial.is_whole]
    same = "trained before with the same settings, data and budget"
    if whole:
        yield f"{len(whole)} of {trials} reused from {_sweeps(whole)}: {same}; --fresh trains them again"
    if continued:
        yield f"{len(continued)} of {trials} continue where {_sweeps(continued)} ended, with a larger budget"


def _sweeps(reused: Iterable[Reused]) -> str:
    return ", ".join(dict.fromkeys(trial.entry.sweep.name for trial in reused))


def _take(
    reused: Reused,
    events: Sequence[Event],
    source: _Source,
    sweep_id: str,
    folder: SweepFolder,
    checkpoints: Checkpoints,
) -> list[Event]:
    """Copy the files of one trial; return its events as those of the new sweep, none where it cannot be reused."""
    name = source.newest.get(reused.trial.trial_id)
    try:
        if reused.is_whole:
            if not any(_is_evidence(event) for event in events):
                return []
        elif name is None or source.epoch(name) != reused.entry.epochs:
            return []
        if name is not None:
            target = f"{OF_OTHERS}/{name.partition('/')[2]}"
            checkpoints.add(target, source.checkpoints, name, FILES)
        return [*_copied_events(events, reused, sweep_id, folder)]
    except (OSError, DataError) as error:
        log.warning("%s of %s is trained again: %s", reused.trial.name, reused.entry.sweep.name, error)
        return []


def _copied_events(events: Iterable[Event], reused: Reused, sweep_id: str, folder: SweepFolder) -> Iterator[Event]:
    """Yield the events as those of the new sweep; of a trial that continues, without its end."""
    mark, trial = {SWEEP_ID: sweep_id, REUSED: reused.entry.sweep.name}, reused.trial
    for event in events:
        match event:
            case Artifact() if reused.is_whole and event.path.is_file():
                yield replace(event, path=_linked(event.path, trial.trial_id, folder))
            case Start():
                setting = {SETTING: trial.config.setting_digest()}  # the budget may differ here
                reference = {IS_REFERENCE: str(trial.is_reference).lower()}
                tags = {**event.tags, **mark, **setting, **reference, **trial.tags}
                yield replace(event, name=trial.name, params=dict(trial.settings), tags=tags)
            case Epoch():
                yield event if reused.is_whole else replace(event, ending="")
            case End() if reused.is_whole:
                yield replace(event, tags={**event.tags, **mark}, note=None)


def _is_evidence(event: Event) -> bool:
    return isinstance(event, Artifact) and event.path.name == EVIDENCE and event.path.is_file()


def _linked(file: Path, trial_id: str, folder: SweepFolder) -> Path:
    """Return the new sweep's link to a file: a log is put beside its logs, any other file into its spool."""
    target = (folder.logs if file.suffix == ".log" else folder.spool / trial_id) / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    link(file, target)
    return target

"""A sweep that was begun: which ones are unfinished, and what they set out to do, read from their own folders.

Nothing is read from today's experiments.yaml.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bddseg.data.folders import is_there, names_in
from bddseg.errors import AccessError
from bddseg.result import OBJECTIVE
from bddseg.words import count
from sweeps.errors import NoSweepError, StorageError
from sweeps.storage.events import EVENTS, OUTBOX, PARENT, Event, EventFile
from sweeps.storage.folder import SweepFolder
from sweeps.storage.heartbeat import read_pulse
from sweeps.storage.outcomes import RunStatus
from sweeps.storage.sweep_json import FILE, read_manifest, to_come, to_replicate
from sweeps.storage.tags import REUSED
from sweeps.storage.trial_history import TrialHistory, read_past

SWEEP_NAME = re.compile(r".+-\d{8}-\d{6}-[0-9a-f]+")
SHOWN_SWEEPS = 10


def unfinished_sweep(storage: Path) -> Path:
    """Return the folder of the sweep that was begun last and has trials without an end.

    Raises:
        StorageError: when there is none, and one still runs.
        NoSweepError: when there is none.
    """
    folders = sorted(sweep_folders(storage), key=_begun, reverse=True)
    unreadable: list[StorageError] = []
    for folder in folders:
        try:
            if is_unfinished(folder) and not was_refused(folder):
                return folder
        except StorageError as error:
            unreadable.append(error)
    for folder in folders:
        with contextlib.suppress(StorageError) if unreadable else contextlib.nullcontext():
            check_not_running(folder)
    if unreadable:
        what = count(len(unreadable), "sweep cannot be read", "sweeps cannot be read")
        raise StorageError(f"no sweep in {storage} is known to be unfinished, but {what}: {unreadable[0]}")
    raise NoSweepError(f"no sweep in {storage} is unfinished: nothing to resume")


def latest_sweep(storage: Path) -> str:
    """Return the id of the sweep of a storage folder that was started last; "" where there is none."""
    folders = [folder for folder in sweep_folders(storage) if not was_refused(folder)]
    return max(folders, key=_begun).name if folders else ""


def has_trained(folder: Path) -> bool:
    """Return whether a trial was started by this sweep, not only taken over from another."""
    events = EventFile(folder / OUTBOX).events(epochs=False)
    starts = (event for event in events if event.get("kind") == "start" and event.get("trial") != PARENT)
    return any(REUSED not in event.get("tags", {}) for event in starts)


def was_refused(folder: Path) -> bool:
    """Return whether a sweep failed before it started a trial of its own: earlier versions left its folder behind.

    Of one whose events cannot be read nothing is said here: whoever reads them next names it.
    """
    try:
        return _last_word(EventFile(folder / OUTBOX).events(epochs=False)) == RunStatus.FAILED and not has_trained(
            folder
        )
    except StorageError:
        return False


def is_unfinished(folder: Path) -> bool:
    """Return whether a sweep, or a trial of it, came to no end of its own, and nobody is at it.

    Raises:
        StorageError: when that cannot be read.
    """
    pulse, manifest = read_pulse(folder), read_manifest(folder)
    events = list(EventFile(folder / OUTBOX).events(epochs=False))
    past = read_past(events, OBJECTIVE)
    sweep, trial_ids = SweepFolder(folder), [trial["trial_id"] for trial in manifest["trials"]]
    is_left = any(past.get(trial_id, TrialHistory()).is_open(sweep.is_cancelled(trial_id)) for trial_id in trial_ids)
    ends = {RunStatus.FINISHED} if to_come(manifest) else {RunStatus.FINISHED, RunStatus.FAILED}
    return not (pulse and pulse.is_alive()) and (is_left or _last_word(events) not in ends)


def check_not_running(folder: Path) -> None:
    """Refuse a sweep that a living process drives.

    Raises:
        StorageError: naming the process.
    """
    pulse = read_pulse(folder)
    if pulse is not None and pulse.is_alive():
        raise StorageError(f"sweep {folder.name} still runs ({pulse.driver})")


def check_events(folder: Path) -> str:
    """Refuse a sweep whose events were lost: what they do not tell would be trained anew, over what is there.

    Returns a sentence, "" mostly, where only the last events are missing: a loss of power, or a disk that was full,
    takes the end of the file. Trials that it does not tell of begin anew, beside what they left.

    Raises:
        StorageError: naming how many trials have checkpoints that no event tells of.
    """
    sweep, events = SweepFolder(folder), list(EventFile(folder / OUTBOX).events(epochs=False))
    past = read_past(events, OBJECTIVE)
    trial_ids = [trial["trial_id"] for trial in read_manifest(folder)["trials"]]
    lost = [trial_id for trial_id in trial_ids if trial_id not in past and sweep.checkpoints(trial_id)]
    is_begun = any(event.get("kind") == "start" and event.get("trial") == PARENT for event in events)
    cure = "put the file back from a copy, or begin a new sweep"
    if lost and not is_begun:
        what = count(len(lost), "trial that has checkpoints", "trials that have checkpoints")
        raise StorageError(f"{sweep.outbox} tells nothing of {what}: {cure}")
    if not is_begun:
        raise StorageError(f"{sweep.outbox} does not tell that the sweep was begun: {cure}")
    if not lost:
        return ""
    return f"the last events were never written: {count(len(lost), 'trial starts', 'trials start')} again"


@dataclass(frozen=True)
class ResumedTrial:
    """What a resume would do with one trial."""

    name: str
    trial_id: str
    kind: str
    """ended, continues, starts or cancelled."""
    epochs: int
    """Reported so far."""
    budget: int
    reason: str

    @property
    def words(self) -> str:
        """Return it in words."""
        if self.kind == "continues":
            return f"continues after epoch {self.epochs}"
        return f"stays as it ended: {self.reason}" if self.kind == "ended" else self.kind


@dataclass(frozen=True)
class ResumePlan:
    """What a resume would do with every trial of a sweep."""

    trials: tuple[ResumedTrial, ...]
    to_come: int
    """Trials that are still to be suggested."""
    to_replicate: int = 0
    """Further seeds of the best settings that are still to be added."""

    def sentence(self) -> str:
        """Return the sizes of all kinds: `5 of 8 trials have ended, 1 continues, 2 start`."""
        kinds = Counter(it.kind for it in self.trials)
        total = len(self.trials) + self.to_come + self.to_replicate
        continues, starts = kinds["continues"], kinds["starts"]
        parts = [f"{kinds['ended']} of {count(total, 'trial')} {'has' if kinds['ended'] == 1 else 'have'} ended"]
        parts += [count(continues, "continues", "continue")] * (continues > 0)
        parts += [count(starts, "starts", "start")] * (starts > 0)
        parts += [f"{kinds['cancelled']} cancelled"] * (kinds["cancelled"] > 0)
        return ", ".join([*parts, *follow_words(self.to_come, self.to_replicate)])


def outlook(folder: Path) -> ResumePlan:
    """Return what a resume would do with the trials of a sweep, by its folder alone.

    Raises:
        StorageError: when its manifest cannot be read.
    """
    manifest, events = read_manifest(folder), EventFile(folder / OUTBOX).events()
    trials = [(it["trial_id"], it["name"], it["settings"]["train.epochs"]) for it in manifest["trials"]]
    ahead = look_ahead(trials, read_past(events, OBJECTIVE), SweepFolder(folder), to_come(manifest))
    return replace(ahead, to_replicate=to_replicate(manifest))


def look_ahead(
    trials: Iterable[tuple[str, str, int]],
    past: Mapping[str, TrialHistory],
    folder: SweepFolder,
    to_come: int,
) -> ResumePlan:
    """Return what a resume would do with trials, given by id, name and epoch budget."""

    def prospect(trial_id: str, name: str, budget: int) -> ResumedTrial:
        known, is_cancelled = past.get(trial_id, TrialHistory()), folder.is_cancelled(trial_id)
        kind = "cancelled" if is_cancelled else "continues" if known.epochs else "starts"
        kind = "ended" if known.is_settled(is_cancelled) else kind
        return ResumedTrial(name, trial_id, kind, known.epochs, budget, known.reason)

    return ResumePlan(tuple(prospect(*trial) for trial in trials), to_come)


def find_trial(folder: Path, word: str) -> str:
    """Return the id of the trial with that id, digest or name, or the only one of which it is the beginning.

    Raises:
        NoSweepError: when none or several match; names the known ones.
    """
    known_by = {it["trial_id"]: (it["trial_id"], it["digest"], it["name"]) for it in read_manifest(folder)["trials"]}
    found = [trial_id for trial_id, words in known_by.items() if word in words]
    if not found:
        found = [trial_id for trial_id, words in known_by.items() if any(it.startswith(word) for it in words)]
    if len(found) != 1:
        known = ", ".join(f"{trial_id} ({name})" for trial_id, _, name in known_by.values())
        raise NoSweepError(
            f"{word!r} is {'no trial' if not found else 'more than one trial'} of {folder.name}: {known}"
        )
    return found[0]


def _last_word(events: Iterable[Event]) -> str:
    """Return how the sweep's own run ended, in MLflow's word; "" while it has not."""
    words = [event for event in events if event.get("trial") == PARENT and event.get("kind") in ("start", "end")]
    return str(words[-1].get("status", "")) if words else ""


def _begun(folder: Path) -> str:
    """Return when a sweep was begun, in ISO 8601 and UTC; "" where it is not told."""
    try:
        return str(read_manifest(folder).get("started", ""))
    except StorageError:
        return ""


def find_sweep(storage: Path, sweep_id: str) -> Path:
    """Return the folder of a sweep.

    Raises:
        NoSweepError: when there is none of that id; names those there are, the last first.
        StorageError: when its events are missing.
        AccessError: when the system does not let us look.
    """
    folders = {folder.name: folder for folder in sweep_folders(storage)}
    if sweep_id in folders:
        return folders[sweep_id]
    if is_there(Path(storage) / sweep_id / FILE):
        raise StorageError(f"{Path(storage).absolute() / sweep_id / OUTBOX} has no events: put them back from a copy")
    known = sorted(folders, key=lambda name: -_time(folders[name]))
    more = f" and {len(known) - SHOWN_SWEEPS} older ones" if len(known) > SHOWN_SWEEPS else ""
    raise NoSweepError(
        f"no sweep {sweep_id[:80]!r} in {storage}; known: {', '.join(known[:SHOWN_SWEEPS]) or 'none'}{more}"
    )


def _time(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:  # it was deleted a moment ago
        return 0.0


def sweep_folders(storage: Path) -> list[Path]:
    """Return the folders of all sweeps in a storage folder, by name.

    A folder that has the name of a sweep and may not be looked into is one of them: whoever reads it says so.

    Raises:
        AccessError: when the system does not list the storage folder.
    """
    storage = Path(storage).absolute()
    return [storage / name for name in names_in(storage) if _is_sweep(storage / name)]


def _is_sweep(folder: Path) -> bool:
    try:
        return is_there(folder / OUTBOX / EVENTS)
    except AccessError:
        return bool(SWEEP_NAME.fullmatch(folder.name))


def follow_words(to_come: int, to_replicate: int) -> list[str]:
    """Return what is still to follow in words, each kind of it that there is."""
    words = [f"{to_come} still to be suggested"] if to_come else []
    return words + ([f"{to_replicate} further seeds of the best to follow"] if to_replicate else [])

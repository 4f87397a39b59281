"""The sweeps of a storage folder: found, the latest, the unfinished, and what a resume would do with them.

Everything is read from their own folders, nothing from today's experiments.yaml.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bddseg.data.folders import is_there, names_in
from bddseg.errors import AccessError
from bddseg.words import count
from sweeps.errors import NoSweepError, StorageError
from sweeps.storage.checkpoint_store import recorded_checkpoints
from sweeps.storage.event_file import EVENTS, OUTBOX, EventFile
from sweeps.storage.events import PARENT
from sweeps.storage.folder import SweepFolder
from sweeps.storage.heartbeat import Watches, is_silent, read_pulse
from sweeps.storage.outcomes import FAILURES, RunStatus
from sweeps.storage.sweep_json import FILE, read_manifest
from sweeps.storage.trial_history import TrialHistory, read_histories, read_runs

SWEEP_NAME = re.compile(r".+-\d{8}-\d{6}-[0-9a-f]+")
SHOWN_SWEEPS = 10


def unfinished_sweep(storage: Path) -> Path:
    """Return the folder of the unfinished sweep that was started last.

    Raises:
        StorageError: when there is none, and one is still running.
        NoSweepError: when there is none.
    """
    folders = sorted(sweep_folders(storage), key=_started, reverse=True)
    unreadable: list[StorageError] = []
    for folder in folders:
        try:
            if is_unfinished(folder) and not was_refused(folder):
                return folder
        except StorageError as error:
            unreadable.append(error)
    with Watches(folders) as watches:  # only now, since drivers on other machines must be watched
        for folder in folders:
            with contextlib.suppress(StorageError):
                if is_incomplete(folder) and not was_refused(folder) and watches.is_silent(folder):
                    return folder
        for folder in folders:
            with contextlib.suppress(StorageError) if unreadable else contextlib.nullcontext():
                check_not_running(folder, watches.is_silent)
    if unreadable:
        number = count(len(unreadable), "sweep cannot be read", "sweeps cannot be read")
        raise StorageError(f"no sweep in {storage} is known to be unfinished, but {number}: {unreadable[0]}")
    raise NoSweepError(f"no sweep in {storage} is unfinished: nothing to resume")


def latest_sweep(storage: Path) -> str:
    """Return the id of the sweep of a storage folder that was started last; "" where there is none."""
    folders = [folder for folder in sweep_folders(storage) if not was_refused(folder)]
    return max(folders, key=_started).name if folders else ""


def has_trained(folder: Path) -> bool:
    """Return whether this sweep has started a trial itself, rather than only reused those of another."""
    return _has_trained(_read_ends(folder))


def was_refused(folder: Path) -> bool:
    """Return whether a sweep failed before it started a trial of its own: earlier versions left its folder behind.

    A sweep whose events cannot be read does not count: the next reader of its events reports the fault.
    """
    try:
        runs = _read_ends(folder)
    except StorageError:
        return False
    return runs.get(PARENT, TrialHistory()).status == RunStatus.FAILED and not _has_trained(runs)


def _read_ends(folder: Path) -> dict[str, TrialHistory]:
    """Return the history of every run of a sweep, without epochs, which cost ten times as much to read."""
    return read_runs(EventFile(folder / OUTBOX).events(epochs=False))


def _has_trained(runs: Mapping[str, TrialHistory]) -> bool:
    return any(run.is_started and not run.is_reused for trial_id, run in runs.items() if trial_id != PARENT)


def is_unfinished(folder: Path) -> bool:
    """Return whether a sweep, or a trial of it, has not ended by itself, and no process drives it.

    Raises:
        StorageError: when that cannot be read.
    """
    pulse = read_pulse(folder)
    return not (pulse is not None and pulse.is_alive()) and is_incomplete(folder)


def is_incomplete(folder: Path) -> bool:
    """Return whether a sweep, or a trial of it, has not ended by itself, whoever drives it.

    Raises:
        StorageError: when that cannot be read.
    """
    manifest, runs = read_manifest(folder), _read_ends(folder)
    sweep, trial_ids = SweepFolder(folder), [trial.trial_id for trial in manifest.trials]
    is_open = any(runs.get(trial_id, TrialHistory()).is_open(sweep.is_cancelled(trial_id)) for trial_id in trial_ids)
    ends = {RunStatus.FINISHED} if manifest.to_come else {RunStatus.FINISHED, RunStatus.FAILED}
    return is_open or runs.get(PARENT, TrialHistory()).status not in ends


def check_not_running(folder: Path, is_free: Callable[[Path], bool] = is_silent) -> None:
    """Refuse a sweep that is running; a driver on another machine is watched for up to a minute.

    Args:
        folder: of the sweep.
        is_free: whether no process drives it.

    Raises:
        StorageError: naming the process.
    """
    if not is_free(folder) and (pulse := read_pulse(folder)):
        raise StorageError(f"sweep {folder.name} is still running ({pulse.driver}); --take-over ends that process")


def check_events(folder: Path) -> str:
    """Refuse a sweep whose events were lost: a resume would train its trials again, over their checkpoints.

    Returns "" or, where only the last events are missing, a sentence that says so: a loss of power or a full disk takes
    the end of the file. Trials without events restart from the beginning, beside their earlier checkpoints.

    Raises:
        StorageError: with the number of trials that have checkpoints and no events.
    """
    sweep, runs = SweepFolder(folder), _read_ends(folder)
    trial_ids = [trial.trial_id for trial in read_manifest(folder).trials]
    without_events = [trial_id for trial_id in trial_ids if trial_id not in runs]
    lost = _checkpoints_of(folder, without_events) if without_events else {}
    is_started = runs.get(PARENT, TrialHistory()).is_started
    cure = "put the file back from a copy, or start a new sweep"
    if lost and not is_started:
        trials = count(len(lost), "trial that has checkpoints", "trials that have checkpoints")
        raise StorageError(f"{sweep.outbox} has no events of {trials}: {cure}")
    if not is_started:
        raise StorageError(f"{sweep.outbox} has no start of the sweep: {cure}")
    if not lost:
        return ""
    return f"the last events were lost: {count(len(lost), 'trial starts', 'trials start')} again"


def _checkpoints_of(folder: Path, trial_ids: Iterable[str]) -> Mapping[str, str]:
    """Return the newest checkpoint of each trial that has one.

    Raises:
        StorageError: when the object store that holds them does not answer.
    """
    checkpoints = recorded_checkpoints(folder)
    try:
        return checkpoints.newest(trial_ids)
    except OSError as error:
        raise StorageError(f"the checkpoints of {folder.name} cannot be listed: {error}") from error


@dataclass(frozen=True)
class ResumedTrial:
    """What a resume would do with one trial."""

    name: str
    trial_id: str
    action: str
    """ended, continues, starts or cancelled."""
    epochs: int
    """Reported so far."""
    budget: int
    reason: str

    @property
    def description(self) -> str:
        """Return the action in words."""
        if self.action == "continues":
            return f"continues after epoch {self.epochs}"
        return f"stays as it ended: {self.reason}" if self.action == "ended" else self.action


@dataclass(frozen=True)
class ResumePlan:
    """What a resume would do with every trial of a sweep."""

    trials: tuple[ResumedTrial, ...]
    to_come: int
    """Trials that are still to be suggested."""
    to_replicate: int = 0
    """Extra seeds of the best settings that are still to be added."""

    def sentence(self) -> str:
        """Return how many trials each action concerns: `5 of 8 trials have ended, 1 continues, 2 start`."""
        actions = Counter(trial.action for trial in self.trials)
        total = len(self.trials) + self.to_come + self.to_replicate
        continues, starts = actions["continues"], actions["starts"]
        parts = [f"{actions['ended']} of {count(total, 'trial')} {'has' if actions['ended'] == 1 else 'have'} ended"]
        parts += [count(continues, "continues", "continue")] * (continues > 0)
        parts += [count(starts, "starts", "start")] * (starts > 0)
        parts += [f"{actions['cancelled']} cancelled"] * (actions["cancelled"] > 0)
        return ", ".join([*parts, *follow_words(self.to_come, self.to_replicate)])


def outlook(folder: Path, *, with_failed: bool = False) -> ResumePlan:
    """Return what a resume would do with the trials of a sweep, by its folder alone.

    Args:
        folder: of the sweep.
        with_failed: whether it would restart trials that failed.

    Raises:
        StorageError: when its manifest cannot be read.
    """
    manifest, events = read_manifest(folder), EventFile(folder / OUTBOX).events()
    trials = [(trial.trial_id, trial.name, trial.epochs) for trial in manifest.trials]
    histories = read_histories(events)
    for history in histories.values():
        if with_failed and history.reason in FAILURES:
            history.reason = ""
    return look_ahead(trials, histories, SweepFolder(folder), manifest.to_come, manifest.to_replicate)


def look_ahead(
    trials: Iterable[tuple[str, str, int]],
    histories: Mapping[str, TrialHistory],
    folder: SweepFolder,
    to_come: int,
    to_replicate: int,
) -> ResumePlan:
    """Return what a resume would do with the trials of a sweep.

    Args:
        trials: id, name and epoch budget of each.
        histories: by trial id; a trial without one has not started.
        folder: where cancelled trials are marked.
        to_come: trials that are still to be suggested.
        to_replicate: extra seeds that are still to be added.
    """

    def prospect(trial_id: str, name: str, budget: int) -> ResumedTrial:
        history, is_cancelled = histories.get(trial_id, TrialHistory()), folder.is_cancelled(trial_id)
        action = "cancelled" if is_cancelled else "continues" if history.epochs else "starts"
        action = "ended" if history.is_settled(is_cancelled) else action
        return ResumedTrial(name, trial_id, action, history.epochs, budget, history.reason)

    return ResumePlan(tuple(prospect(*trial) for trial in trials), to_come, to_replicate)


def find_trial(folder: Path, word: str) -> str:
    """Return the id of the trial with that id, digest or name, or of the only one with that prefix.

    Raises:
        NoSweepError: when none or several match; names the known ones.
    """
    trials = read_manifest(folder).trials
    labels = {trial.trial_id: (trial.trial_id, trial.digest, trial.name) for trial in trials}
    matches = [trial_id for trial_id, texts in labels.items() if word in texts]
    if not matches:
        matches = [trial_id for trial_id, texts in labels.items() if any(text.startswith(word) for text in texts)]
    if len(matches) != 1:
        names = ", ".join(f"{trial_id} ({name})" for trial_id, _, name in labels.values())
        how_many = "more than one trial" if matches else "no trial"
        raise NoSweepError(f"{word!r} is {how_many} of {folder.name}: {names}")
    return matches[0]


def _started(folder: Path) -> str:
    """Return when a sweep was started, in ISO 8601 and UTC; "" where that is not recorded."""
    try:
        return read_manifest(folder).started
    except StorageError:
        return ""


def find_sweep(storage: Path, sweep_id: str) -> Path:
    """Return the folder of a sweep.

    Raises:
        NoSweepError: when there is none of that id; names those there are, the last first.
        StorageError: when its events are missing.
        AccessError: when a folder cannot be opened.
    """
    folders = {folder.name: folder for folder in sweep_folders(storage)}
    if sweep_id in folders:
        return folders[sweep_id]
    if is_there(Path(storage) / sweep_id / FILE):
        raise StorageError(f"{Path(storage).absolute() / sweep_id / OUTBOX} has no events: put them back from a copy")
    names = sorted(folders, key=lambda name: changed_at(folders[name]), reverse=True)
    more = f" and {len(names) - SHOWN_SWEEPS} older ones" if len(names) > SHOWN_SWEEPS else ""
    raise NoSweepError(
        f"no sweep {sweep_id[:80]!r} in {storage}; known: {', '.join(names[:SHOWN_SWEEPS]) or 'none'}{more}"
    )


def changed_at(folder: Path) -> float:
    """Return when a folder was last changed, in seconds since 1970; 0 for one that was deleted a moment ago."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def sweep_folders(storage: Path) -> list[Path]:
    """Return the folders of all sweeps in a storage folder, by name.

    A folder that has the name of a sweep and cannot be opened is one of them: its next reader reports the fault.

    Raises:
        AccessError: when the storage folder cannot be listed.
    """
    storage = Path(storage).absolute()
    return [storage / name for name in names_in(storage) if _is_sweep(storage / name)]


def _is_sweep(folder: Path) -> bool:
    try:
        return is_there(folder / OUTBOX / EVENTS)
    except AccessError:
        return bool(SWEEP_NAME.fullmatch(folder.name))


def follow_words(to_come: int, to_replicate: int) -> list[str]:
    """Return in words what is still to follow, a phrase for each kind."""
    suggested = [f"{to_come} still to be suggested"] if to_come else []
    return suggested + ([f"{to_replicate} extra seeds of the best to follow"] if to_replicate else [])

"""A sweep that was begun: which ones are unfinished, and what they set out to do, read from their own folders.

Nothing is read from today's experiments.yaml.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bddseg.config import TrainConfig
from bddseg.errors import ConfigError
from bddseg.result import OBJECTIVE
from sweeps.axes import recorded_axis
from sweeps.backlog import sweep_folders
from sweeps.errors import NoSweepError, StorageError
from sweeps.events import OUTBOX, PARENT, Event, EventFile
from sweeps.experiment import Experiment, Schedule
from sweeps.folder import SweepFolder
from sweeps.heartbeat import read_pulse
from sweeps.manifest import is_open, read_manifest, to_come
from sweeps.past import Past, read_past
from sweeps.plan import Plan, PlannedTrial
from sweeps.sampling import recorded_sampling


def unfinished_sweep(storage: Path) -> Path:
    """Return the folder of the sweep that was begun last and has trials without an end.

    Raises:
        StorageError: when there is none, and one still runs.
        NoSweepError: when there is none.
    """
    folders = sorted(sweep_folders(storage), key=_begun, reverse=True)
    for folder in folders:
        if is_unfinished(folder):
            return folder
    for folder in folders:
        check_not_running(folder)
    raise NoSweepError(f"no sweep in {storage} is unfinished: nothing to resume")


def latest_sweep(storage: Path) -> str:
    """Return the id of the sweep of a storage folder that was begun last; "" where there is none."""
    return max(sweep_folders(storage), key=_begun).name if sweep_folders(storage) else ""


def is_unfinished(folder: Path) -> bool:
    """Return whether a sweep, or a trial of it, came to no end of its own, and nobody is at it."""
    pulse = read_pulse(folder)
    try:
        manifest = read_manifest(folder)
    except StorageError:
        return False
    events = list(EventFile(folder / OUTBOX).events(epochs=False))
    past = read_past(events, OBJECTIVE)
    sweep, trial_ids = SweepFolder(folder), [trial["trial_id"] for trial in manifest["trials"]]
    is_left = any(past.get(trial_id, Past()).is_open(sweep.is_cancelled(trial_id)) for trial_id in trial_ids)
    ends = ("FINISHED",) if to_come(manifest) else ("FINISHED", "FAILED")
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
        raise StorageError(f"{sweep.outbox} tells nothing of {len(lost)} trials that have checkpoints: {cure}")
    if not is_begun:
        raise StorageError(f"{sweep.outbox} does not tell that the sweep was begun: {cure}")
    return f"the last events were never written: {len(lost)} trials that had begun begin anew" if lost else ""


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


def recorded_experiment(manifest: Mapping[str, Any]) -> Experiment:
    """Return the experiment of a sweep as it was recorded.

    Raises:
        StorageError: when this version of the project knows other settings.
    """
    try:
        base = TrainConfig.from_dict(manifest["base"])
    except ConfigError as error:
        raise _other_version(manifest, str(error)) from error
    axes = tuple((key, recorded_axis(axis)) for key, axis in manifest["axes"].items())
    schedule = Schedule(manifest["scheduler"]["name"], manifest["grace_share"], manifest["scheduler"]["reduction"])
    points = {trial["trial_id"]: trial["point"] for trial in manifest["trials"]}
    return Experiment(
        name=manifest["space"],
        question=manifest["question"],
        profile=manifest["profile"],
        base=base,
        axes=axes,
        reference=points.get(manifest["reference"], {}),
        schedule=schedule,
        metric=manifest["metric"],
        sampling=recorded_sampling(manifest.get("search", {})),
    )


def recorded_plan(manifest: Mapping[str, Any]) -> Plan:
    """Return the plan of a sweep as it was recorded, in its order.

    Raises:
        StorageError: when a trial would be another one today: its figures would not go together.
    """
    schedule = manifest["scheduler"]
    return Plan(
        trials=tuple(_trial(trial, manifest) for trial in manifest["trials"]),
        rungs=tuple(schedule["rungs"]),
        epochs=schedule["max_epochs"],
        grid_points=manifest["grid_points"],
        reduction=schedule["reduction"],
        samples=recorded_sampling(manifest["search"]).samples if is_open(manifest) else 0,
    )


def _trial(recorded: Mapping[str, Any], manifest: Mapping[str, Any]) -> PlannedTrial:
    try:
        config = TrainConfig.from_dict(recorded["settings"])
    except ConfigError as error:
        raise _other_version(manifest, str(error)) from error
    if config.digest() != recorded["digest"]:
        raise _other_version(manifest, f"trial {recorded['digest']} would be {config.digest()} today")
    return PlannedTrial(
        recorded["trial_id"],
        recorded["name"],
        config,
        recorded["point"],
        recorded["reference"],
        recorded.get("tags", {}),
    )


def _other_version(manifest: Mapping[str, Any], why: str) -> StorageError:
    began = manifest["code_version"]
    return StorageError(
        f"sweep {manifest['sweep_id']} was begun by another version ({began}) and cannot be resumed: {why}"
    )


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

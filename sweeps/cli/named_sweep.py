"""--sweep NAME: what is recorded under the name, and whether the command line describes the same sweep."""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bddseg.words import count
from sweeps.cli.console import FINE, UNUSABLE
from sweeps.cli.prepare import report_command
from sweeps.notes import notes
from sweeps.storage.tags import REPLICATE_OF

if TYPE_CHECKING:
    from sweeps.planning.experiment import Experiment
    from sweeps.planning.plan import Plan
    from sweeps.storage.sweep_json import Manifest

DESCRIBED = ("space", "profile", "seed", "axes", "base", "search", "scheduler", "grace_share", "replicates")
"""Entries of sweep.json that follow from the command line and say what is trained."""

OWN_FILES = frozenset({"attempts", "outbox", "sweep.json", "heartbeat.json", "logs"})
"""What a start leaves that died before it recorded anything."""


def is_recorded(arguments: argparse.Namespace) -> bool:
    """Return whether the sweep that --sweep names was started and can be continued.

    Raises:
        StorageError: when a process drives it, or its folder is that of something else.
    """
    from bddseg.data.folders import is_folder, names_in
    from sweeps.errors import StorageError
    from sweeps.storage.recovery import is_begun
    from sweeps.storage.sweeps import check_not_running

    folder = arguments.storage / arguments.sweep
    if not is_folder(folder):
        return False
    if not arguments.take_over:
        check_not_running(folder)
    if is_begun(folder):
        return True
    if others := sorted(set(names_in(folder)) - OWN_FILES):
        raise StorageError(f"{folder} is no sweep: it has {others[0]!r}; choose another --sweep")
    return False


def check_same(arguments: argparse.Namespace, experiment: "Experiment", plan: "Plan", manifest: "Manifest") -> None:
    """Check that the options describe the recorded sweep.

    Args:
        arguments: the options.
        experiment: what they describe.
        plan: its first trials; a sweep adds others while it runs.
        manifest: the record.

    Raises:
        ExperimentError: naming the first setting that differs.
    """
    from sweeps.planning.manifest import build_manifest, recorded_experiment

    screening = (manifest.confirmation or {}).get("screening")
    _check(manifest, "--confirm", getattr(arguments, "confirm", None), screening)
    described = _settings(build_manifest(manifest.sweep_id, experiment, plan, {}, {}).to_json())
    base = recorded_experiment(manifest).base.to_dict()  # an earlier version has not recorded later settings
    recorded = _settings(manifest.to_json() | {"base": base})
    for setting in sorted(described.keys() | recorded.keys(), key=lambda name: (not name.endswith(".name"), name)):
        _check(manifest, setting.removeprefix("base."), described.get(setting), recorded.get(setting))
    terms = manifest.terms
    _check(manifest, "--fresh", arguments.fresh, terms.get("is_fresh", arguments.fresh))
    bad = arguments.on_bad_sample
    _check(manifest, "--on-bad-sample", bad, terms.get("on_bad_sample", bad) if bad else None)
    ids = [trial.trial_id for trial in manifest.trials if REPLICATE_OF not in (trial.tags or {})]
    planned = [trial.trial_id for trial in plan.trials]
    may_grow = manifest.is_open or screening
    if planned != (ids[: len(planned)] if may_grow else ids):
        _check(manifest, "other trials:", count(len(planned), "trial"), count(len(ids), "trial"))


def close_finished(arguments: argparse.Namespace, folder: Path, manifest: "Manifest") -> int:
    """Deliver what MLflow lacks of a finished sweep; return its exit code, 0, or 1 without a usable result."""
    from sweeps.storage.event_file import OUTBOX, EventFile
    from sweeps.storage.events import PARENT
    from sweeps.storage.outcomes import RunStatus
    from sweeps.storage.trial_history import read_runs
    from sweeps.tracking.sync import recorded_at, sync_sweeps

    events = EventFile(folder / OUTBOX)
    code = FINE if read_runs(events.events(epochs=False))[PARENT].status == RunStatus.FINISHED else UNUSABLE
    is_offline = arguments.offline or bool(manifest.terms.get("is_offline"))
    if not is_offline and not arguments.dry_run and (events.pending() or events.rejects()):
        for synced in sync_sweeps([folder], arguments.tracking_uri):
            code = UNUSABLE if synced.is_left else code
            for sentence in synced.sentences():
                print(sentence)
    uri = recorded_at(folder, arguments.tracking_uri, is_offline=is_offline)
    notes.info(f"sweep {folder.name} is finished; report: {report_command(uri)} {folder.name}")
    return code


def _check(manifest: "Manifest", setting: str, described: Any, recorded: Any) -> None:
    from sweeps.errors import ExperimentError

    if described != recorded or setting.endswith(":"):
        raise ExperimentError(
            f"sweep {manifest.sweep_id} was started with {setting} {_words(recorded)}, but this command says "
            f"{_words(described)}: give the options that started it, or another --sweep"
        )


def _words(value: Any) -> str:
    return "nothing" if value is None else value if isinstance(value, str) else json.dumps(value)


def _settings(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a record that say what is trained, by their dotted names, as JSON has them."""
    plain = json.loads(json.dumps({name: content.get(name) for name in DESCRIBED}))
    return {name: value for part in DESCRIBED for name, value in _leaves(part, plain[part])}


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for part, inner in value.items():
            yield from _leaves(f"{name}.{part}", inner)
    else:
        yield name, value

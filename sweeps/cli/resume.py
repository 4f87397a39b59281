"""tune_main.py --resume and --sweep: a recorded sweep is continued, or reported to be finished."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps.cli.draft import draft_resume
from sweeps.cli.dry_run import dry_resume
from sweeps.cli.named_sweep import check_same, close_finished
from sweeps.cli.prepare import find_destination, prepare
from sweeps.notes import notes

if TYPE_CHECKING:
    from sweeps.execution.spec import SweepResult
    from sweeps.planning.experiment import Experiment
    from sweeps.planning.plan import Plan


def go_on(
    arguments: argparse.Namespace, experiment: "Experiment", plan_for: "Callable[..., Plan]"
) -> "SweepResult | int | None":
    """Continue the sweep that --sweep names, or report that it is finished; the options must describe it.

    Returns an exit code where it is finished.

    Args:
        arguments: the options.
        experiment: what they describe.
        plan_for: its trials, for the precision that the sweep was started with.

    Raises:
        ExperimentError: when they describe another one.
    """
    from sweeps.storage.sweep_json import read_manifest
    from sweeps.storage.sweeps import is_incomplete

    folder = arguments.storage / arguments.sweep
    manifest = read_manifest(folder)
    check_same(arguments, experiment, plan_for(precision=manifest.precision), manifest)
    if not is_incomplete(folder):
        return close_finished(arguments, folder, manifest)
    arguments.resume = arguments.sweep
    return train_on(arguments, is_free=True)


def train_on(arguments: argparse.Namespace, *, is_free: bool = False) -> "SweepResult | int | None":
    """Resume a sweep as it was started; options of the command line replace its recorded terms; None for a dry run.

    With `is_free` it is known that no process drives it: to find that out can take 45 s.
    """
    from sweeps.planning.dataset import recorded_source
    from sweeps.planning.manifest import recorded_experiment
    from sweeps.storage.heartbeat import is_elsewhere
    from sweeps.storage.sweep_json import read_manifest
    from sweeps.storage.sweeps import check_events, check_not_running

    folder = _resumed_folder(arguments)
    takes_over = arguments.take_over or is_elsewhere(folder)
    if not (arguments.take_over or is_free):
        check_not_running(folder)
    if sentence := check_events(folder):
        notes.info(sentence)
    manifest = read_manifest(folder)
    experiment = recorded_experiment(manifest)
    source = recorded_source(manifest.profile, manifest.data, arguments.data)
    if arguments.dry_run:
        dry_resume(folder, source, arguments)
        return None
    destination = find_destination(arguments, folder, manifest)
    spec = prepare(arguments, draft_resume(arguments, experiment, source, manifest, destination.survey), destination)
    from sweeps.execution.runner import resume_sweep

    return resume_sweep(spec, folder.name, takes_over=takes_over)


def _resumed_folder(arguments: argparse.Namespace) -> Path:
    """Return the folder of the sweep that is resumed: the named one, or the latest that has something to continue."""
    from sweeps.storage.sweeps import find_sweep, latest_sweep, unfinished_sweep

    storage = arguments.storage
    if arguments.failed and not arguments.resume and (sweep_id := latest_sweep(storage)):
        return find_sweep(storage, sweep_id)
    return find_sweep(storage, arguments.resume) if arguments.resume else unfinished_sweep(storage)

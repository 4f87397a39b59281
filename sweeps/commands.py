"""What the command line can be asked for: each function is one of its verbs, and returns the exit code."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bddseg.errors import UserError
from sweeps.intake import find_source, here, make_plan, prepare, tune_command
from sweeps.tables import close, figure, print_plan, print_table, say

if TYPE_CHECKING:
    from sweeps.experiment import Experiment
    from sweeps.plan import Plan
    from sweeps.source import Source
    from sweeps.store import Store


def list_spaces(arguments: argparse.Namespace) -> int:
    """Print each space with its number of trials under the profile and its question."""
    from sweeps.experiment import load_experiment, read_book, space_names
    from sweeps.plan import build_plan
    from sweeps.source import choose_source

    source = choose_source(read_book()["profiles"], arguments.profile, arguments.data)
    rows = []
    for name in space_names():
        experiment = load_experiment(name, profile=source.profile)
        plan = build_plan(experiment)
        axes = ", ".join(key for key, _ in experiment.axes) or "-"
        trials, search = str(len(plan.trials) + plan.to_come), experiment.sampling.name
        rows.append((name, trials, str(plan.epochs), search, axes, experiment.question))
    print_table(("space", "trials", "epochs", "search", f"varies (profile {source.profile})", "question"), rows)
    return 0


def show_status(arguments: argparse.Namespace) -> int:
    """Print the trials of a recorded sweep: from its folder, or from MLflow where that is elsewhere."""
    from sweeps.folder import SweepFolder
    from sweeps.lost import lost_driver
    from sweeps.manifest import FILE
    from sweeps.resume import latest_sweep
    from sweeps.status import Status, read_status, row_of, state_of_sweep

    sweep_id = arguments.status or latest_sweep(arguments.storage) or open_store(arguments).latest_sweep_id()
    folder = arguments.storage / sweep_id
    if (folder / FILE).exists():
        status = read_status(folder)
    else:
        record = open_store(arguments).read_sweep(sweep_id)
        status = Status(state_of_sweep(record.status), tuple(map(row_of, record.trials)), 0)
    rows = [
        (
            row.name,
            row.trial_id,
            row.state,
            f"{row.epochs}/{row.budget}" if row.budget else "-",
            row.stop_reason or "-",
            figure(row.best_miou),
            row.stop_detail or "-",
            row.log_file or "-",
        )
        for row in status.rows
    ]
    come = f"; {status.to_come} trials are still to be suggested" if status.to_come else ""
    print(f"{sweep_id}: {status.state}{come}", file=sys.stderr)
    if lost := lost_driver(folder):
        closing = f"{tune_command(arguments)} --sync {sweep_id}"
        print(f"its driver, {lost.driver}, is gone; close what it left open with: {closing}", file=sys.stderr)
    head = ("trial", "digest", "state", "epochs", "stopped by", "best val/miou", "why", "log file")
    logs = SweepFolder(folder).logs
    if sys.stdout.isatty() and logs.is_dir():  # a terminal has no room for paths
        print_table(head[:-1], [row[:-1] for row in rows])
        print(f"logs: {logs}/DIGEST.log", file=sys.stderr)
    else:
        print_table(head, rows)
    return 0


def open_store(arguments: argparse.Namespace) -> "Store":
    """Return MLflow's store that the command line means."""
    from sweeps.address import resolve_tracking_uri
    from sweeps.store import Store

    return Store(resolve_tracking_uri(arguments.tracking_uri, arguments.storage))


def sync(arguments: argparse.Namespace) -> int:
    """Deliver what MLflow does not have yet of one sweep, or of all; 0 when nothing is left."""
    from sweeps.backlog import find_sweep, sync_sweeps, unfinished_business

    storage = arguments.storage
    folders = [find_sweep(storage, arguments.sync)] if arguments.sync else unfinished_business(storage)
    if not folders:
        say(arguments, f"every event of every sweep in {storage} is delivered")
    is_left = False
    for synced in sync_sweeps(folders, arguments.tracking_uri):
        is_left |= synced.is_left
        for sentence in synced.sentences():
            print(sentence)
    return int(is_left)


def run(arguments: argparse.Namespace, words: list[str]) -> int:
    """Plan, check everything that can be checked before Ray starts, then run the sweep."""
    from sweeps.experiment import load_experiment

    if not arguments.space:
        raise UserError("which space? give --space NAME, or --list to see them")
    source = find_source(arguments)
    experiment = load_experiment(
        arguments.space,
        profile=source.profile if source else arguments.profile,
        overrides=arguments.set,
        scheduler=arguments.scheduler,
        search=arguments.search,
        samples=arguments.samples,
        seed=arguments.seed,
    )
    if source:
        say(arguments, f"{experiment.name}: {source.sentence()}")
    if source is None or arguments.dry_run:
        return dry_run(make_plan(arguments, experiment), experiment, source, arguments)
    order = prepare(arguments, experiment, source, words)
    from sweeps.runner import run_sweep

    return close(run_sweep(order, lambda sentence: say(arguments, sentence)), arguments)


def resume(arguments: argparse.Namespace, words: list[str]) -> int:
    """Go on with a sweep as it was begun; where the command line says how it runs, that counts."""
    from sweeps.backlog import find_sweep
    from sweeps.manifest import read_manifest
    from sweeps.resume import check_events, check_not_running, recorded_experiment, unfinished_sweep
    from sweeps.source import Source

    check_recorded(arguments, "--resume goes on with a sweep as it was begun")
    storage = arguments.storage.absolute()
    folder = find_sweep(storage, arguments.resume) if arguments.resume else unfinished_sweep(storage)
    check_not_running(folder)
    if sentence := check_events(folder):
        say(arguments, sentence)
    manifest = read_manifest(folder)
    data = manifest["data"]
    source = Source(manifest["profile"], None if data["embedded"] else Path(data["root"]))
    order = prepare(arguments, recorded_experiment(manifest), source, words, manifest=manifest)
    from sweeps.runner import resume_sweep

    return close(resume_sweep(order, folder.name, lambda sentence: say(arguments, sentence)), arguments)


def check_recorded(arguments: argparse.Namespace, why: str) -> None:
    """Refuse options that choose what a sweep trains where that is recorded.

    Raises:
        UserError: naming them.
    """
    settled = ("space", "profile", "set", "limit", "scheduler", "search", "samples", "seed")
    if given := [f"--{name}" for name in settled if getattr(arguments, name) not in (None, [], 0)]:
        raise UserError(f"{why}, so it does not go with {', '.join(given)}")


def cancel(arguments: argparse.Namespace) -> int:
    """Mark a trial of a sweep as not wanted any more."""
    from sweeps.backlog import find_sweep
    from sweeps.folder import SweepFolder
    from sweeps.resume import find_trial

    sweep, word = arguments.cancel
    folder = find_sweep(arguments.storage.absolute(), sweep)
    trial_id = find_trial(folder, word)
    SweepFolder(folder).cancel(trial_id)
    say(arguments, f"trial {trial_id} of {sweep} ends after its present epoch, or as soon as it would start")
    return 0


def confirm(arguments: argparse.Namespace, words: list[str]) -> int:
    """Train the finalists of a recorded sweep anew, on folds, with what was recorded of it."""
    from sweeps.confirm import plan_confirmation
    from sweeps.source import Source

    check_recorded(arguments, "--confirm trains the settings that were recorded")
    record = open_store(arguments).read_sweep(arguments.confirm)
    confirmation = plan_confirmation(record, top=arguments.top, runs=arguments.runs)
    for note in confirmation.notes:
        say(arguments, f"mind: {note}")
    root = None if confirmation.data["embedded"] else Path(confirmation.data["root"])
    source = Source(confirmation.experiment.profile, arguments.data.resolve() if arguments.data else root)
    say(arguments, f"{confirmation.screening}: {source.sentence()}")
    for finalist in confirmation.finalists:
        say(arguments, f"finalist {finalist.name} ({finalist.why}): {finalist.epochs} epochs")
    if arguments.dry_run:
        return dry_run(confirmation.plan, confirmation.experiment, source, arguments)
    order = prepare(arguments, confirmation.experiment, source, words, confirmation=confirmation)
    from sweeps.runner import run_sweep

    return close(run_sweep(order, lambda sentence: say(arguments, sentence)), arguments, confirmation)


def dry_run(plan: "Plan", experiment: "Experiment", source: "Source | None", arguments: argparse.Namespace) -> int:
    """Print the trials that would run, and what they would take; without data, only the trials."""
    from sweeps.plan import imagine_plan

    if source is None:
        print_plan(plan, experiment)
        say(arguments, "what it would take needs the data: its images are counted")
        return 0
    from sweeps.forecast import forecast

    machine, whole = here(arguments), imagine_plan(plan, experiment)
    machine.check_memory(whole)
    table, how = forecast(
        whole,
        experiment.schedule.name,
        source,
        machine,
        arguments.max_concurrent,
        keeps_all=arguments.keep_weights == "all",
    )
    print_plan(plan, experiment)
    print()
    print_table(("what it takes", "", ""), table)
    say(arguments, how)
    return 0

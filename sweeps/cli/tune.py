"""What the command line can be asked for: each function is one of its verbs, and returns the exit code."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bddseg.errors import UserError, printable
from bddseg.words import count
from sweeps.cli.console import FINE, UNUSABLE
from sweeps.cli.prepare import (
    find_destination,
    find_source,
    local_machine,
    make_plan,
    prepare,
    try_own_parts,
    tune_command,
)
from sweeps.cli.tables import close, figure, print_plan, print_table
from sweeps.notes import notes

if TYPE_CHECKING:
    from sweeps.planning.confirmation import Confirmation
    from sweeps.planning.dataset import ImageCounts, Source
    from sweeps.planning.experiment import Experiment
    from sweeps.planning.plan import Plan
    from sweeps.storage.records import SweepRecord
    from sweeps.tracking.reader import Store


def list_spaces(arguments: argparse.Namespace) -> int:
    """Print each space with its number of trials under the profile and its question; name those that cannot be used."""
    from sweeps.errors import ExperimentError
    from sweeps.planning.dataset import choose_source
    from sweeps.planning.experiments_file import read_book

    book = read_book()
    source = choose_source(book.profile_sections(), arguments.profile, arguments.data)
    book.profile(source.profile)
    rows, problems = [], [entry.problem for entry in book.profiles.values() if entry.problem]
    for name in book.spaces:
        try:
            rows.append(_space_row(name, source.profile))
        except ExperimentError as error:
            problems.append(str(error))
    print_table(("space", "trials", "epochs", "search", f"varies (profile {source.profile})", "question"), rows)
    for problem in dict.fromkeys(problems):
        print(f"error: {printable(problem)}", file=sys.stderr)
    return UNUSABLE if problems else FINE


def _space_row(name: str, profile: str) -> tuple[str, ...]:
    """Return a line of the list.

    Raises:
        ExperimentError: when the space cannot be used under the profile.
    """
    from sweeps.planning.experiment import load_experiment
    from sweeps.planning.plan import build_plan, count_points, is_too_large

    experiment = load_experiment(name, profile=profile)
    if is_too_large(experiment):
        trials, epochs = f"{count_points(experiment):,} points", experiment.base.train.epochs
    else:
        plan = build_plan(experiment)
        trials, epochs = str(len(plan.trials) + plan.to_follow), plan.epochs
    axes = ", ".join(key for key, _ in experiment.axes) or "-"
    return name, trials, str(epochs), experiment.sampling.name, axes, experiment.question


def show_status(arguments: argparse.Namespace) -> int:
    """Print the trials of a recorded sweep: from its folder, or from MLflow where that is elsewhere."""
    from bddseg.data.folders import is_folder, is_there
    from sweeps.cli.status import Status, read_status, row_of
    from sweeps.storage.folder import SweepFolder
    from sweeps.storage.outcomes import sweep_state
    from sweeps.storage.recovery import lost_driver
    from sweeps.storage.sweep_json import FILE
    from sweeps.storage.sweeps import latest_sweep

    sweep_id = arguments.status or latest_sweep(arguments.storage) or open_store(arguments).latest_sweep_id()
    folder = arguments.storage / sweep_id
    if is_there(folder / FILE):
        status = read_status(folder)
    else:
        record = open_store(arguments).read_sweep(sweep_id)
        status = Status(sweep_state(record.status), tuple(map(row_of, record.trials)), [])
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
    print("; ".join([f"{sweep_id}: {status.state}", *status.to_follow]), file=sys.stderr)
    if lost := lost_driver(folder):
        closing = f"{tune_command(arguments)} --sync {sweep_id}"
        print(f"its driver, {lost.driver}, is gone; close what it left open with: {closing}", file=sys.stderr)
    head = ("trial", "digest", "state", "epochs", "stopped by", "best val/miou", "why", "log file")
    logs = SweepFolder(folder).logs
    if sys.stdout.isatty() and is_folder(logs):  # a terminal has no room for paths
        print_table(head[:-1], [row[:-1] for row in rows])
        print(f"logs: {logs}/DIGEST.log", file=sys.stderr)
    else:
        print_table(head, rows)
    return 0


def open_store(arguments: argparse.Namespace) -> "Store":
    """Return MLflow's store that the command line means."""
    from sweeps.tracking.reader import Store
    from sweeps.tracking.uri import resolve_tracking_uri

    return Store(resolve_tracking_uri(arguments.tracking_uri, arguments.storage))


def sync(arguments: argparse.Namespace) -> int:
    """Deliver what MLflow does not have yet of one sweep, or of all; 0 when nothing is left."""
    from sweeps.storage.sweeps import find_sweep, sweep_folders, was_refused
    from sweeps.tracking.sync import sync_sweeps

    storage = arguments.storage
    folders = [find_sweep(storage, arguments.sync)] if arguments.sync else sweep_folders(storage)
    refused = [] if arguments.sync else [folder for folder in folders if was_refused(folder)]
    for folder in refused:
        notes.info(f"{folder.name} was refused before it trained anything: left out; delete {folder}")
    folders = [folder for folder in folders if folder not in refused]
    is_left = is_news = False
    for synced in sync_sweeps(folders, arguments.tracking_uri):
        is_left |= synced.is_left
        if synced.is_news or arguments.sync:
            is_news = True
            for sentence in synced.sentences():
                print(sentence)
    if not is_news:
        notes.info(f"every event of every sweep in {storage} is delivered")
    return int(is_left)


def run(arguments: argparse.Namespace) -> int:
    """Plan, check everything that can be checked before Ray starts, then run the sweep."""
    from sweeps.planning.experiment import load_experiment
    from sweeps.planning.plan import check_experiment

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
        replicates=arguments.replicates,
    )
    check_experiment(experiment, arguments.limit)
    if source:
        notes.info(f"{experiment.name}: {source.sentence()}")
    if source is None or arguments.dry_run:
        return dry_run(make_plan(arguments, experiment), experiment, source, arguments)
    where = find_destination(arguments)
    order = prepare(arguments, experiment, source, where)
    from sweeps.execution.runner import run_sweep

    return close(run_sweep(order))


def resume(arguments: argparse.Namespace) -> int:
    """Go on with a sweep as it was started; where the command line says how it runs, that counts."""
    from sweeps.planning.dataset import recorded_source
    from sweeps.planning.manifest import recorded_experiment
    from sweeps.storage.sweep_json import read_manifest
    from sweeps.storage.sweeps import check_events, check_not_running, find_sweep, unfinished_sweep

    storage = arguments.storage
    folder = find_sweep(storage, arguments.resume) if arguments.resume else unfinished_sweep(storage)
    check_not_running(folder)
    if sentence := check_events(folder):
        notes.info(sentence)
    manifest = read_manifest(folder)
    experiment = recorded_experiment(manifest)
    source = recorded_source(manifest["profile"], manifest["data"], arguments.data)
    if arguments.dry_run:
        return dry_resume(folder, source, arguments)
    where = find_destination(arguments, folder, manifest)
    order = prepare(arguments, experiment, source, where, manifest=manifest)
    from sweeps.execution.runner import resume_sweep

    return close(resume_sweep(order, folder.name))


def cancel(arguments: argparse.Namespace) -> int:
    """Mark a trial of a sweep as not wanted any more."""
    from sweeps.storage.folder import SweepFolder
    from sweeps.storage.sweeps import find_sweep, find_trial

    sweep, word = arguments.cancel
    folder = find_sweep(arguments.storage, sweep)
    trial_id = find_trial(folder, word)
    SweepFolder(folder).cancel(trial_id)
    notes.info(f"trial {trial_id} of {sweep} ends after its present epoch, or as soon as it would start")
    return FINE


def confirm(arguments: argparse.Namespace) -> int:
    """Train the finalists of a recorded sweep again, on folds, with what was recorded of it."""
    from bddseg.result import OBJECTIVE
    from sweeps.planning.confirmation import plan_confirmation, screened_sd
    from sweeps.planning.dataset import cache_folder, count_images, recorded_source
    from sweeps.statistics.rounds import CONFIRMING_RUNS

    if arguments.until_decided and arguments.runs:
        raise UserError("--runs settles beforehand what --until-decided decides: give one of them")
    if arguments.budget and not arguments.until_decided:
        raise UserError("--budget goes with --until-decided only")
    store = open_store(arguments)
    record = store.read_sweep(arguments.confirm)
    first = plan_confirmation(record, top=arguments.top, runs=arguments.runs or CONFIRMING_RUNS)
    source = recorded_source(first.experiment.profile, first.data, arguments.data)
    whole = first.experiment.base.with_overrides({"data.folds": 0, "data.fold": 0})
    counted = count_images(source, whole, cache_folder())
    if arguments.until_decided:
        confirmation = plan_rounds(record, arguments, counted.open_units)
    elif not arguments.runs and counted.open_units < CONFIRMING_RUNS:
        confirmation = plan_confirmation(record, top=arguments.top, runs=max(2, counted.open_units))
    else:
        confirmation = first
    histories = store.histories(record, [OBJECTIVE])
    completed = [row.trial_id for row in record.trials if row.is_completed]
    curves = [[value for _, value in histories[trial_id].get(OBJECTIVE, [])] for trial_id in completed]
    run_sd, is_measured = screened_sd(record, curves)
    for note in confirmation.notes:
        notes.info(f"mind: {note}")
    notes.info(f"{confirmation.screening}: {source.sentence()}")
    for finalist in confirmation.finalists:
        epochs = count(finalist.epochs, "epoch")
        notes.info(f"finalist {finalist.name} ({finalist.why}): {epochs}")
    describe_detectable_lead(confirmation, counted, run_sd, arguments, is_measured=is_measured)
    if arguments.dry_run:
        plan, experiment = confirmation.plan, confirmation.experiment
        return dry_run(plan, experiment, source, arguments, run_sd=run_sd)
    where = find_destination(arguments)
    order = prepare(arguments, confirmation.experiment, source, where, confirmation=confirmation)
    from sweeps.execution.runner import run_sweep

    return close(run_sweep(order))


def plan_rounds(record: "SweepRecord", arguments: argparse.Namespace, units: int) -> "Confirmation":
    """Return the confirmation to which runs are added until it is decided.

    Raises:
        ExperimentError: when there is nothing to decide between.
    """
    from sweeps.errors import ExperimentError
    from sweeps.planning.confirmation import plan_confirmation
    from sweeps.statistics.rounds import FOLDS, Rounds

    rounds = Rounds(folds=min(FOLDS, max(2, units)), hours=arguments.budget or 0.0)
    confirmation = plan_confirmation(record, top=arguments.top, rounds=rounds)
    if len(confirmation.finalists) < 2:
        name = confirmation.finalists[0].name
        raise ExperimentError(f"--until-decided: {name} is the only finalist, so there is nothing to decide")
    return confirmation


def describe_detectable_lead(
    confirmation: "Confirmation",
    counted: "ImageCounts",
    run_sd: float | None,
    arguments: argparse.Namespace,
    *,
    is_measured: bool,
) -> None:
    """Say what so many runs can show, and refuse so few that they show nothing.

    Raises:
        ExperimentError: naming the number of runs that can.
    """
    from sweeps.planning.detectable_lead import check_runs, describe, design_of

    if len(confirmation.finalists) < 2:
        return
    rounds, finalists, units = confirmation.rounds, len(confirmation.finalists), counted.open_units
    runs = rounds.folds if rounds else confirmation.runs
    if sentence := check_runs(design_of(finalists, runs, units, run_sd if is_measured else None)):
        notes.info(f"mind: {sentence}")
    design, unit = design_of(finalists, runs, units, run_sd), counted.unit.removesuffix("s")
    smallest, how = describe(design, count(units, unit), run_sd, knows_drives=counted.unit == "drives")
    notes.info(f"smallest lead that this shows: {smallest}, {how}")
    if rounds:
        notes.info(f"runs are added until it is decided: at most {rounds.most} of each; smaller leads take more")


def dry_run(
    plan: "Plan",
    experiment: "Experiment",
    source: "Source | None",
    arguments: argparse.Namespace,
    *,
    run_sd: float | None = None,
) -> int:
    """Print the trials that would run, and what they would take; without data, only the trials."""
    from sweeps.planning.plan import imagine_plan

    if source is None:
        print_plan(plan, experiment)
        notes.info("what it would take needs the data: its images are counted")
        return 0
    from sweeps.planning.forecast import forecast

    notes.info(f"{plan.size_words()}: measuring what they take")
    machine, whole = local_machine(arguments), imagine_plan(plan, experiment)
    try_own_parts(whole)
    machine.check_memory(whole)
    table, sentences = forecast(
        whole,
        experiment.schedule.name,
        source,
        machine,
        arguments.max_concurrent,
        keeps_all=arguments.keep_weights == "all",
        run_sd=run_sd,
    )
    print_plan(plan, experiment)
    print()
    print_table(("what it takes", "", ""), table)
    for sentence in sentences:
        notes.info(sentence)
    return 0


def dry_resume(folder: Path, source: "Source", arguments: argparse.Namespace) -> int:
    """Print what a resume would do with each trial of a sweep; nothing is read but its folder."""
    from sweeps.storage.sweeps import outlook

    ahead = outlook(folder)
    print_table(
        ("trial", "digest", "epochs", "what a resume does"),
        [(it.name, it.trial_id, f"{it.epochs}/{it.budget}", it.words) for it in ahead.trials],
    )
    notes.info(f"{folder.name}: {source.sentence()}")
    notes.info(ahead.sentence())
    return FINE


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "space": run,
    "confirm": confirm,
    "resume": resume,
    "cancel": cancel,
    "status": show_status,
    "sync": sync,
    "list": list_spaces,
}
"""What can be asked for; each returns the exit code."""

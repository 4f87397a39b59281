"""The verbs of tune_main.py: one function each, which takes the options and returns the exit code."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bddseg.errors import UserError, printable
from sweeps.cli.confirm import train_confirmation
from sweeps.cli.console import FINE, UNUSABLE
from sweeps.cli.draft import draft_space, find_source, follow_source, skip_images
from sweeps.cli.dry_run import dry_run
from sweeps.cli.json_output import print_json
from sweeps.cli.named_sweep import is_recorded
from sweeps.cli.notify import find_target, run_and_notify
from sweeps.cli.prepare import find_destination, open_store, prepare, tune_command
from sweeps.cli.prune import prune
from sweeps.cli.resume import go_on, train_on
from sweeps.cli.tables import close, print_table, write_score
from sweeps.notes import notes
from sweeps.paths import is_shipped

if TYPE_CHECKING:
    from sweeps.execution.spec import SweepResult


def list_spaces(arguments: argparse.Namespace) -> int:
    """Print each space with its number of trials and its question; print an error for each unusable one."""
    from sweeps.errors import ExperimentError
    from sweeps.planning.dataset import choose_source
    from sweeps.planning.experiments_file import read_book

    book = read_book(arguments.experiments)
    name_own(book.path)
    source = choose_source(
        book.profile_sections(), arguments.profile, arguments.data, arguments.dataset, file=book.path.name
    )
    book.profile(source.profile)
    rows, problems = [], [entry.problem for entry in book.profiles.values() if entry.problem]
    for name in book.spaces:
        try:
            rows.append(_space_row(name, source.profile, book.path))
        except ExperimentError as error:
            problems.append(str(error))
    if arguments.json:
        spaces = [asdict(row) for row in rows]
        facts = {"file": str(book.path), "profile": source.profile, "spaces": spaces}
        print_json(facts | {"problems": [*dict.fromkeys(problems)]})
        return UNUSABLE if problems else FINE
    print_table(
        ("space", "trials", "epochs", "search", f"varies (profile {source.profile})", "question"),
        [row.cells() for row in rows],
    )
    for problem in dict.fromkeys(problems):
        print(f"error: {printable(problem)}", file=sys.stderr)
    return UNUSABLE if problems else FINE


def name_own(path: Path) -> None:
    """Say which file of spaces is read, where it is not the shipped one."""
    if not is_shipped(path):
        notes.info(f"spaces and profiles are those of {path}")


@dataclass(frozen=True)
class SpaceRow:
    """A space, as --list prints it."""

    name: str
    trials: int | None
    """None for a grid too large to plan, which has `points`."""
    points: int | None
    epochs: int
    search: str
    varies: tuple[str, ...]
    question: str

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table."""
        trials = f"{self.points:,} points" if self.trials is None else str(self.trials)
        return self.name, trials, str(self.epochs), self.search, ", ".join(self.varies) or "-", self.question


def _space_row(name: str, profile: str, path: Path) -> SpaceRow:
    """Return a row of the list.

    Raises:
        ExperimentError: when the space cannot be used under the profile.
    """
    from sweeps.planning.experiment import load_experiment
    from sweeps.planning.planner import build_plan, count_points, is_too_large

    experiment = load_experiment(name, profile=profile, path=path)
    trials = points = None
    if is_too_large(experiment):
        points, epochs = count_points(experiment), experiment.base.train.epochs
    else:
        plan = build_plan(experiment)
        trials, epochs = len(plan.trials) + plan.to_follow, plan.epochs
    axes = tuple(key for key, _ in experiment.axes)
    return SpaceRow(name, trials, points, epochs, experiment.sampling.name, axes, experiment.question)


def show_status(arguments: argparse.Namespace) -> int:
    """Print the trials of a recorded sweep, from its folder or, where that is missing, from MLflow."""
    from bddseg.data.folders import is_folder
    from sweeps.cli.status import find_sweep_id, recorded_status
    from sweeps.storage.folder import SweepFolder
    from sweeps.storage.recovery import lost_driver

    sweep_id = find_sweep_id(arguments.status, arguments.storage, lambda: open_store(arguments))
    folder = arguments.storage / sweep_id
    status = recorded_status(sweep_id, arguments.storage, lambda: open_store(arguments))
    if arguments.json:
        trials = [asdict(trial) for trial in status.trials()]
        print_json({"sweep": sweep_id, "state": str(status.state), "to_follow": status.to_follow, "trials": trials})
        return FINE
    rows = [
        (
            row.name,
            row.trial_id,
            row.state,
            f"{row.epochs}/{row.budget}" if row.budget else "-",
            row.stop_reason or "-",
            write_score(row.best_miou),
            row.stop_detail or "-",
            row.log_file or "-",
        )
        for row in status.rows
    ]
    print("; ".join([f"{sweep_id}: {status.state}", *status.to_follow]), file=sys.stderr)
    if lost := lost_driver(folder):
        again = tune_command(arguments)
        print(f"its driver, {lost.driver}, is gone", file=sys.stderr)
        print(f"resume with: {again} --resume {sweep_id}", file=sys.stderr)
        print(f"or close its open runs with: {again} --sync {sweep_id}", file=sys.stderr)
    head = ("trial", "digest", "state", "epochs", "stopped by", "best val/miou", "why", "log file")
    logs = SweepFolder(folder).logs
    if sys.stdout.isatty() and is_folder(logs):  # a terminal has no room for paths
        print_table(head[:-1], [row[:-1] for row in rows])
        print(f"logs: {logs}/DIGEST.log", file=sys.stderr)
    else:
        print_table(head, rows)
    return 0


def sync(arguments: argparse.Namespace) -> int:
    """Deliver missing records of one sweep, or of all, to MLflow; return 0 when none is missing any more."""
    from sweeps.storage.sweeps import find_sweep, sweep_folders, was_refused
    from sweeps.tracking.sync import sync_sweeps

    storage = arguments.storage
    folders = [find_sweep(storage, arguments.sync)] if arguments.sync else sweep_folders(storage)
    refused = [] if arguments.sync else [folder for folder in folders if was_refused(folder)]
    for folder in refused:
        notes.info(f"{folder.name} was refused before it trained anything: skipped; delete {folder}")
    is_incomplete = is_news = False
    for synced in sync_sweeps([folder for folder in folders if folder not in refused], arguments.tracking_uri):
        is_incomplete |= synced.is_left
        if synced.is_news or arguments.sync:
            is_news = True
            for sentence in synced.sentences():
                print(sentence)
    if not is_news:
        notes.info(f"every event of every sweep in {storage} is delivered")
    return int(is_incomplete)


def train_space(arguments: argparse.Namespace) -> "SweepResult | int | None":
    """Run a space as a new sweep, after everything that can be checked before Ray starts; None for a dry run."""
    from sweeps.planning.experiment import load_experiment
    from sweeps.planning.experiments_file import experiments_path
    from sweeps.planning.planner import build_plan, check_experiment

    if not arguments.space:
        raise UserError("no space is given: use --space NAME, or --list to see the spaces")
    arguments.experiments = arguments.experiments or experiments_path()
    name_own(arguments.experiments)
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
        path=arguments.experiments,
    )
    check_experiment(experiment, arguments.limit)
    if source:
        notes.info(f"{experiment.name}: {source.sentence()}")
    source = skip_images(experiment, source)
    experiment = follow_source(arguments, experiment, source)
    if arguments.sweep and is_recorded(arguments):
        return go_on(arguments, experiment, partial(build_plan, experiment, limit=arguments.limit))
    if source is None or arguments.dry_run:
        dry_run(arguments, draft_space(arguments, experiment, source))
        return None
    destination = find_destination(arguments)  # its checks are cheaper than a large plan
    spec = prepare(arguments, draft_space(arguments, experiment, source, destination.survey), destination)
    from sweeps.execution.runner import run_sweep  # imports Ray, after find_destination has set its variables

    return run_sweep(spec, arguments.sweep)


def cancel(arguments: argparse.Namespace) -> int:
    """Mark a trial of a sweep as cancelled; the driver of the sweep stops it."""
    from sweeps.storage.folder import SweepFolder
    from sweeps.storage.sweeps import find_sweep, find_trial

    sweep, word = arguments.cancel
    folder = find_sweep(arguments.storage, sweep)
    trial_id = find_trial(folder, word)
    SweepFolder(folder).cancel(trial_id)
    notes.info(f"trial {trial_id} of sweep {sweep} will stop after its current epoch (at once if it has not started)")
    return FINE


def finish(arguments: argparse.Namespace) -> int:
    """Train, print the result, and notify of it."""
    if arguments.json and not arguments.dry_run:
        raise UserError("--json has no effect on training: use it with --list, --dry-run or --status")
    target = None if arguments.dry_run else find_target(arguments.notify)
    return run_and_notify(target, lambda: TRAINERS[arguments.verb](arguments), close)


TRAINERS: "dict[str, Callable[[argparse.Namespace], SweepResult | int | None]]" = {
    "space": train_space,
    "confirm": train_confirmation,
    "resume": train_on,
}
"""Verb -> how it trains."""

VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    **dict.fromkeys(TRAINERS, finish),
    "cancel": cancel,
    "status": show_status,
    "sync": sync,
    "list": list_spaces,
    "prune": prune,
}
"""Verb -> what it does."""

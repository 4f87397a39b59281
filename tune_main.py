"""Run a sweep: `python tune_main.py --space grid_lr_loss`. Words go to stderr, results to stdout."""

import argparse
import logging
import math
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bddseg.errors import UserError

if TYPE_CHECKING:
    from sweeps.experiment import Experiment
    from sweeps.monitor import Board
    from sweeps.order import Order, Summary
    from sweeps.plan import Plan
    from sweeps.source import Material, Source

AUTO = "auto"
CHECKPOINT_SECONDS = 30
ROOT = Path(__file__).resolve().parent
WIDEST_LINE = 400
"""A table that goes to a file or a pipe has one line per row, up to so many characters."""

EPILOG = """\
examples:
  python tune_main.py --list                                what can be run
  python tune_main.py --space smoke                         a minute or two, to see that everything works
  python tune_main.py --space grid_lr_loss                  learning rate x loss
  python tune_main.py --space overfit --data ~/bdd100k      on the real data, at full size
  python tune_main.py --space attention --set train.epochs=5 --set "model.dropout=[0.0, 0.5]" --dry-run
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 fine, 1 nothing usable, 2 misuse, 130/143 interrupted."""
    words = sys.argv[1:] if argv is None else argv
    arguments = build_parser().parse_args(words)
    level = logging.WARNING + 10 * (arguments.quiet - arguments.verbose)
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        if arguments.list:
            return list_spaces(arguments)
        if arguments.status:
            return show_status(arguments)
        if arguments.sync is not None:
            return sync(arguments)
        if arguments.cancel:
            return cancel(arguments)
        if arguments.resume is not None:
            return resume(arguments, words)
        return run(arguments, words)
    except UserError as error:
        if arguments.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        print("interrupted", file=sys.stderr)
        if command := getattr(interrupt, "resume_command", ""):
            print(f"go on with: {command}", file=sys.stderr)
        return 128 + getattr(interrupt, "number", signal.SIGINT)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = _Parser(
        prog="tune_main.py", description="Run a hyperparameter sweep of U-Nets on street scenes.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    what = parser.add_argument_group("what to run")
    what.add_argument("--space", metavar="NAME", help="a space of experiments.yaml; --list shows them")
    what.add_argument("--profile", metavar="NAME", help="full where BDD100K is found, otherwise quick")
    what.add_argument("--data", type=Path, metavar="DIR", help="folder in the BDD100K layout")
    what.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, or a list as an axis")
    what.add_argument("--limit", type=_positive, default=0, metavar="N", help="only the first N trials of the plan")
    what.add_argument("--scheduler", choices=("asha", "none"), help="stop weak trials early (asha) or run all (none)")
    what.add_argument("--seed", type=_whole, metavar="N", help="of training and of the order of trials")
    what.add_argument("--on-bad-sample", choices=("fail", "skip"), default="fail", help="a damaged image or mask")
    where = parser.add_argument_group("where to run it")
    where.add_argument("--max-concurrent", type=_positive, default=0, metavar="N", help="trials side by side at most")
    where.add_argument("--cpus-per-trial", type=_positive, metavar="N", help="threads of a trial (1)")
    where.add_argument("--gpus-per-trial", type=_share, metavar="X",
                       help="1, 0.5, ... or auto: measured (1 where there is a GPU)")  # fmt: skip
    where.add_argument("--address", metavar="ADDR", help="a running Ray, for example auto or host:6379")
    where.add_argument("--dashboard", action="store_true", help="start Ray's dashboard and print its address")
    kept = parser.add_argument_group("what is kept")
    kept.add_argument("--storage", type=Path, default=ROOT / "runs", metavar="DIR", help="sweep folders (runs)")
    kept.add_argument("--tracking-uri", metavar="URI", help="MLflow store (a database under the storage folder)")
    kept.add_argument("--offline", action="store_true", help="leave MLflow alone; deliver later with --sync")
    kept.add_argument("--keep-weights", choices=("finalists", "all"), default="finalists")
    kept.add_argument("--checkpoint-every", type=_whole, metavar="SECONDS",
                      help=f"save what trains so often, and at rungs ({CHECKPOINT_SECONDS}); 0: always")  # fmt: skip
    look = parser.add_argument_group("look, do not run")
    look.add_argument("--list", action="store_true", help="the spaces with their question and size")
    look.add_argument("--dry-run", action="store_true", help="the trials that would run, and their rungs")
    look.add_argument("--status", metavar="SWEEP", help="the trials of a sweep: states, stop reasons, log files")
    look.add_argument("--sync", nargs="?", const="", metavar="SWEEP",
                      help="deliver what MLflow does not have yet of a sweep; without a name, of all")  # fmt: skip
    begun = parser.add_argument_group("a sweep that was begun")
    begun.add_argument("--resume", nargs="?", const="", metavar="SWEEP",
                       help="go on with an interrupted sweep; without a name, the latest unfinished")  # fmt: skip
    begun.add_argument("--cancel", nargs=2, metavar=("SWEEP", "TRIAL"), help="end one trial; the sweep goes on")
    parser.add_argument("-q", "--quiet", action="count", default=0, help="only results and errors")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="more words; twice for all")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


class _Parser(argparse.ArgumentParser):
    """Refuses a wrong command line in one line, without the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; --help shows all options\n")


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
        rows.append((name, str(len(plan.trials)), str(plan.epochs), axes, experiment.question))
    print_table(("space", "trials", "epochs", f"varies (profile {source.profile})", "question"), rows)
    return 0


def show_status(arguments: argparse.Namespace) -> int:
    """Print the trials of a recorded sweep."""
    from sweeps.address import resolve_tracking_uri
    from sweeps.lost import lost_driver
    from sweeps.store import Store

    record = Store(resolve_tracking_uri(arguments.tracking_uri, arguments.storage)).read_sweep(arguments.status)
    rows = [
        (
            trial.name,
            trial.status.lower(),
            trial.stop_reason or "-",
            _figure(trial.metrics.get("best/miou")),
            trial.stop_detail or "-",
            trial.log_file or "-",
        )
        for trial in record.trials
    ]
    print(f"{record.sweep_id}: {record.status.lower()}", file=sys.stderr)
    lost = lost_driver(arguments.storage / record.sweep_id)
    if lost:
        closing = f"{tune_command(arguments)} --sync {record.sweep_id}"
        print(f"its driver, {lost.driver}, is gone; close what it left open with: {closing}", file=sys.stderr)
    print_table(("trial", "state", "stopped by", "best val/miou", "why", "log file"), rows)
    return 0


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
    from sweeps.experiment import load_experiment, read_book
    from sweeps.source import choose_source

    if not arguments.space:
        raise UserError("which space? give --space NAME, or --list to see them")
    source = choose_source(read_book()["profiles"], arguments.profile, arguments.data)
    experiment = load_experiment(
        arguments.space,
        profile=source.profile,
        overrides=arguments.set,
        scheduler=arguments.scheduler,
        seed=arguments.seed,
    )
    say(arguments, f"{experiment.name}: {source.sentence()}")
    if arguments.dry_run:
        return dry_run(experiment, arguments)
    order = prepare(arguments, experiment, source, words)
    from sweeps.runner import run_sweep

    return close(run_sweep(order, lambda sentence: say(arguments, sentence)), arguments)


def resume(arguments: argparse.Namespace, words: list[str]) -> int:
    """Go on with a sweep as it was begun; where the command line says how it runs, that counts."""
    from sweeps.backlog import find_sweep
    from sweeps.manifest import read_manifest
    from sweeps.resume import check_not_running, recorded_experiment, unfinished_sweep
    from sweeps.source import Source

    storage = arguments.storage.absolute()
    folder = find_sweep(storage, arguments.resume) if arguments.resume else unfinished_sweep(storage)
    check_not_running(folder)
    manifest = read_manifest(folder)
    data = manifest["data"]
    source = Source(manifest["profile"], None if data["embedded"] else Path(data["root"]))
    order = prepare(arguments, recorded_experiment(manifest), source, words, manifest)
    from sweeps.runner import resume_sweep

    return close(resume_sweep(order, folder.name, lambda sentence: say(arguments, sentence)), arguments)


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


def dry_run(experiment: "Experiment", arguments: argparse.Namespace) -> int:
    """Print the trials that would run."""
    from bddseg.device import resolve_device, resolve_precision
    from sweeps.plan import build_plan

    precision = resolve_precision("auto", resolve_device("cpu" if arguments.gpus_per_trial == 0 else "auto"))
    plan = build_plan(experiment, precision=precision, limit=arguments.limit)
    rows = [
        (str(number), trial.name, trial.trial_id, "reference" if trial.is_reference else "")
        for number, trial in enumerate(plan.trials, 1)
    ]
    print_table(("", "trial", "digest", ""), rows)
    rungs = ", ".join(map(str, plan.rungs)) or "none"
    print(f"\n{len(plan.trials)} trials of {plan.grid_points} grid points, {plan.epochs} epochs each; rungs: {rungs}")
    return 0


def prepare(
    arguments: argparse.Namespace,
    experiment: "Experiment",
    source: "Source",
    words: list[str],
    manifest: dict[str, Any] | None = None,
) -> "Order":
    """Return the order for a sweep: data read, plan made (or as the manifest has it), device known, price told."""
    from bddseg.device import resolve_device, resolve_precision
    from sweeps.address import hide_password, resolve_tracking_uri
    from sweeps.order import Order
    from sweeps.plan import build_plan
    from sweeps.resume import recorded_plan
    from sweeps.runner import check_storage
    from sweeps.source import cache_folder, load_material

    terms = manifest["terms"] if manifest else {"resources": {}}
    cpus = arguments.cpus_per_trial or int(terms["resources"].get("CPU", 1))
    gpus = arguments.gpus_per_trial if arguments.gpus_per_trial is not None else terms["resources"].get("GPU")
    address = arguments.address or terms.get("address")
    every = arguments.checkpoint_every
    checkpoint_seconds = terms.get("checkpoint_seconds", CHECKPOINT_SECONDS) if every is None else every
    device = resolve_device("cpu" if gpus == 0 else "cuda" if gpus and gpus != AUTO and not address else "auto")
    is_packed = gpus == AUTO and device.type == "cuda"
    if gpus is None or gpus == AUTO:
        gpus = 1.0 if device.type == "cuda" else 0.0
    if cpus > (os.cpu_count() or 1) and not address:
        raise UserError(f"--cpus-per-trial is {cpus}, but this machine has {os.cpu_count()} cores")
    if manifest:
        plan = recorded_plan(manifest)
    else:
        plan = build_plan(experiment, precision=resolve_precision("auto", device), limit=arguments.limit)
    storage = check_storage(arguments.storage)
    tracking_uri = resolve_tracking_uri(arguments.tracking_uri, storage)
    material = load_material(
        source,
        experiment.base,
        cache_folder(),
        on_bad_sample=arguments.on_bad_sample,
        progress=not arguments.quiet and sys.stderr.isatty(),
    )
    for line in material.summary:
        say(arguments, line)
    order = Order(
        experiment=experiment,
        plan=plan,
        material=material,
        storage=storage,
        tracking_uri=tracking_uri,
        address=address,
        resources={"CPU": float(cpus), "GPU": gpus},
        gpu_shares=packed(plan, material, device, arguments) if is_packed else terms.get("gpu_shares", {}),
        max_concurrent=arguments.max_concurrent or terms.get("max_concurrent", 0),
        device=device.type,
        keep_all_weights=arguments.keep_weights == "all" or terms.get("keep_all_weights", False),
        checkpoint_seconds=checkpoint_seconds,
        dashboard=arguments.dashboard,
        is_quiet=bool(arguments.quiet),
        is_offline=arguments.offline,
        command=hide_password(shlex.join(["python", "tune_main.py", *words])),
        report_command=report_command(arguments, tracking_uri),
        tune_command=tune_command(arguments),
    )
    if not manifest:
        tell_price(order, arguments)
    return order


def packed(plan: "Plan", material: "Material", device: Any, arguments: argparse.Namespace) -> dict[str, float]:
    """Return the share of a GPU for each trial, from peaks that are measured now where they are not remembered."""
    from bddseg.device import describe, total_memory_mb
    from bddseg.footprint import measure_peak_mb
    from sweeps.shares import gpu_shares
    from sweeps.source import cache_folder

    frames_mb = (material.frames.images.nbytes + material.frames.masks.nbytes) / 1e6
    say(arguments, f"measuring what a trial takes of {describe(device)}")
    shares = gpu_shares(
        plan,
        frames_mb,
        total_memory_mb(device),
        describe(device),
        cache_folder(),
        lambda config: measure_peak_mb(config, str(device)),
    )
    most, fewest = max(shares.values()), min(shares.values())
    say(arguments, f"trials on one GPU: {1 / most:.0f}" + (f" to {1 / fewest:.0f}" if fewest < most else ""))
    return shares


def tell_price(order: "Order", arguments: argparse.Namespace) -> None:
    """Warn before a run that this machine needs more than an hour for."""
    if order.address or os.environ.get("RAY_ADDRESS"):
        return  # a cluster's speed is not this machine's
    import torch

    from sweeps.monitor import duration
    from sweeps.price import estimate

    split = order.material.split
    at_once = max(1, (os.cpu_count() or 1) // int(order.resources["CPU"]))
    price = estimate(
        order.plan,
        train_images=len(split.train),
        val_images=len(split.val),
        slots=min(at_once, order.max_concurrent or at_once),
        device=torch.device(order.device),
    )
    if price.hours > 1:
        say(
            arguments,
            f"this machine would need about {duration(price.seconds)} if no trial were stopped early; smaller: "
            "--profile quick, --limit N, --set train.epochs=N, --set data.size=64, --set model.base_filters=8",
        )


def report_command(arguments: argparse.Namespace, tracking_uri: str) -> str:
    """Return the report command without the sweep's id; a password in the address is not in it."""
    from sweeps.address import tracking_flag

    is_default = arguments.tracking_uri is None and arguments.storage.absolute() == ROOT / "runs"
    return " ".join(["python report.py", *([] if is_default else [tracking_flag(tracking_uri)])])


def tune_command(arguments: argparse.Namespace) -> str:
    """Return this command for a later --sync or --resume of the sweep; a password in the address is not in it."""
    from sweeps.address import tracking_flag

    storage = arguments.storage.absolute()
    where = [] if storage == ROOT / "runs" else [f"--storage {shlex.quote(str(storage))}"]
    if arguments.tracking_uri is not None:
        where.append(tracking_flag(arguments.tracking_uri))
    return " ".join(["python tune_main.py", *where])


def close(summary: "Summary", arguments: argparse.Namespace) -> int:
    """Print the leaderboard and what to do next; return the exit code."""
    print_leaderboard(summary.board)
    failed = [row for row in summary.board.rows.values() if row.state == "failed"]
    for row in failed:
        say(arguments, f"failed: {row.name}: {row.stop_detail}; see {row.log_file}")
    for sentence in last_words(summary):
        print(sentence, file=sys.stderr)
    if summary.is_interrupted:
        print(f"interrupted: {interruption(summary.board)}", file=sys.stderr)
        print(f"go on with: {summary.resume_command}", file=sys.stderr)
    if summary.board.best():
        after = ", once it is delivered" if summary.undelivered else ""
        print(f"report{after}: {summary.report_command}", file=sys.stderr)
    return summary.exit_code


def last_words(summary: "Summary") -> Iterator[str]:
    """Yield what MLflow does not have of a sweep, and how it gets it."""
    from sweeps.backlog import reject_sentences

    if summary.undelivered:
        yield f"warning: {summary.undelivered} events did not reach MLflow; they wait in {summary.folder / 'outbox'}"
        yield f"deliver them with: {summary.sync_command}"
    yield from reject_sentences(summary.rejects)


def interruption(board: "Board") -> str:
    """Return how far an interrupted sweep came."""
    planned = len(board.rows) * board.plan.epochs
    return f"{board.epochs_done()} of {planned} epochs done; {board.counts()['waiting']} trials not started"


def print_leaderboard(board: "Board") -> None:
    """Print all trials, best first."""
    rows = [
        (
            str(rank),
            row.name + ("  (reference)" if row.is_reference else ""),
            _figure(row.best_miou),
            str(row.best_epoch or "-"),
            str(row.epochs),
            row.stop_reason or row.state,
        )
        for rank, row in enumerate(board.ranked(), 1)
    ]
    print_table(("", "trial", "best val/miou", "at epoch", "epochs", "ended by"), rows)


def print_table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in aligned columns; on a terminal long cells wrap, elsewhere a row is one line."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*titles, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=WIDEST_LINE)
    console.print(table)


def say(arguments: argparse.Namespace, sentence: str) -> None:
    """Write words for people to stderr, unless quiet."""
    if not arguments.quiet:
        print(sentence, file=sys.stderr, flush=True)


def _figure(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4f}"


def _whole(text: str) -> int:
    return _integer(text, 0)


def _positive(text: str) -> int:
    return _integer(text, 1)


def _integer(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number >= {least}, got {text}")
    return int(text)


def _share(text: str) -> float | str:
    if text == AUTO:
        return AUTO
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0 or (value > 1 and value != int(value)):
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, a whole number or auto, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())

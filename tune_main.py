"""Run a sweep: `python tune_main.py --space grid_lr_loss`. Words go to stderr, results to stdout."""

import argparse
import logging
import math
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bddseg.errors import UserError

if TYPE_CHECKING:
    from sweeps.experiment import Experiment
    from sweeps.monitor import Board
    from sweeps.runner import Order, Summary
    from sweeps.source import Source

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
        return run(arguments, words)
    except UserError as error:
        if arguments.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except SystemExit as exit_:  # Ray's own answer to SIGTERM, outside of training
        if exit_.code != signal.SIGTERM:
            raise
        print("interrupted", file=sys.stderr)
        return 128 + signal.SIGTERM


SCHEDULERS = ("asha", "asha_promote", "hyperband", "median", "none")


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
    what.add_argument("--scheduler", choices=SCHEDULERS, help="how weak trials are stopped early; none runs all")
    what.add_argument("--seed", type=_whole, metavar="N", help="of training and of the order of trials")
    what.add_argument("--on-bad-sample", choices=("fail", "skip"), default="fail", help="a damaged image or mask")
    where = parser.add_argument_group("where to run it")
    where.add_argument("--max-concurrent", type=_positive, default=0, metavar="N", help="trials side by side at most")
    where.add_argument("--cpus-per-trial", type=_positive, default=1, metavar="N", help="threads of a trial (1)")
    where.add_argument("--gpus-per-trial", type=_share, metavar="X", help="1, 0.5, ... (1 where there is a GPU)")
    where.add_argument("--address", metavar="ADDR", help="a running Ray, for example auto or host:6379")
    where.add_argument("--dashboard", action="store_true", help="start Ray's dashboard and print its address")
    kept = parser.add_argument_group("what is kept")
    kept.add_argument("--storage", type=Path, default=ROOT / "runs", metavar="DIR", help="sweep folders (runs)")
    kept.add_argument("--tracking-uri", metavar="URI", help="MLflow store (a database under the storage folder)")
    kept.add_argument("--keep-weights", choices=("finalists", "all"), default="finalists")
    look = parser.add_argument_group("look, do not run")
    look.add_argument("--list", action="store_true", help="the spaces with their question and size")
    look.add_argument("--dry-run", action="store_true", help="the trials that would run, and their rungs")
    look.add_argument("--status", metavar="SWEEP", help="the trials of a sweep: states, stop reasons, log files")
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
    from sweeps.delivery import resolve_tracking_uri
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
    print_table(("trial", "state", "stopped by", "best val/miou", "why", "log file"), rows)
    return 0


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


def prepare(arguments: argparse.Namespace, experiment: "Experiment", source: "Source", words: list[str]) -> "Order":
    """Return the order for a sweep: data read, plan made, device known, price told."""
    from bddseg.device import resolve_device, resolve_precision
    from sweeps.delivery import resolve_tracking_uri
    from sweeps.plan import build_plan
    from sweeps.runner import Order, check_storage
    from sweeps.source import cache_folder, load_material

    gpus = arguments.gpus_per_trial
    device = resolve_device("cpu" if gpus == 0 else "cuda" if gpus and not arguments.address else "auto")
    if gpus is None:
        gpus = 1.0 if device.type == "cuda" else 0.0
    if arguments.cpus_per_trial > (os.cpu_count() or 1) and not arguments.address:
        raise UserError(f"--cpus-per-trial is {arguments.cpus_per_trial}, but this machine has {os.cpu_count()} cores")
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
        address=arguments.address,
        resources={"CPU": float(arguments.cpus_per_trial), "GPU": gpus},
        max_concurrent=arguments.max_concurrent,
        device=device.type,
        keep_all_weights=arguments.keep_weights == "all",
        dashboard=arguments.dashboard,
        is_quiet=bool(arguments.quiet),
        command=shlex.join(["python", "tune_main.py", *words]),
        report_command=report_command(arguments, tracking_uri),
    )
    tell_price(order, arguments)
    return order


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
    """Return the report command without the sweep's id."""
    is_default = arguments.tracking_uri is None and arguments.storage.absolute() == ROOT / "runs"
    return shlex.join(["python", "report.py", *([] if is_default else ["--tracking-uri", tracking_uri])])


def close(summary: "Summary", arguments: argparse.Namespace) -> int:
    """Print the leaderboard and what to do next; return the exit code."""
    print_leaderboard(summary.board)
    failed = [row for row in summary.board.rows.values() if row.state == "failed"]
    for row in failed:
        say(arguments, f"failed: {row.name}: {row.stop_detail}; see {row.log_file}")
    if summary.undelivered:
        kept = summary.folder / "outbox"
        print(f"warning: {summary.undelivered} events did not reach MLflow; kept in {kept}", file=sys.stderr)
    if summary.is_interrupted:
        print(f"interrupted: {interruption(summary.board)}", file=sys.stderr)
    if summary.board.best():
        print(f"report: {summary.report_command}", file=sys.stderr)
    return summary.exit_code


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


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0 or (value > 1 and value != int(value)):
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, or a whole number, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())

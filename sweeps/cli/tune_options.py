"""The options of tune_main.py. Results go to stdout, notes to stderr."""

import argparse
import logging
import shlex
import sys
from functools import partial

from sweeps.cli import parsing
from sweeps.cli.completion import add_completion
from sweeps.cli.console import Parser, execute
from sweeps.notes import show_notes
from sweeps.paths import TUNE, default_folder, program_name, short_command
from sweeps.planning.sampling import SEARCHES
from sweeps.schedulers.rungs import SCHEDULERS

VERBS = {
    "space": "--space",
    "confirm": "--confirm",
    "resume": "--resume",
    "cancel": "--cancel",
    "status": "--status",
    "sync": "--sync",
    "list": "--list",
    "prune": "--prune",
}
"""Verb -> the option that asks for it; `add(..., verbs=...)` names the verbs for which an option has an effect."""

RUNNING = "space confirm resume"
"""Verbs that train."""

EPILOG = """\
examples:
  COMMAND --list                                the spaces
  COMMAND --space smoke                         a minute or two, to check the installation
  COMMAND --space grid_lr_loss                  learning rate x loss
  COMMAND --space overfit --data ~/bdd100k      real data, full size
  COMMAND --space attention --set train.epochs=5 --set "model.dropout=[0.0, 0.5]" --dry-run
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit code.

    0 success, 1 no usable result, 2 misuse, 3 another process has taken over the sweep, 130/143 interrupted.
    """
    arguments = build_parser().parse(argv)
    level = logging.WARNING + 10 * (arguments.quiet - arguments.verbose)
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    show_notes(is_quiet=bool(arguments.quiet))
    from sweeps.cli import tune

    return execute(tune.VERBS[arguments.verb], arguments)


def build_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog=program_name(TUNE, TUNE), description="Run a hyperparameter sweep of U-Nets.",
        epilog=EPILOG.replace("COMMAND", shlex.join(short_command(TUNE))),
        formatter_class=argparse.RawDescriptionHelpFormatter, verbs=VERBS,
    )  # fmt: skip
    _add_sweep(parser)
    _add_resources(parser)
    _add_storage(parser)
    _add_verbs(parser)
    parser.option(parser, "--notify", verbs=RUNNING, metavar="CMD|URL",
                  help="when the sweep ends, pipe its outcome as JSON to a command, or post it")  # fmt: skip
    add_completion(parser, TUNE)
    parser.option(parser, "-q", "--quiet", action="count", default=0, help="only results and errors")
    parser.option(parser, "-v", "--verbose", action="count", default=0, help="more output; -vv for all")
    parsing.add_debug(parser)
    return parser


def _add_sweep(parser: Parser) -> None:
    add = partial(parser.option, parser.add_argument_group("what to run"), verbs="space")
    add("--space", metavar="NAME", help="a space of experiments.yaml; --list shows them")
    add("--experiments", verbs="space list", type=parsing.folder, metavar="FILE",
        help="your own spaces and profiles (BDDSEG_EXPERIMENTS, ./experiments.yaml, or those shipped)")  # fmt: skip
    add("--profile", verbs="space list", metavar="NAME", help="default: full where BDD100K is found, otherwise quick")
    add("--data", verbs="space list confirm resume", type=parsing.folder, metavar="PATH",
        help="folder of the data, or a file of datasets (.yaml); of a recorded sweep: where they are now")  # fmt: skip
    add("--dataset", verbs="space list", type=parsing.some_text, metavar="NAME",
        help="an entry of datasets.yaml, or of the file given as --data (bdd100k)")  # fmt: skip
    add(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="fix a setting, or vary it over a list or range"
    )
    add("--limit", type=parsing.positive, default=0, metavar="N", help="run only the first N trials of the plan")
    add("--scheduler", choices=SCHEDULERS, help="early-stopping rule; none runs every trial to its end")
    add("--search", choices=SEARCHES, help="how to choose points: full grid, random, or adaptively (Optuna)")
    add("--samples", type=parsing.positive, default=0, metavar="N", help="total number of trials for random or optuna")
    add("--seed", type=parsing.whole, metavar="N", help="random seed of training and of the order of trials")
    add("--replicates", type=parsing.whole, metavar="N",
        help="extra seeds of the two best settings at the end (2 where that is cheap; 0: none)")  # fmt: skip
    add("--fresh", verbs="space confirm", action="store_true", default=False,
        help="do not reuse trials of earlier sweeps")  # fmt: skip
    add("--on-bad-sample", choices=("fail", "skip"), help="what to do with a damaged image or mask (fail)")
    add("--sweep", verbs="space confirm", type=parsing.new_sweep_name, metavar="NAME",
        help="id of the sweep: starts it, continues it if it was started, ends with 0 if it is finished")  # fmt: skip
    add = partial(parser.option, parser.add_argument_group("confirm a sweep"), verbs="confirm")
    add("--confirm", type=parsing.sweep_name, metavar="SWEEP",
        help="retrain its finalists, each run on its own fold")  # fmt: skip
    add("--top", type=parsing.positive, default=4, metavar="N",
        help="number of finalists by val/miou (4); the best of each model and the reference are added")  # fmt: skip
    add("--runs", type=parsing.several, metavar="N", help="runs, and folds, per finalist (5)")
    add("--until-decided", action="store_true", default=False,
        help="add runs until one finalist is clearly best, or the differences do not matter")  # fmt: skip
    add(
        "--budget",
        type=parsing.hours,
        metavar="HOURS",
        help="with --until-decided: start no round that would end later",
    )


def _add_resources(parser: Parser) -> None:
    add = partial(parser.option, parser.add_argument_group("resources"), verbs=RUNNING)
    add("--max-concurrent", type=parsing.positive, default=0, metavar="N", help="maximum number of trials at a time")
    add("--cpus-per-trial", type=parsing.positive, metavar="N", help="threads per trial (1)")
    add("--gpus-per-trial", type=parsing.share, metavar="X",
        help="1, 0.5, ..., or auto to measure it (1 where there is a GPU)")  # fmt: skip
    add("--address", type=parsing.some_text, metavar="ADDR",
        help="a running Ray cluster: auto or host:6379; local: start one here")  # fmt: skip
    add("--max-failures", type=parsing.whole, metavar="N",
        help="how often a trial that fails is tried again (1); the loss of a node does not count")  # fmt: skip
    add("--wait-for-nodes", type=parsing.positive, metavar="SECONDS",
        help="how long to wait for a first node of the cluster that can run a trial")  # fmt: skip
    add("--dashboard", action="store_true", default=False, help="start Ray's dashboard and print its address")


def _add_storage(parser: Parser) -> None:
    add = partial(parser.option, parser.add_argument_group("storage"), verbs=RUNNING)
    add("--storage", verbs=f"{RUNNING} status sync cancel prune", type=parsing.storage_folder,
        default=default_folder("runs"), metavar="DIR", help="folder of the sweeps (runs)")  # fmt: skip
    add("--checkpoints", verbs="space confirm", type=parsing.object_store, metavar="URI",
        help="object store for the checkpoints, such as s3://bucket/path (the storage folder)")  # fmt: skip
    add("--tracking-uri", verbs=f"{RUNNING} status sync prune", type=parsing.address, metavar="URI",
        help="MLflow store (default: a database in the storage folder)")  # fmt: skip
    add("--experiment", verbs="space confirm", type=parsing.some_text, metavar="NAME",
        help="MLflow experiment of a new sweep (default: MLFLOW_EXPERIMENT_NAME, else bdd100k-unet)")  # fmt: skip
    add("--offline", action="store_true", default=False, help="do not contact MLflow; deliver later with --sync")
    add("--keep-weights", choices=("finalists", "all"), help="whose best weights go to MLflow (finalists)")
    add("--checkpoint-every", type=parsing.whole, metavar="SECONDS",
        help="seconds between checkpoints (30; 0 = every epoch); rungs are always saved")  # fmt: skip


def _add_verbs(parser: Parser) -> None:
    group = parser.add_argument_group("inspect without running")
    parser.option(
        group, "--list", verbs="list", action="store_true", help="list the spaces with their question and size"
    )
    parser.option(group, "--dry-run", verbs=f"{RUNNING} prune", action="store_true", default=False,
                  help="print what would run, with time, memory and disk, or what --prune would remove")  # fmt: skip
    parser.option(group, "--json", verbs=f"{RUNNING} list status", action="store_true", default=False,
                  help="print --list, --dry-run or --status as JSON, for programs")  # fmt: skip
    optional = {"nargs": "?", "type": parsing.sweep_name, "metavar": "SWEEP"}
    parser.option(group, "--status", verbs="status", **optional,
                  help="print a sweep's trials with states, stop reasons and logs; default: the latest")  # fmt: skip
    parser.option(group, "--sync", verbs="sync", **optional,
                  help="deliver missing records of a sweep to MLflow; default: all sweeps")  # fmt: skip
    group = parser.add_argument_group("continue or cancel a sweep")
    parser.option(group, "--resume", verbs="resume", **optional,
                  help="resume an interrupted sweep; default: the latest unfinished")  # fmt: skip
    parser.option(group, "--failed", verbs="resume", action="store_true", default=False,
                  help="with --resume: trials that failed or ran out of memory continue, too")  # fmt: skip
    parser.option(group, "--take-over", verbs=RUNNING, action="store_true", default=False,
                  help="continue a sweep that another process still drives: that process ends itself")  # fmt: skip
    parser.option(group, "--cancel", verbs="cancel", nargs=2, type=parsing.some_text, metavar=("SWEEP", "TRIAL"),
                  help="stop one trial, given by its name, digest or a prefix; the sweep continues")  # fmt: skip
    group = parser.add_argument_group("remove what is no longer needed")
    parser.option(group, "--prune", verbs="prune", action="store_true",
                  help="list old sweeps, checkpoints and caches with their sizes, ask, and remove them")  # fmt: skip
    parser.option(group, "--older-than", verbs="prune", type=parsing.whole, default=30, metavar="DAYS",
                  help="what was changed or used in the last DAYS stays (30)")  # fmt: skip
    parser.option(group, "--keep", verbs="prune", action="append", default=[], type=parsing.sweep_name,
                  metavar="SWEEP", help="a sweep that stays; may be repeated")  # fmt: skip
    parser.option(group, "--yes", verbs="prune", action="store_true", default=False, help="remove without asking")

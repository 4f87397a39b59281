"""Run a sweep: `python tune_main.py --space grid_lr_loss`. Words go to stderr, results to stdout."""

import argparse
import logging
import signal
import sys
from functools import partial

from bddseg.errors import UserError
from sweeps.cli import parsing
from sweeps.cli.console import Parser, run_command
from sweeps.execution.signals import ignore_further
from sweeps.notes import show_notes
from sweeps.paths import ROOT
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
}
"""What can be asked for, each by one option; `add(..., verbs=...)` says with which of them an option has an effect."""

RUNNING = "space confirm resume"
"""Verbs that train."""

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
    arguments = build_parser().parse(argv)
    level = logging.WARNING + 10 * (arguments.quiet - arguments.verbose)
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    show_notes(is_quiet=bool(arguments.quiet))
    from sweeps.cli import tune

    try:
        return tune.VERBS[arguments.verb](arguments)
    except UserError as error:
        if arguments.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        ignore_further()
        print("interrupted", file=sys.stderr)
        if command := getattr(interrupt, "resume_command", ""):
            print(f"go on with: {command}", file=sys.stderr)
        return 128 + getattr(interrupt, "number", signal.SIGINT)


def build_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="tune_main.py", description="Run a hyperparameter sweep of U-Nets on street scenes.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, verbs=VERBS,
    )  # fmt: skip
    _add_what(parser)
    _add_where(parser)
    _add_kept(parser)
    _add_verbs(parser)
    parser.option(parser, "-q", "--quiet", action="count", default=0, help="only results and errors")
    parser.option(parser, "-v", "--verbose", action="count", default=0, help="more words; twice for all")
    parser.option(parser, "--debug", action="store_true", default=False, help="show the traceback of an error")
    return parser


def _add_what(parser: Parser) -> None:
    add = partial(parser.option, parser.add_argument_group("what to run"), verbs="space")
    add("--space", metavar="NAME", help="a space of experiments.yaml; --list shows them")
    add("--profile", verbs="space list", metavar="NAME", help="full where BDD100K is found, otherwise quick")
    add("--data", verbs="space list confirm resume", type=parsing.folder, metavar="DIR",
        help="folder in the BDD100K layout; of a recorded sweep, where the same data lie now")  # fmt: skip
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, or a list or range as an axis")
    add("--limit", type=parsing.positive, default=0, metavar="N", help="only the first N trials of the plan")
    add("--scheduler", choices=SCHEDULERS, help="how weak trials are stopped early; none runs all")
    add("--search", choices=SEARCHES, help="how points are chosen: all, at random, or adaptively")
    add("--samples", type=parsing.positive, default=0, metavar="N", help="trials in total, of random or optuna")
    add("--seed", type=parsing.whole, metavar="N", help="of training and of the order of trials")
    add("--replicates", type=parsing.whole, metavar="N",
        help="further seeds of the two best settings, at the end (2 where that is cheap); 0: none")  # fmt: skip
    add("--fresh", verbs="space confirm", action="store_true", default=False,
        help="train again what was trained before")  # fmt: skip
    add("--on-bad-sample", choices=("fail", "skip"), help="a damaged image or mask (fail)")
    add = partial(parser.option, parser.add_argument_group("confirm a sweep"), verbs="confirm")
    add("--confirm", type=parsing.sweep_name, metavar="SWEEP",
        help="train its finalists again, each run on a fold of its own")  # fmt: skip
    add("--top", type=parsing.positive, default=4, metavar="N",
        help="finalists by val/miou (4), and besides them the best of each model and the reference")  # fmt: skip
    add("--runs", type=parsing.several, metavar="N", help="runs, and folds, of each finalist (5)")
    add("--until-decided", action="store_true", default=False,
        help="add runs until one finalist is surely best, or none matters")  # fmt: skip
    add("--budget", type=parsing.hours, metavar="HOURS", help="with --until-decided: no round that would end later")


def _add_where(parser: Parser) -> None:
    add = partial(parser.option, parser.add_argument_group("where to run it"), verbs=RUNNING)
    add("--max-concurrent", type=parsing.positive, default=0, metavar="N", help="trials side by side at most")
    add("--cpus-per-trial", type=parsing.positive, metavar="N", help="threads of a trial (1)")
    add("--gpus-per-trial", type=parsing.share, metavar="X",
        help="1, 0.5, ... or auto: measured (1 where there is a GPU)")  # fmt: skip
    add("--address", type=parsing.some_text, metavar="ADDR",
        help="a running Ray, for example auto or host:6379; local: our own")  # fmt: skip
    add("--dashboard", action="store_true", default=False, help="start Ray's dashboard and print its address")


def _add_kept(parser: Parser) -> None:
    add = partial(parser.option, parser.add_argument_group("what is kept"), verbs=RUNNING)
    add("--storage", verbs=f"{RUNNING} status sync cancel", type=parsing.folder, default=ROOT / "runs", metavar="DIR",
        help="sweep folders (runs)")  # fmt: skip
    add("--tracking-uri", verbs=f"{RUNNING} status sync", type=parsing.address, metavar="URI",
        help="MLflow store (a database under the storage folder)")  # fmt: skip
    add("--offline", action="store_true", default=False, help="leave MLflow alone; deliver later with --sync")
    add("--keep-weights", choices=("finalists", "all"))
    add("--checkpoint-every", type=parsing.whole, metavar="SECONDS",
        help="save running trials so often, and at rungs (30); 0: always")  # fmt: skip


def _add_verbs(parser: Parser) -> None:
    group = parser.add_argument_group("look, do not run")
    parser.option(group, "--list", verbs="list", action="store_true", help="the spaces with their question and size")
    parser.option(group, "--dry-run", verbs=RUNNING, action="store_true", default=False,
                  help="the trials that would run, and what they take")  # fmt: skip
    optional = {"nargs": "?", "type": parsing.sweep_name, "metavar": "SWEEP"}
    parser.option(group, "--status", verbs="status", **optional,
                  help="trials of a sweep: states, stop reasons, logs; without a name, of the latest")  # fmt: skip
    parser.option(group, "--sync", verbs="sync", **optional,
                  help="deliver what MLflow does not have yet of a sweep; without a name, of all")  # fmt: skip
    group = parser.add_argument_group("a sweep that was started")
    parser.option(group, "--resume", verbs="resume", **optional,
                  help="go on with an interrupted sweep; without a name, the latest unfinished")  # fmt: skip
    parser.option(group, "--cancel", verbs="cancel", nargs=2, type=parsing.some_text, metavar=("SWEEP", "TRIAL"),
                  help="end one trial, by its name or digest or the beginning of one; the sweep goes on")  # fmt: skip


if __name__ == "__main__":
    run_command(main)

"""Run a sweep: `python tune_main.py --space grid_lr_loss`. Words go to stderr, results to stdout."""

import argparse
import logging
import math
import signal
import sys
from pathlib import Path

from bddseg.errors import UserError
from sweeps.console import Parser, become, visible
from sweeps.experiment import SCHEDULERS
from sweeps.interrupts import ignore_further
from sweeps.sampling import SEARCHES

AUTO = "auto"
ROOT = Path(__file__).resolve().parent

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
    from sweeps import commands

    try:
        if arguments.list:
            return commands.list_spaces(arguments)
        if arguments.status is not None:
            return commands.show_status(arguments)
        if arguments.sync is not None:
            return commands.sync(arguments)
        if arguments.cancel:
            return commands.cancel(arguments)
        if arguments.resume is not None:
            return commands.resume(arguments, words)
        if arguments.confirm:
            return commands.confirm(arguments, words)
        return commands.run(arguments, words)
    except UserError as error:
        if arguments.debug:
            raise
        print(f"error: {visible(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        ignore_further()
        print("interrupted", file=sys.stderr)
        if command := getattr(interrupt, "resume_command", ""):
            print(f"go on with: {command}", file=sys.stderr)
        return 128 + getattr(interrupt, "number", signal.SIGINT)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="tune_main.py", description="Run a hyperparameter sweep of U-Nets on street scenes.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    what = parser.add_argument_group("what to run")
    what.add_argument("--space", metavar="NAME", help="a space of experiments.yaml; --list shows them")
    what.add_argument("--profile", metavar="NAME", help="full where BDD100K is found, otherwise quick")
    what.add_argument("--data", type=Path, metavar="DIR", help="folder in the BDD100K layout")
    what.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, or a list or range as an axis"
    )
    what.add_argument("--limit", type=_positive, default=0, metavar="N", help="only the first N trials of the plan")
    what.add_argument("--scheduler", choices=SCHEDULERS, help="how weak trials are stopped early; none runs all")
    what.add_argument("--search", choices=SEARCHES, help="how points are chosen: all, at random, or as figures come in")
    what.add_argument("--samples", type=_positive, default=0, metavar="N", help="trials in all, of random or optuna")
    what.add_argument("--seed", type=_whole, metavar="N", help="of training and of the order of trials")
    what.add_argument("--fresh", action="store_true", help="train again what was trained before")
    what.add_argument("--on-bad-sample", choices=("fail", "skip"), default="fail", help="a damaged image or mask")
    again = parser.add_argument_group("confirm a sweep")
    again.add_argument("--confirm", metavar="SWEEP", help="train its finalists anew, each run on a fold of its own")
    again.add_argument("--top", type=_positive, default=4, metavar="N", help="finalists by val/miou (4), and besides "
                        "them the best of each model and the reference")  # fmt: skip
    again.add_argument("--runs", type=_several, default=5, metavar="N", help="runs, and folds, of each finalist (5)")
    where = parser.add_argument_group("where to run it")
    where.add_argument("--max-concurrent", type=_positive, default=0, metavar="N", help="trials side by side at most")
    where.add_argument("--cpus-per-trial", type=_positive, metavar="N", help="threads of a trial (1)")
    where.add_argument("--gpus-per-trial", type=_share, metavar="X",
                       help="1, 0.5, ... or auto: measured (1 where there is a GPU)")  # fmt: skip
    where.add_argument("--address", metavar="ADDR", help="a running Ray, for example auto or host:6379; local: our own")
    where.add_argument("--dashboard", action="store_true", help="start Ray's dashboard and print its address")
    kept = parser.add_argument_group("what is kept")
    kept.add_argument("--storage", type=Path, default=ROOT / "runs", metavar="DIR", help="sweep folders (runs)")
    kept.add_argument("--tracking-uri", metavar="URI", help="MLflow store (a database under the storage folder)")
    kept.add_argument("--offline", action="store_true", help="leave MLflow alone; deliver later with --sync")
    kept.add_argument("--keep-weights", choices=("finalists", "all"), default="finalists")
    kept.add_argument("--checkpoint-every", type=_whole, metavar="SECONDS",
                      help="save what trains so often, and at rungs (30); 0: always")  # fmt: skip
    look = parser.add_argument_group("look, do not run")
    look.add_argument("--list", action="store_true", help="the spaces with their question and size")
    look.add_argument("--dry-run", action="store_true", help="the trials that would run, and what they take")
    look.add_argument("--status", nargs="?", const="", metavar="SWEEP",
                      help="trials of a sweep: states, stop reasons, logs; without a name, of the latest")  # fmt: skip
    look.add_argument("--sync", nargs="?", const="", metavar="SWEEP",
                      help="deliver what MLflow does not have yet of a sweep; without a name, of all")  # fmt: skip
    begun = parser.add_argument_group("a sweep that was begun")
    begun.add_argument("--resume", nargs="?", const="", metavar="SWEEP",
                       help="go on with an interrupted sweep; without a name, the latest unfinished")  # fmt: skip
    begun.add_argument(
        "--cancel",
        nargs=2,
        metavar=("SWEEP", "TRIAL"),
        help="end one trial, named by its name or digest or the beginning of one; the sweep goes on",
    )
    parser.add_argument("-q", "--quiet", action="count", default=0, help="only results and errors")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="more words; twice for all")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _whole(text: str) -> int:
    return _integer(text, 0)


def _positive(text: str) -> int:
    return _integer(text, 1)


def _several(text: str) -> int:
    return _integer(text, 2)


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
    become(main)

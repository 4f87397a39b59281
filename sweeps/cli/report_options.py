"""The options of report.py.

python report.py                        the latest sweep
python report.py SWEEP --format csv     one by its id, its leaderboard as CSV
python report.py SWEEP SWEEP            a page for each, and one that compares their leaders
python report.py SWEEP --register       its leader, or its winner, into the model registry
"""

from collections.abc import Sequence
from functools import partial

from sweeps.cli import parsing
from sweeps.cli.completion import add_completion
from sweeps.cli.console import Parser, execute
from sweeps.notes import show_notes
from sweeps.paths import REPORT, default_folder, program_name

FORMATS = ("html", "markdown", "json", "csv", "table")


def main(arguments: Sequence[str] | None = None) -> int:
    """Report on the given sweeps, or on the latest; return the exit code."""
    options = build_parser().parse(arguments)
    show_notes()
    from sweeps.cli.report import run

    return execute(run, options)


def build_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog=program_name(REPORT, REPORT),
        description="Write a page for each sweep and print the leaderboard on stdout.",
        verbs={"report": "a plain report", "register": "--register"},
    )
    parser.add_argument("sweeps", nargs="*", type=parsing.sweep_name, metavar="SWEEP",
                        help="id of a sweep (default: the latest)")  # fmt: skip
    add = partial(parser.option, parser)
    add("--out", type=parsing.folder, default=default_folder("reports"), metavar="DIR",
        help="where to write DIR/SWEEP/index.html, .md, .json, .csv (default: reports)")  # fmt: skip
    add("--format", choices=FORMATS, default="table",
        help="what to print on stdout; html prints the path of the page (default: table)")  # fmt: skip
    add("--top", type=parsing.positive, metavar="N",
        help="print only the N best trials; files and json always have all")  # fmt: skip
    parsing.add_tracking_uri(parser)
    add("--experiment", type=parsing.some_text, metavar="NAME",
        help="only sweeps of this MLflow experiment (default: MLFLOW_EXPERIMENT_NAME, else all)")  # fmt: skip
    add("--margin", type=parsing.points, default=0.5, metavar="POINTS",
        help="difference in mIoU that does not matter (default: 0.5)")  # fmt: skip
    add("--scene-margin", type=parsing.points, default=2.0, metavar="POINTS",
        help="gap between groups, such as city and non-city, that does not matter (default: 2)")  # fmt: skip
    add("--reveal-test", choices=("verdict", "all"), default="verdict",
        help="trials that are scored on the test set: those of the verdict, or, to reproduce earlier "
        "figures, all; either is recorded (default: verdict)")  # fmt: skip
    add("--no-upload", action="store_true", default=False, help="do not upload the files to the sweep's artifacts")
    _add_register(parser)
    add_completion(parser, REPORT)
    parsing.add_debug(parser)
    return parser


def _add_register(parser: Parser) -> None:
    add = partial(parser.option, parser, verbs="register")
    add("--register", action="store_true", default=False,
        help="register the leader's weights, or a confirmed winner retrained on train and "
        "validation, as @champion in MLflow's model registry; undecided verdicts need --force")  # fmt: skip
    add("--force", action="store_true", default=False,
        help="also register the leader of an undecided verdict, without making it @champion")  # fmt: skip
    add("--model-name", type=parsing.some_text, metavar="NAME",
        help="name of the registered model (default: DATASET-unet, for the streets too bdd100k-unet)")  # fmt: skip
    add("--data", type=parsing.folder, metavar="DIR",
        help="folder of the confirmed sweep's data, for the refit of its winner")  # fmt: skip

"""Report on sweeps: a page for each, and the leaderboard on stdout.

python report.py                        the latest sweep
python report.py SWEEP --format csv     one by its id, its leaderboard as CSV
python report.py SWEEP SWEEP            a page for each, and one with their leaders side by side
python report.py SWEEP --register       its leader, or its winner, into the model registry
"""

import argparse
import shutil
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bddseg.errors import UserError
from sweeps.cli import parsing
from sweeps.cli.console import FINE, INTERRUPTED, Parser, run_command
from sweeps.errors import NoSweepError, TrackingError
from sweeps.notes import show_notes
from sweeps.paths import ROOT

if TYPE_CHECKING:
    from sweeps.report.gather import Report
    from sweeps.tracking.reader import Store
    from sweeps.tracking.report_upload import ReportUpload

FORMATS = ("html", "markdown", "json", "csv", "table")
WHOLE = ("html", "json")
"""Formats that are never cut to the best few."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Report on the sweeps that are named, or on the latest; return the exit code."""
    options = build_parser().parse(arguments)
    show_notes()
    try:
        return run(options)
    except UserError as error:
        return _say(error, options)
    except KeyboardInterrupt:
        return INTERRUPTED


def build_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="report.py",
        description="Report on sweeps: a page for each, the leaderboard on stdout.",
        verbs={"report": "a report alone", "register": "--register"},
    )
    parser.add_argument("sweeps", nargs="*", type=parsing.sweep_name, metavar="SWEEP",
                        help="id of a sweep; without one, the latest")  # fmt: skip
    add = partial(parser.option, parser)
    add("--out", type=parsing.folder, default=ROOT / "reports", metavar="DIR",
        help="where to write DIR/SWEEP/index.html, .md, .json, .csv (default: reports)")  # fmt: skip
    add("--format", choices=FORMATS, default="table",
        help="what to print on stdout; html prints where the page is (default: table)")  # fmt: skip
    add("--top", type=parsing.positive, metavar="N",
        help="print only the N best trials of the leaderboard; the files and json have all")  # fmt: skip
    add("--tracking-uri", type=parsing.address, metavar="URI",
        help="MLflow's store (default: MLFLOW_TRACKING_URI, else the database in runs)")  # fmt: skip
    add("--margin", type=parsing.points, default=0.5, metavar="POINTS",
        help="a difference in mIoU that does not matter (default: 0.5)")  # fmt: skip
    add("--scene-margin", type=parsing.points, default=2.0, metavar="POINTS",
        help="a gap between city and non-city that does not matter (default: 2)")  # fmt: skip
    add("--reveal-test", choices=("verdict", "all"), default="verdict",
        help="for whom the test part is opened: for those the verdict is about, or, to reproduce "
        "earlier figures, for all trials; recorded either way (default: verdict)")  # fmt: skip
    add("--no-upload", action="store_true", default=False, help="do not put the files among the sweep's artifacts")
    _add_register(parser)
    add("--debug", action="store_true", default=False, help="show the traceback of an error")
    return parser


def _add_register(parser: Parser) -> None:
    add = partial(parser.option, parser, verbs="register")
    add("--register", action="store_true", default=False,
        help="put the leader's weights, or a confirmed winner trained once more on train and "
        "validation, into MLflow's model registry as @champion; undecided verdicts need --force")  # fmt: skip
    add("--force", action="store_true", default=False,
        help="register the leader of an undecided verdict too; it does not become @champion")  # fmt: skip
    add("--model-name", type=parsing.some_text, default="bdd100k-unet", metavar="NAME",
        help="of the registered model (default: bdd100k-unet)")  # fmt: skip
    add("--data", type=parsing.folder, metavar="DIR",
        help="where the confirmed sweep's data lie now, for the training of its winner")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Write and print the reports; a sweep that cannot be reported is named and the others are reported."""
    from sweeps.tracking.reader import Store
    from sweeps.tracking.report_upload import ReportUpload
    from sweeps.tracking.uri import resolve_tracking_uri

    if options.top and options.format in WHOLE:
        raise UserError(f"--top has no effect with --format {options.format}, which has all trials")
    store = Store(resolve_tracking_uri(options.tracking_uri, ROOT / "runs"))
    if options.register:
        _check_register(options, store)
    deposit = ReportUpload(store.tracking_uri)
    reports, pages, code = _write_all(store, deposit, options)
    if reports:
        _print(reports, pages, options)
    if options.register and reports:
        _register(reports, store, deposit, options)
    try:
        compared = _compare(reports, options)
    except UserError as error:
        return max(code, _say(error, options))
    if compared:
        print(f"compared: {compared}", file=sys.stderr)
    return code


def _write_all(
    store: "Store", deposit: "ReportUpload", options: argparse.Namespace
) -> "tuple[list[Report], list[Path], int]":
    """Write the reports that can be written; return them, their pages and the worst exit code so far."""
    from sweeps.report.drawing_process import open_press
    from sweeps.report.files import check_folder, write_report

    reports, pages = [], []
    with open_press() as press:
        names, code = _find_sweeps(store, options)
        check_folder(options.out)  # no test part is opened for a report that cannot be written
        for name in names:
            _tell(f"{name}: reading and deciding")
            try:
                report = _gather(name, store, deposit, options)
                _tell(f"{name}: drawing")
                page = write_report(report, options.out, press)
            except UserError as error:
                if len(names) == 1:
                    raise
                code = max(code, _say(error, options, name))
                continue
            reports.append(report)
            pages.append(page)
            if not options.no_upload:
                _upload(deposit, report, page.parent)
    return reports, pages, code


def _find_sweeps(store: "Store", options: argparse.Namespace) -> tuple[list[str], int]:
    """Return the sweeps that are recorded of those that are named, each once; and an exit code: others were named.

    Raises:
        NoSweepError: when none is.
    """
    if not options.sweeps:
        return [store.latest_sweep_id()], FINE
    names, code = [], FINE
    wanted = list(dict.fromkeys(options.sweeps))
    for name in wanted:
        try:
            names += store.find_sweeps([name])
        except NoSweepError as error:
            if len(wanted) == 1:
                raise
            code = _say(error, options)
    return names, code


def _tell(words: str) -> None:
    """Say what takes seconds to whoever waits at a terminal."""
    if sys.stderr and sys.stderr.isatty():
        print(words, file=sys.stderr)


def _check_register(options: argparse.Namespace, store: "Store") -> None:
    """Refuse what cannot be registered before a report is made and the test part is opened.

    Raises:
        UserError: when a name is wrong, several sweeps are named, `--data` would have no effect, or the data that a
            confirmed setting is trained on once more are gone.
    """
    from sweeps.planning.dataset import recorded_source
    from sweeps.registry.registry import check_name
    from sweeps.storage.tags import CONFIRMS

    check_name(options.model_name)
    if len(set(options.sweeps)) > 1:
        raise UserError("--register takes one sweep, for a model has one champion: name the one to register")
    name = options.sweeps[0] if options.sweeps else store.latest_sweep_id()
    record = store.read_sweep(name)
    if CONFIRMS not in record.tags:
        if options.data is not None:
            raise UserError(f"--data has no effect: {name} is no confirmation, so its leader's own weights are taken")
        return
    data = record.manifest.get("data")
    if isinstance(data, dict) and {"root", "embedded"} <= data.keys():
        recorded_source("", data, options.data)


def _register(reports: "list[Report]", store: "Store", deposit: "ReportUpload", options: argparse.Namespace) -> None:
    from sweeps.registry.registration import Registration, register
    from sweeps.report.sections.provenance import use_commands
    from sweeps.tracking.uri import default_tracking_uri, tracking_flag

    registration = Registration(options.model_name, reports[0], store, deposit, options.data, options.force)
    version = register(registration)
    is_default = store.tracking_uri == default_tracking_uri(ROOT / "runs")
    where = "" if is_default else f" {tracking_flag(store.tracking_uri)}"
    for what, command in use_commands(f"models:/{version.name}/{version.number}", where):
        print(f"{what}: {command}", file=sys.stderr)


def _gather(sweep_id: str, store: "Store", deposit: "ReportUpload", options: argparse.Namespace) -> "Report":
    from sweeps.report.decision import Margins
    from sweeps.report.gather import gather_report
    from sweeps.storage.tags import CONFIRMS

    record = store.read_sweep(sweep_id)
    screening = None
    if name := record.tags.get(CONFIRMS):
        try:
            screening = store.read_sweep(name)
        except NoSweepError as error:
            print(f"mind: {error}", file=sys.stderr)
    report = gather_report(
        record,
        store,
        deposit,
        screening=screening,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        margins=Margins(options.margin / 100, options.scene_margin / 100),
        reveal_all=options.reveal_test == "all",
    )
    for note in report.test.notes:
        if "NOT be recorded" in note:
            print(f"mind: {note}", file=sys.stderr)
    return report


def _upload(deposit: "ReportUpload", report: "Report", folder: Path) -> None:
    """Put the report among the sweep's artifacts; a store that cannot be written is said, and is no failure."""
    try:
        deposit.upload_report(report.run_id, folder)
    except TrackingError as error:
        print(f"mind: the report is not among the sweep's artifacts: {error}", file=sys.stderr)


def _print(reports: "list[Report]", pages: list[Path], options: argparse.Namespace) -> None:
    from sweeps.report.formats import render_csv, render_json, render_table
    from sweeps.report.page import render_markdown

    top = options.top
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    renderers = {
        "html": lambda: "".join(f"{page}\n" for page in pages),
        "markdown": lambda: "\n".join(render_markdown(report, top=top) for report in reports),
        "json": lambda: render_json(reports),
        "csv": lambda: render_csv(reports, top),
        "table": lambda: render_table(reports, top, columns),
    }
    sys.stdout.write(renderers[options.format]())
    sys.stdout.flush()
    if options.format != "html":
        for page in pages:
            print(f"page: {page}", file=sys.stderr)


def _compare(reports: "list[Report]", options: argparse.Namespace) -> "Path | None":
    """Say how the sweeps compare and write the page of all side by side; return its path.

    Raises:
        ComparisonError: when they used different data.
    """
    from sweeps.report.comparison import build_comparison
    from sweeps.report.files import write_comparison
    from sweeps.report.sections.comparison import describe_standing

    if len(reports) < 2:
        return None
    comparison = build_comparison(reports)
    words_to = sys.stdout if options.format in ("table", "markdown") else sys.stderr
    print(f"\n{describe_standing(comparison)}", file=words_to)
    return write_comparison(comparison, options.out)


def _say(error: UserError, options: argparse.Namespace, name: str = "") -> int:
    """Print what is wrong, of a sweep where it is named; return the exit code."""
    if options.debug:
        traceback.print_exc()
    print(f"error: {f'{name}: ' if name and name not in str(error) else ''}{error}", file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    run_command(main)

"""Find images whose labels are probably wrong, with the models of a sweep that did not train on them.

python -m sweeps.suspects SWEEP                                 a page of the most suspect labels
python -m sweeps.suspects SWEEP --write-skip skip.csv           and a list that data.skip takes

From another folder, run it by its path: python /path/to/project/sweeps/suspects.py.
"""

import sys
from pathlib import Path

if not __package__:  # run by its path: imports must start at the project, not here, where modules would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bddseg.errors import printable
from bddseg.words import count
from sweeps.cli import parsing
from sweeps.cli.completion import add_completion
from sweeps.cli.console import FINE, Parser, execute, run_command
from sweeps.notes import show_notes
from sweeps.paths import default_folder, program_name

if TYPE_CHECKING:
    from sweeps.review.labels import Review
    from sweeps.tracking.reader import Store

SHOWN = 10
"""Images that are printed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Review the labels of the given sweep; return the exit code."""
    options = build_parser().parse(arguments)
    show_notes()
    return execute(run, options)


def build_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog=program_name("sweeps/suspects.py", "python -m sweeps.suspects"),
        description="Rank the images of a sweep by how many of their pixels are probably labelled wrong.",
    )
    parser.add_argument("sweep", type=parsing.sweep_name, metavar="SWEEP", help="id of a sweep or a confirmation")
    parser.add_argument("--out", type=parsing.folder, default=default_folder("reports"), metavar="DIR",
                        help="where to write DIR/SWEEP-suspects/index.html (default: reports)")  # fmt: skip
    parser.add_argument("--write-skip", type=parsing.folder, metavar="FILE",
                        help="also write the most suspect images into a list that data.skip takes")  # fmt: skip
    parser.add_argument("--share", type=parsing.percent, default=0.05, metavar="PERCENT",
                        help="share of the images that --write-skip lists (default: 5)")  # fmt: skip
    parser.add_argument("--top", type=parsing.positive, default=4, metavar="N",
                        help="settings, or finalists, whose models review, the best first (default: 4)")  # fmt: skip
    parser.add_argument("--data", type=parsing.folder, metavar="DIR", help="where the sweep's data are now")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parsing.add_tracking_uri(parser)
    parser.add_argument("--no-upload", action="store_true",
                        help="do not record the review with the sweep, so that its report does not use it")  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    add_completion(parser, "sweeps/suspects.py")
    parsing.add_debug(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Review the labels, write the files and print the most suspect images."""
    from bddseg.device import resolve_device
    from sweeps.formatting import folder_name
    from sweeps.report.files import check_folder
    from sweeps.review.files import check_skip, write_skip
    from sweeps.review.labels import prepare_review, review_labels
    from sweeps.tracking.reader import Store
    from sweeps.tracking.uri import resolve_tracking_uri

    store = Store(resolve_tracking_uri(options.tracking_uri, default_folder("runs")))
    device = resolve_device(options.device)
    record = store.read_sweep(options.sweep)
    check_folder(options.out)
    if options.write_skip:
        check_skip(options.write_skip)
    reviewers, material = prepare_review(record, store, options.top, options.data)
    if not options.quiet:
        print(printable(reviewers.sentence()), file=sys.stderr)
        for note in reviewers.notes:
            print(printable(f"note: {note}"), file=sys.stderr)
    is_quiet = options.quiet or not sys.stderr.isatty()
    review = review_labels(record, reviewers, material, store, device, is_quiet=is_quiet)
    page = _write(review, options.out / f"{folder_name(record.sweep_id)}-suspects")
    if options.write_skip:
        skipped = review.reviewed.most_suspect(options.share)
        write_skip(options.write_skip, skipped)
        print(printable(f"{options.write_skip}: {count(len(skipped), 'image')} to skip"), file=sys.stderr)
    if not options.no_upload:
        _upload(store, record.run_id, page.parent)
    _print(review, page)
    return FINE


def _write(review: "Review", folder: Path) -> Path:
    from sweeps.review.files import write_review
    from sweeps.review.page import render_review

    written = datetime.now(UTC).isoformat(timespec="seconds")
    reviewers = review.reviewers
    page = render_review(review.reviewed, review.strips, reviewers.task, reviewers.sentence(), reviewers.notes, written)
    return write_review(folder, review.reviewed, page)


def _upload(store: "Store", run_id: str, folder: Path) -> None:
    """Record the review with the sweep; a failure is only printed."""
    from sweeps.errors import TrackingError
    from sweeps.storage.suspects import FOLDER
    from sweeps.tracking.report_upload import ReportUpload

    try:
        ReportUpload(store.tracking_uri).upload_folder(run_id, folder, FOLDER)
    except TrackingError as error:
        print(f"note: the review was not recorded with the sweep: {error}", file=sys.stderr)


def _print(review: "Review", page: Path) -> None:
    from sweeps.review.page import describe_suspects

    for suspect in review.reviewed.suspects[:SHOWN]:
        print(printable(f"{100 * suspect.score:5.1f} %  {suspect.name}  {suspect.reason}"))
    print(printable(describe_suspects(review.reviewed)))
    print(printable(f"page: {page}"), file=sys.stderr)


if __name__ == "__main__":
    run_command(main)

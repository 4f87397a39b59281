"""Look at a folder of images and masks before anything is trained: what is in it, what is wrong, what size to train at.

python -m sweeps.explore --data FOLDER                     # a page in explored/<dataset>
python -m sweeps.explore --data mine.yaml                  # a folder that a file of yours describes
python -m sweeps.explore --data FOLDER --check             # every fault in one table; exit code 1 if there is one
python -m sweeps.explore --write-dataset FOLDER > my.yaml  # a description drafted from a folder

From another folder, run it by its path: python /path/to/project/sweeps/explore.py.
"""

import sys
from pathlib import Path

if not __package__:  # run by its path: imports must start at the project, not here, where modules would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import argparse
from collections.abc import Sequence

from bddseg.errors import printable
from sweeps.cli import parsing
from sweeps.cli.completion import add_completion
from sweeps.cli.console import FINE, INCOMPLETE, Parser, execute, run_command
from sweeps.paths import default_folder, program_name


def main(arguments: Sequence[str] | None = None) -> int:
    """Explore the data; return the exit code."""
    return execute(run, build_parser().parse(arguments))


def build_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog=program_name("sweeps/explore.py", "python -m sweeps.explore"),
        description="Look at a folder of images and masks before anything is trained.",
        verbs={"page": "a page", "check": "--check", "write_dataset": "--write-dataset"},
    )
    parser.option(parser, "--data", verbs="page check", type=parsing.folder, metavar="PATH",
                        help="a folder, or a YAML file that describes one (default: BDD100K where it is found, "
                        "otherwise the embedded streets)")  # fmt: skip
    parser.option(parser, "--dataset", verbs="page check", type=parsing.some_text, metavar="NAME",
                        help="an entry of datasets.yaml, or of the file given as --data (bdd100k)")  # fmt: skip
    parser.option(parser, "--out", type=parsing.folder, verbs="page", metavar="DIR",
                  help="where to write index.html, explore.json, faults.csv, tables and figures "
                  "(default: explored/NAME)")  # fmt: skip
    parser.option(parser, "--check", action="store_true", default=False, verbs="check",
                  help="read every file, print every fault in one table, and exit with 1 if there is one")  # fmt: skip
    parser.option(parser, "--write-dataset", type=parsing.folder, verbs="write_dataset", metavar="DIR",
                  help="print a description of the folder, drafted from its files, that --data takes")  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    add_completion(parser, "sweeps/explore.py")
    parsing.add_debug(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Read all files once; write the page, or print the faults."""
    if options.verb == "write_dataset":
        from sweeps.planning.datasets_file import draft_dataset

        print(draft_dataset(options.write_dataset), end="")
        return FINE
    from sweeps.environment import cache_folder
    from sweeps.exploration.faults import find_faults
    from sweeps.exploration.reading import measure_samples
    from sweeps.exploration.source import open_folder
    from sweeps.exploration.survey import build_survey, training_size
    from sweeps.formatting import folder_name

    folder = open_folder(options.data, options.dataset, cache_folder())
    out = options.out or default_folder("explored") / folder_name(folder.description.name)
    if options.verb == "page":
        from sweeps.report.files import check_folder

        check_folder(out)
    if not options.quiet:
        for line in folder.catalog.summary():
            print(line, file=sys.stderr)
    is_shown = not options.quiet and sys.stderr.isatty()
    size_px = training_size()
    results = measure_samples(folder.samples, folder.description, size_px, progress=is_shown)
    survey = build_survey(folder, results, size_px)
    faults = find_faults(survey)
    if options.verb == "check":
        from sweeps.exploration.check import render_check

        print(render_check(faults, len(results)), end="")
        return INCOMPLETE if faults else FINE
    from sweeps.exploration.page import write_page

    print(printable(str(write_page(survey, faults, out))))
    return FINE


if __name__ == "__main__":
    run_command(main)

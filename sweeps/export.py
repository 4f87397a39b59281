"""Export a trained network to a file that runs without this project, checked against PyTorch.

python -m sweeps.export @champion --out exported
python -m sweeps.export MODEL --out exported --format onnx

From another folder, run it by its path: python /path/to/project/sweeps/export.py.
"""

import sys
from pathlib import Path

if not __package__:  # run by its path: imports must start at the project, not here, where modules would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import argparse
from collections.abc import Sequence

from bddseg.errors import ExportError, printable
from sweeps.cli import parsing
from sweeps.cli.completion import add_completion
from sweeps.cli.console import FINE, INCOMPLETE, MODEL_HELP, Parser, execute, make_folder, run_command
from sweeps.paths import EXPORT, default_folder, program_name

FORMATS = ("onnx", "torch")


def main(arguments: Sequence[str] | None = None) -> int:
    """Export the given network; return the exit code."""
    return execute(run, build_parser().parse(arguments))


def build_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog=program_name("sweeps/export.py", "python -m sweeps.export"),
        description="Export a network to ONNX and to torch.export, in fp32.",
    )
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "--out", type=parsing.path, required=True, metavar="DIR", help="where to write model.onnx and model.pt2"
    )
    parser.add_argument("--format", nargs="+", choices=FORMATS, default=list(FORMATS), metavar="KIND",
                        help="onnx, torch (default: both)")  # fmt: skip
    parsing.add_tracking_uri(parser)
    add_completion(parser, EXPORT)
    parsing.add_debug(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Write a file of each kind, print its path and its agreement with PyTorch; a failure does not stop the others."""
    from bddseg.checkpoint import load_checkpoint
    from bddseg.export import KINDS, export_model
    from bddseg.predictor import load_trained
    from sweeps.registry.weights import open_weights
    from sweeps.tracking.reader import Store
    from sweeps.tracking.uri import resolve_tracking_uri

    store = Store(resolve_tracking_uri(options.tracking_uri, default_folder("runs")))
    with open_weights(options.model, store) as path:
        best = load_checkpoint(path)
    trained = load_trained(best)
    make_folder(options.out)
    failed = 0
    for kind in dict.fromkeys(options.format):
        path = options.out / f"model.{KINDS[kind][0]}"
        try:
            agreement = export_model(trained, path, kind)
        except ExportError as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
            continue
        print(printable(str(path)))
        print(f"{kind}: {agreement.sentence()}", file=sys.stderr)
    return INCOMPLETE if failed else FINE


if __name__ == "__main__":
    run_command(main)

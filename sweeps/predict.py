"""Predict the classes of new images with a trained network and write them as pictures.

python -m sweeps.predict @champion street.jpg --out painted
python -m sweeps.predict MODEL FOLDER --out painted --pictures overlay mask labels

From another folder, run it by its path: python /path/to/project/sweeps/predict.py.
"""

import sys
from pathlib import Path

if not __package__:  # run by its path: imports must start at the project, not here, where modules would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import argparse
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from bddseg.data.folders import in_short, list_folder
from bddseg.data.image_io import SUFFIXES, has_image_name
from bddseg.errors import DataError, printable
from sweeps.cli import parsing
from sweeps.cli.completion import add_completion
from sweeps.cli.console import FINE, INCOMPLETE, MISUSE, MODEL_HELP, Parser, execute, make_folder, run_command
from sweeps.paths import PREDICT, default_folder, program_name

PICTURES = ("overlay", "mask", "labels")


@dataclass(frozen=True)
class InputImages:
    """Images of the command line, and those that cannot be used."""

    images: tuple[Path, ...]
    failures: tuple[DataError, ...]
    """Paths that are missing or hold no image, and names that occur twice."""
    skipped: tuple[str, ...]
    """Names in the folders that are no images."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict the given images; return the exit code."""
    return execute(run, build_parser().parse(arguments))


def build_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog=program_name("sweeps/predict.py", "python -m sweeps.predict"), description="Predict the classes of images."
    )
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="an image, or a folder of images")
    parser.add_argument("--out", type=parsing.path, required=True, metavar="DIR", help="where to write the pictures")
    parser.add_argument("--pictures", nargs="+", choices=PICTURES, default=["overlay", "mask"], metavar="KIND",
                        help="overlay: colours over the image; mask: class numbers with a palette; "
                        "labels: values of the dataset's masks (default: overlay mask)")  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parsing.add_tracking_uri(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    add_completion(parser, PREDICT)
    parsing.add_debug(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Predict the images and print the paths of the pictures; an image that fails does not stop the others."""
    inputs = find_images(options.images)
    if not inputs.images:
        _print_failures(inputs.failures)
        return MISUSE
    check_out(inputs.images, options.out)
    from tqdm import tqdm

    from bddseg.checkpoint import load_checkpoint
    from bddseg.device import resolve_device
    from bddseg.overlays import paint_images
    from bddseg.predictor import load_trained
    from sweeps.registry.weights import open_weights
    from sweeps.tracking.reader import Store
    from sweeps.tracking.uri import resolve_tracking_uri

    store = Store(resolve_tracking_uri(options.tracking_uri, default_folder("runs")))
    with open_weights(options.model, store) as path:
        trained = load_trained(load_checkpoint(path), resolve_device(options.device))
    make_folder(options.out)
    _print_failures(inputs.failures)
    if inputs.skipped and not options.quiet:
        print(printable(f"skipped, no images: {len(inputs.skipped)}: {in_short(inputs.skipped)}"), file=sys.stderr)
    failed, is_silent = len(inputs.failures), options.quiet or not sys.stderr.isatty()
    with tqdm(total=len(inputs.images), desc="painting", unit="image", file=sys.stderr, disable=is_silent) as bar:
        for painted in paint_images(trained, inputs.images, options.out, list(dict.fromkeys(options.pictures))):
            bar.update()
            failed += len(painted.failures)
            for failure in painted.failures:
                bar.write(f"error: {failure}", file=sys.stderr)
            for picture in painted.pictures:
                bar.write(printable(str(picture)), file=sys.stdout)
    return INCOMPLETE if failed else FINE


def _print_failures(failures: Sequence[DataError]) -> None:
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)


def find_images(paths: Sequence[Path]) -> InputImages:
    """Return the given images, and those in given folders, in the order of their numbers."""
    images: list[Path] = []
    failures: list[DataError] = []
    skipped: list[str] = []
    for path in paths:
        try:
            if path.is_dir():
                inside, not_images = _in_folder(path)
                images += inside
                skipped += not_images
            else:
                path.stat()
                images.append(path)
        except DataError as error:
            failures.append(error)
        except FileNotFoundError:
            failures.append(DataError(f"{path} is not there: give an image, or a folder of images"))
        except OSError as error:
            failures.append(DataError(f"{path} cannot be read: {error.strerror}"))
    distinct = {(os.path.realpath(image.parent), image.name): image for image in reversed(images)}
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for image in reversed(distinct.values()):
        by_stem[image.stem].append(image)
    failures += (_same_pictures(alike) for alike in by_stem.values() if len(alike) > 1)
    usable = tuple(image for image in reversed(distinct.values()) if len(by_stem[image.stem]) == 1)
    return InputImages(usable, tuple(failures), tuple(skipped))


def _same_pictures(paths: Sequence[Path]) -> DataError:
    names = " and ".join(map(str, paths[:2])) + (f" and {len(paths) - 2} more" if len(paths) > 2 else "")
    return DataError(f"{names} would be painted into the same files: paint them into two folders")


def _in_folder(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Return the images of a folder, and the names of its other files.

    Raises:
        DataError: when there is none, or the folder cannot be listed.
    """
    listing = list_folder(folder, has_image_name)
    if not listing.accepted:
        content = f"; in it: {in_short(listing.other_names)}" if listing.other_names else ""
        raise DataError(f"{folder} holds no image: none of its files ends in {', '.join(SUFFIXES)}{content}")
    return sorted(listing.accepted, key=_by_number), listing.other_names


def check_out(images: Sequence[Path], out: Path) -> None:
    """Refuse to write into a folder of input images.

    Raises:
        DataError: with the folder.
    """
    if os.path.lexists(out) and not os.path.isdir(out):  # noqa: PTH112 - Path's own raises where it may not look
        raise DataError(f"--out {out} is a file, but must be a folder")
    target = os.path.realpath(out)
    if inside := [path for path in images if target in _folders(path)]:
        raise DataError(f"--out {out} holds {inside[0].name}: choose another folder, so that no image is lost")


def _folders(path: Path) -> tuple[str, str]:
    """Return the folder of a path, and that of the file to which it links."""
    return os.path.realpath(path.parent), str(Path(os.path.realpath(path)).parent)


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Return a sort key that puts frame-9 before frame-10."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdigit() and part.isascii() else (-1, part) for part in parts]


if __name__ == "__main__":
    run_command(main)

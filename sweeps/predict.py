"""Paint new images with a trained network.

python -m sweeps.predict @champion street.jpg --out painted
python -m sweeps.predict MODEL FOLDER --out painted --pictures overlay mask labels

From another folder it is called by its path: python /path/to/project/sweeps/predict.py.
"""

import sys
from pathlib import Path

if not __package__:  # called by its path: imports start at the project, where this folder would hide Python's modules
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
from sweeps.cli.console import FINE, INCOMPLETE, MISUSE, MODEL_HELP, Parser, finish, make_folder, run_command
from sweeps.paths import ROOT

PICTURES = ("overlay", "mask", "labels")


@dataclass(frozen=True)
class InputImages:
    """What the command line names, as far as it can be used."""

    images: tuple[Path, ...]
    failures: tuple[DataError, ...]
    """What is not there, holds no image, or has the name of another."""
    others: tuple[str, ...]
    """What lies in the folders and is no image."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Paint the images that are named; return the exit code."""
    return finish(run, build_parser().parse_args(arguments))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(prog="python -m sweeps.predict", description="Paint the classes of street scenes over images.")
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", type=Path, help="an image, or a folder of images or frames"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write the pictures")
    parser.add_argument("--pictures", nargs="+", choices=PICTURES, default=["overlay", "mask"], metavar="KIND",
                        help="overlay: colours over the image; mask: class numbers with a palette; "
                        "labels: BDD100K's numbers (default: overlay mask)")  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--tracking-uri", metavar="URI",
                        help="MLflow's store (default: MLFLOW_TRACKING_URI, else the database in runs)")  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def run(options: argparse.Namespace) -> int:
    """Paint the images and print where; what fails is named, and the rest is done."""
    given = find_images(options.images)
    if not given.images:
        _name_all(given.failures)
        return MISUSE
    check_out(given.images, options.out)
    from tqdm import tqdm

    from bddseg.checkpoint import load_checkpoint
    from bddseg.device import resolve_device
    from bddseg.overlays import paint_images
    from bddseg.predictor import load_trained
    from sweeps.registry.weights import open_weights
    from sweeps.tracking.reader import Store
    from sweeps.tracking.uri import resolve_tracking_uri

    store = Store(resolve_tracking_uri(options.tracking_uri, ROOT / "runs"))
    with open_weights(options.model, store) as path:
        trained = load_trained(load_checkpoint(path), resolve_device(options.device))
    make_folder(options.out)
    _name_all(given.failures)
    if given.others and not options.quiet:
        words = f"not taken, for it is no image: {len(given.others)}: {in_short(given.others)}"
        print(printable(words), file=sys.stderr)
    failed, is_silent = len(given.failures), options.quiet or not sys.stderr.isatty()
    with tqdm(total=len(given.images), desc="painting", unit="image", file=sys.stderr, disable=is_silent) as bar:
        for painted in paint_images(trained, given.images, options.out, list(dict.fromkeys(options.pictures))):
            bar.update()
            failed += len(painted.failures)
            for failure in painted.failures:
                bar.write(f"error: {failure}", file=sys.stderr)
            for picture in painted.pictures:
                bar.write(printable(str(picture)), file=sys.stdout)
    return INCOMPLETE if failed else FINE


def _name_all(failures: Sequence[DataError]) -> None:
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)


def find_images(places: Sequence[Path]) -> InputImages:
    """Return the images: a file as it is, of a folder the images in it, in the order of their numbers."""
    images: list[Path] = []
    failures: list[DataError] = []
    others: list[str] = []
    for place in places:
        try:
            if place.is_dir():
                inside, beside = _in_folder(place)
                images += inside
                others += beside
            else:
                place.stat()
                images.append(place)
        except DataError as error:
            failures.append(error)
        except FileNotFoundError:
            failures.append(DataError(f"{place} is not there: give an image, or a folder of images"))
        except OSError as error:
            failures.append(DataError(f"{place} cannot be read: {error.strerror}"))
    distinct = {(os.path.realpath(path.parent), path.name): path for path in reversed(images)}
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for path in reversed(distinct.values()):
        by_stem[path.stem].append(path)
    failures += (_same_pictures(paths) for paths in by_stem.values() if len(paths) > 1)
    usable = tuple(path for path in reversed(distinct.values()) if len(by_stem[path.stem]) == 1)
    return InputImages(usable, tuple(failures), tuple(others))


def _same_pictures(paths: Sequence[Path]) -> DataError:
    names = " and ".join(map(str, paths[:2])) + (f" and {len(paths) - 2} more" if len(paths) > 2 else "")
    return DataError(f"{names} would be painted into the same files: paint them into two folders")


def _in_folder(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Return the images of a folder, and the names of what else is there.

    Raises:
        DataError: when there is none, or the folder cannot be listed.
    """
    listing = list_folder(folder, has_image_name)
    if not listing.accepted:
        there = f"; in it: {in_short(listing.other_names)}" if listing.other_names else ""
        raise DataError(f"{folder} holds no image: none of its files ends in {', '.join(SUFFIXES)}{there}")
    return sorted(listing.accepted, key=_by_number), listing.other_names


def check_out(images: Sequence[Path], out: Path) -> None:
    """Refuse to write where images lie.

    Raises:
        DataError: with the place.
    """
    if os.path.lexists(out) and not os.path.isdir(out):  # noqa: PTH112 - Path's own raises where it may not look
        raise DataError(f"--out {out} is a file, but must be a folder")
    here = os.path.realpath(out)
    if beside := [path for path in images if here in _folders(path)]:
        raise DataError(f"--out {out} is where {beside[0].name} lies: choose another folder, so that no image is lost")


def _folders(path: Path) -> tuple[str, str]:
    """Return the folder of a name, and that of the file to which it leads."""
    return os.path.realpath(path.parent), str(Path(os.path.realpath(path)).parent)


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Return a key that puts frame-9 before frame-10."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdigit() and part.isascii() else (-1, part) for part in parts]


if __name__ == "__main__":
    run_command(main)

"""Paint new images with a trained network.

python -m sweeps.predict @champion street.jpg --out painted
python -m sweeps.predict MODEL FOLDER --out painted --pictures overlay mask labels
"""

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bddseg.errors import DataError
from sweeps.console import FINE, MISUSE, Parser, finish

ROOT = Path(__file__).resolve().parent.parent
MODEL_HELP = "@champion, NAME@ALIAS, models:/NAME/VERSION, the id of a run, or a file or folder"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""What counts as an image in a folder; a file that is named by itself may end as it likes."""

PICTURES = ("overlay", "mask", "labels")


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
    """Paint the images and print where; an image that cannot be read is named, and the others are painted."""
    images = find_images(options.images)
    check_names(images, options.out)
    from tqdm import tqdm

    from bddseg.checkpoint import load_checkpoint
    from bddseg.device import resolve_device
    from bddseg.painting import paint_images
    from bddseg.trained import load_trained
    from sweeps.address import resolve_tracking_uri
    from sweeps.store import Store
    from sweeps.winner.weights import open_weights

    store = Store(resolve_tracking_uri(options.tracking_uri, ROOT / "runs"))
    with open_weights(options.model, store) as path:
        trained = load_trained(load_checkpoint(path), resolve_device(options.device))
    make_folder(options.out)
    bad, is_silent = 0, options.quiet or not sys.stderr.isatty()
    with tqdm(total=len(images), desc="painting", unit="image", file=sys.stderr, disable=is_silent) as bar:
        for _, found in paint_images(trained, images, options.out, list(dict.fromkeys(options.pictures))):
            bar.update()
            if isinstance(found, DataError):
                bad += 1
                bar.write(f"error: {found}", file=sys.stderr)
            else:
                bar.write("\n".join(map(str, found)), file=sys.stdout)
    return MISUSE if bad else FINE


def find_images(places: Sequence[Path]) -> list[Path]:
    """Return the images: a file as it is, of a folder the images in it, in the order of their numbers.

    Raises:
        DataError: for a place that is not there, or a folder without an image.
    """
    found: list[Path] = []
    for place in places:
        if not place.is_dir():
            found.append(place)
            continue
        inside = [path for path in place.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
        if not inside:
            raise DataError(f"{place} holds no image: none of its files ends in {', '.join(SUFFIXES)}")
        found += sorted(inside, key=_by_number)
    if missing := [path for path in found if not path.exists()]:
        raise DataError(f"{missing[0]} is not there: give an image, or a folder of images")
    return list(dict.fromkeys(found))


def check_names(images: Sequence[Path], out: Path) -> None:
    """Refuse to write where images lie, and two images whose pictures would have one name.

    Raises:
        DataError: with both places.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"--out {out} is a file, but must be a folder")
    here = out.resolve()
    if beside := [path for path in images if here in (path.resolve().parent, path.parent.resolve())]:
        raise DataError(f"--out {out} is where {beside[0].name} lies: choose another folder, so that no image is lost")
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        by_stem[path.stem].append(path)
    if twice := [paths for paths in by_stem.values() if len(paths) > 1]:
        first, second = twice[0][:2]
        raise DataError(f"{first} and {second} would be painted into the same files: paint them into two folders")


def make_folder(out: Path) -> None:
    """Make the folder where there is none.

    Raises:
        DataError: when that is not possible.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--out {out} cannot be made: {error.strerror}; choose another folder") from error


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Return a key that puts frame-9 before frame-10."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdigit() and part.isascii() else (-1, part) for part in parts]


if __name__ == "__main__":
    sys.exit(main())

"""Street scenes at a camera's full size, as JPEG and PNG in BDD100K's layout, the same on every machine."""

import json
import os
import shutil
from pathlib import Path

from filelock import FileLock

from bddseg.data.bdd100k import IMAGES, MASKS
from bddseg.data.catalog import Sample, read_catalog
from bddseg.data.det_files import DETS
from bddseg.data.streets.dataset import VERSION, write_streets

WIDTH_PX, HEIGHT_PX = 1280, 720
SEED = 11


def scenes_folder(cache: Path, images: int, *, width: int = WIDTH_PX, height: int = HEIGHT_PX) -> Path:
    """Return a folder with scenes, which are generated if it does not exist.

    Their names contain no drive, so that a split meets its fractions exactly.
    """
    root = scenes_path(cache, images, width, height)
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f".{root.name}.lock"):
        if not root.exists():
            _write(root, images, (width, height))
    return root


def scenes_path(cache: Path, images: int, width: int, height: int) -> Path:
    """Return where `scenes_folder` puts its scenes."""
    return cache / f"benchmark-scenes-{images}-{width}x{height}-v{VERSION}"


def _write(root: Path, images: int, size: tuple[int, int]) -> None:
    drawn, part = (root.with_name(f".{root.name}-{os.getpid()}-{name}") for name in ("drawn", "part"))
    try:
        write_streets(drawn, images=images, seed=SEED, width=size[0], height=size[1])
        entries = [_move(sample, part, number) for number, sample in enumerate(read_catalog(drawn).samples)]
        (part / DETS).mkdir(parents=True)
        (part / DETS / "det_train.json").write_text(json.dumps(entries))
        part.rename(root)
    finally:
        shutil.rmtree(drawn, ignore_errors=True)
        shutil.rmtree(part, ignore_errors=True)


def _move(sample: Sample, root: Path, number: int) -> dict[str, object]:
    """Move the two files of a scene to where they belong and return its entry of the det file."""
    name = f"scene-{number:04d}"
    for source, folder in ((sample.image, IMAGES), (sample.mask, MASKS)):
        target = root / folder / "train" / f"{name}{source.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
    attributes = dict(sample.attributes)
    return {"name": f"{name}.jpg", "attributes": attributes}

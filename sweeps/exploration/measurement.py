"""One image and its mask -> numbers: counts, regions, what smaller sizes lose, colours, a hash."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import imagehash
import numpy as np
from PIL import Image

from bddseg.data.catalog import Sample
from bddseg.data.description import Description
from bddseg.data.image_io import read_mask, read_picture, shrink
from bddseg.data.mask_values import decode_labels
from bddseg.errors import DataError, printable
from bddseg.task import IGNORE
from sweeps.exploration.regions import Regions, find_regions, survives_opening

SIZES_PX = (512, 256, 128, 64, 32)
"""Sides of the squares to which a mask is reduced, to see what that loses."""

GRID_PX = 64
"""Side of the coarse mask that is kept of each image: for heat maps and comparisons; one of SIZES_PX."""

SIZE_BINS = 25
"""Sizes of regions are counted by powers of two, up to 2^24 pixels."""


@dataclass(frozen=True)
class Damage:
    """A pair of files that cannot be used, and why."""

    name: str
    kind: str
    reason: str


@dataclass(frozen=True, eq=False)
class Measurement:
    """What one image and its mask hold, in a few kilobytes.

    Shape:
        pixels: (C + 1,), per class, the ignored ones last.  regions, opened_px: (C,).  region_sizes: (C, SIZE_BINS).
        shared_px, restored_px, regions_lost: (S, C).  grid: (GRID_PX, GRID_PX), uint8.
        sums, squares: (3,), of the levels 0..255 of the shrunken image.
    """

    name: str
    size: tuple[int, int]
    """Width and height in pixels."""
    stored_as: str
    """Suffix of the image, and the mode of its mask."""
    orientation: int
    pixels: np.ndarray
    regions: np.ndarray
    region_sizes: np.ndarray
    opened_px: np.ndarray
    """Pixels of each class that an opening removes."""
    shared_px: np.ndarray
    """Pixels that have their class again after reduction to a size and enlargement."""
    restored_px: np.ndarray
    """Labelled pixels of each class after that."""
    regions_lost: np.ndarray
    """Regions without a pixel at a size."""
    grid: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    brightness: float
    """Mean of the shrunken image in grey, from 0 to 1."""
    contrast: float
    """Standard deviation of the shrunken image in grey."""
    hash: int
    """Perceptual hash, 64 bits."""


def measure(sample: Sample, description: Description, size_px: int) -> Measurement:
    """Return the numbers of one sample; every byte of both files is decoded.

    Args:
        sample: the files.
        description: what the mask means.
        size_px: side of the frames that training uses; colours are those of such a frame.

    Raises:
        DataError: naming the unusable file and why, as building frames would.
    """
    picture = read_picture(sample.image)
    mask = read_mask(sample.mask, picture.orientation)
    values = decode_labels(mask, sample.mask, description)
    height, width = values.shape
    if (width, height) != picture.image.size:
        image_size = "x".join(map(str, picture.image.size))
        raise DataError(
            f"{sample.mask} is {width}x{height} pixels, but must be {image_size} like its image {sample.image}"
        )
    counts = np.array(Image.fromarray(values).histogram())
    classes = len(description.classes)
    regions = find_regions(values)
    frame = np.asarray(shrink(picture.image, size_px))
    grey = np.asarray(Image.fromarray(frame).convert("L")) / 255
    levels = frame.reshape(-1, 3).astype(np.int64)
    return Measurement(
        name=sample.name,
        size=(width, height),
        stored_as=f"{sample.image.suffix.lower()} with {mask.mode} mask",
        orientation=picture.orientation,
        pixels=np.append(counts[:classes], counts[IGNORE]),
        **_measure_regions(regions, values, classes),
        **_measure_sizes(values, counts[:classes], regions),
        grid=values[_sampled(width, height, GRID_PX)],
        sums=levels.sum(0),
        squares=(levels**2).sum(0),
        brightness=float(grey.mean()),
        contrast=float(grey.std()),
        hash=_hash(frame),
    )


def _hash(frame: np.ndarray) -> int:
    """Return the perceptual hash of a frame as one number."""
    bits = imagehash.phash(Image.fromarray(frame)).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _measure_regions(regions: Regions, values: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """Return the number and sizes of the regions of each class, and the pixels that an opening removes."""
    is_class = regions.values < classes
    owners = regions.values[is_class].astype(np.int64)
    bins = np.log2(regions.sizes_px[is_class]).astype(np.int64).clip(0, SIZE_BINS - 1)
    sizes = np.bincount(owners * SIZE_BINS + bins, minlength=classes * SIZE_BINS).reshape(classes, SIZE_BINS)
    removed = values.ravel()[np.flatnonzero(~survives_opening(values))]
    removed_px = np.bincount(removed, minlength=256)[:classes]
    return {"regions": sizes.sum(1), "region_sizes": sizes, "opened_px": removed_px}


def _measure_sizes(values: np.ndarray, pixels: np.ndarray, regions: Regions) -> dict[str, np.ndarray]:
    """Return what is left of a mask at each size, enlarged again, and the regions that no pixel shows there.

    Ignored pixels of the mask count nowhere, as in every metric.
    """
    height, width = values.shape
    classes, flat = len(pixels), values.ravel()
    total = np.bincount(regions.values, minlength=256)[:classes]
    shared, restored, lost = [], [], []
    for size in SIZES_PX:
        sampled = _sampled(width, height, size)
        rows, columns = _enlarged(width, height, size)
        enlarged = values[sampled][:, columns][rows].ravel()
        wrong = np.flatnonzero((enlarged != flat) & (flat != IGNORE))
        wrong_px, new_px = (np.bincount(side[wrong], minlength=256)[:classes] for side in (flat, enlarged))
        shared.append(pixels - wrong_px)
        restored.append(pixels - wrong_px + new_px)
        is_shown = np.zeros(len(regions.values), dtype=bool)
        is_shown[regions.region_of_run[regions.runs[sampled]]] = True
        lost.append(total - np.bincount(regions.values[is_shown], minlength=256)[:classes])
    return {"shared_px": np.array(shared), "restored_px": np.array(restored), "regions_lost": np.array(lost)}


@lru_cache(maxsize=64)
def _sampled(width: int, height: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns that Pillow's NEAREST takes for a square of this size, as an open grid."""
    return _nearest(height, size)[:, None], _nearest(width, size)[None]


@lru_cache(maxsize=64)
def _enlarged(width: int, height: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and the column of a square that each row and column of the enlarged mask repeats."""
    return _nearest(size, height), _nearest(size, width)


def _nearest(source: int, target: int) -> np.ndarray:
    """Return the position that NEAREST takes for each of `target` pixels, as Pillow itself resizes them."""
    positions = Image.fromarray(np.arange(source, dtype=np.int32)[None])
    return np.asarray(positions.resize((target, 1), Image.Resampling.NEAREST))[0]


def measure_all(samples: Sequence[Sample], description: Description, size_px: int) -> list[Measurement | Damage]:
    """Return the numbers of several samples, or why one cannot be used."""
    return [_try(sample, description, size_px) for sample in samples]


def _try(sample: Sample, description: Description, size_px: int) -> Measurement | Damage:
    try:
        return measure(sample, description, size_px)
    except DataError as error:
        return Damage(sample.name, _kind_of(error, sample), str(error))
    except MemoryError:
        return Damage(sample.name, "unreadable", f"{sample.image} cannot be decoded: not enough memory")


def _kind_of(error: DataError, sample: Sample) -> str:
    """Return the kind of a fault from its message, in which the names of files say nothing."""
    text = str(error)
    for path in (sample.image, sample.mask):
        text = text.replace(printable(str(path)), "")
    if "pixels, but must be" in text:
        return "sizes differ"
    return "unknown values" if "has the unknown" in text else "unreadable"

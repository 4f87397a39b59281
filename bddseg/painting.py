"""Predicted classes -> pictures: colours over the image, a mask in the palette's colours, BDD100K's own numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bddseg.errors import DataError
from bddseg.files import replacing
from bddseg.images import read_picture, shrink
from bddseg.labels import BDD_CLASSES, CLASSES, IGNORE, PALETTE
from bddseg.trained import Trained

OPACITY = 0.5
"""Of the colours over the image."""

BATCH = 8
"""Images predicted at once; they are held at their full size meanwhile."""

Paint = Callable[[Image.Image, np.ndarray], Image.Image]


def paint_images(
    trained: Trained, images: Sequence[Path], out: Path, kinds: Sequence[str]
) -> Iterator[tuple[Path, list[Path] | DataError]]:
    """Predict and paint images; yield each with the pictures of it that were written, or why it cannot be read.

    A picture has the size of its image and appears whole; one of an earlier time is replaced.

    Raises:
        DataError: when a picture cannot be written.
    """
    for start in range(0, len(images), BATCH):
        read = [(path, _read(path)) for path in images[start : start + BATCH]]
        good = {path: image for path, image in read if isinstance(image, Image.Image)}
        classes = dict(zip(good, _predict(trained, list(good.values())), strict=True))
        for path, image in read:
            if isinstance(image, DataError):
                yield path, image
            else:
                yield path, [_save(kind, image, classes[path], out, path.stem) for kind in kinds]


def file_name(stem: str, kind: str) -> str:
    """Return the name of a picture of an image."""
    return f"{stem}.{PICTURES[kind][0]}"


def paint_overlay(image: Image.Image, classes: np.ndarray) -> Image.Image:
    """Return the image with the colour of each pixel's class over it."""
    return Image.blend(image, paint_mask(image, classes).convert("RGB"), OPACITY)


def paint_mask(image: Image.Image, classes: np.ndarray) -> Image.Image:
    """Return the classes as an image with a palette: its values are the classes, its colours those of all pictures."""
    mask = _fitted(classes, image)
    mask.putpalette([value for colour in PALETTE for value in colour])
    return mask


def paint_labels(image: Image.Image, classes: np.ndarray) -> Image.Image:
    """Return the classes in the numbers that BDD100K masks have, in grey."""
    table = np.full(256, IGNORE, dtype=np.uint8)
    table[: len(CLASSES)] = [BDD_CLASSES.index(name) for name in CLASSES]
    return Image.fromarray(table[np.asarray(_fitted(classes, image))])


PICTURES: Mapping[str, tuple[str, Paint]] = {
    "overlay": ("overlay.jpg", paint_overlay),
    "mask": ("mask.png", paint_mask),
    "labels": ("labels.png", paint_labels),
}
"""Kind of picture -> how its file's name ends, and what paints it."""

FORMATS = {".jpg": ("JPEG", {"quality": 92}), ".png": ("PNG", {})}


def _read(path: Path) -> Image.Image | DataError:
    """Return the image upright, in RGB."""
    try:
        return read_picture(path).image
    except DataError as error:
        return error


def _predict(trained: Trained, images: Sequence[Image.Image]) -> np.ndarray:
    """Return the classes of every image, at the size that the network sees.

    Shape:
        returns: (N, size, size), int64.
    """
    size_px = trained.config.data.size
    if not images:
        return np.empty((0, size_px, size_px), dtype=np.int64)
    return trained.predict(np.stack([np.asarray(shrink(image, size_px)) for image in images]))


def _fitted(classes: np.ndarray, image: Image.Image) -> Image.Image:
    """Return predicted classes at the size of their image, in grey: each pixel takes the nearest one's."""
    return Image.fromarray(classes.astype(np.uint8)).resize(image.size, Image.Resampling.NEAREST)


def _save(kind: str, image: Image.Image, classes: np.ndarray, out: Path, stem: str) -> Path:
    path = out / file_name(stem, kind)
    form, options = FORMATS[path.suffix]
    picture = PICTURES[kind][1](image, classes)
    try:
        with replacing(path) as file:
            picture.save(file, format=form, **options)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}; choose another --out") from error
    return path

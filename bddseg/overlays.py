"""Pictures of predictions: colours over the image, a mask with a palette, or a mask with the dataset's values."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bddseg.data.image_io import read_picture, shrink
from bddseg.errors import DataError
from bddseg.files import replacing
from bddseg.predictor import Predictor
from bddseg.task import IGNORE, Task
from bddseg.upsampling import enlarge_classes

OPACITY = 0.5
"""Opacity of the colours over the image."""

BATCH = 8
"""Largest number of images predicted at once; they stay in memory at full size."""

PIXELS = 32_000_000
"""A batch ends as soon as its images have so many pixels: 96 MB."""

Paint = Callable[[Image.Image, np.ndarray, Task], Image.Image]


@dataclass(frozen=True)
class Painted:
    """The pictures of one image, or the reasons for missing ones."""

    image: Path
    pictures: tuple[Path, ...]
    """The written files."""
    failures: tuple[DataError, ...]
    """Why the image cannot be read, or a picture cannot be written."""


@dataclass(frozen=True)
class _Canvas:
    """Where pictures are written, of which kinds, in whose colours."""

    out: Path
    kinds: Sequence[str]
    task: Task


def paint_images(trained: Predictor, images: Sequence[Path], out: Path, kinds: Sequence[str]) -> Iterator[Painted]:
    """Predict and paint images; yield the result of each. A failed image does not prevent the next.

    A picture has the size of its image and is written atomically; an existing one is replaced.

    Args:
        trained: the network.
        images: paths of the images.
        out: an existing folder for the pictures.
        kinds: keys of PICTURES.
    """
    for batch in _batches(images):
        good = {path: image for path, image in batch if isinstance(image, Image.Image)}
        scores = dict(zip(good, score_images(trained, list(good.values())), strict=True))
        for path, image in batch:
            if isinstance(image, DataError):
                yield Painted(path, (), (image,))
            else:
                yield _painted(path, image, scores[path], _Canvas(out, kinds, trained.task))


def file_name(stem: str, kind: str) -> str:
    """Return the file name of a picture."""
    return f"{stem}.{PICTURES[kind][0]}"


def paint_overlay(image: Image.Image, classes: np.ndarray, task: Task) -> Image.Image:
    """Return the image blended with the colour of each pixel's class."""
    return Image.blend(image, paint_mask(image, classes, task).convert("RGB"), OPACITY)


def paint_mask(_: Image.Image, classes: np.ndarray, task: Task) -> Image.Image:
    """Return the classes as a palette image: its values are the classes."""
    mask = Image.fromarray(classes)
    mask.putpalette([value for colour in task.palette for value in colour])
    return mask


def paint_labels(_: Image.Image, classes: np.ndarray, task: Task) -> Image.Image:
    """Return the classes as a grey image with the values of the dataset's masks, or their numbers without values."""
    table = np.full(256, IGNORE, dtype=np.uint8)
    table[: len(task.classes)] = task.values or range(len(task.classes))
    return Image.fromarray(table[classes])


PICTURES: Mapping[str, tuple[str, Paint]] = {
    "overlay": ("overlay.jpg", paint_overlay),
    "mask": ("mask.png", paint_mask),
    "labels": ("labels.png", paint_labels),
}
"""Kind of picture -> its file suffix and its painter."""

FORMATS = {".jpg": ("JPEG", {"quality": 92}), ".png": ("PNG", {})}


def _batches(images: Sequence[Path]) -> Iterator[list[tuple[Path, Image.Image | DataError]]]:
    """Yield batches of images, each with its path; an error stands for an unreadable image."""
    batch: list[tuple[Path, Image.Image | DataError]] = []
    pixels = 0
    for path in images:
        image = _read(path)
        batch.append((path, image))
        pixels += image.width * image.height if isinstance(image, Image.Image) else 0
        if len(batch) == BATCH or pixels >= PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _read(path: Path) -> Image.Image | DataError:
    """Return the upright image in RGB, or the error."""
    try:
        return read_picture(path).image
    except DataError as error:
        return error


def score_images(trained: Predictor, images: Sequence[Image.Image]) -> np.ndarray:
    """Return the scores of every class at the network's input size.

    Shape:
        returns: (N, C, size, size), float32.
    """
    size_px = trained.config.data.size
    if not images:
        return np.empty((0, len(trained.task.classes), size_px, size_px), dtype=np.float32)
    pixels = np.stack([np.asarray(shrink(image, size_px)) for image in images])
    return trained.score(pixels).float().cpu().numpy()


def _painted(path: Path, image: Image.Image, scores: np.ndarray, canvas: _Canvas) -> Painted:
    try:
        classes = enlarge_classes(scores, *image.size)
    except MemoryError:
        return Painted(path, (), (DataError(f"{path} cannot be painted: not enough memory"),))
    saved = [_save(kind, image, classes, canvas, path.stem) for kind in canvas.kinds]
    return Painted(
        path,
        tuple(picture for picture in saved if isinstance(picture, Path)),
        tuple(picture for picture in saved if isinstance(picture, DataError)),
    )


def _save(kind: str, image: Image.Image, classes: np.ndarray, canvas: _Canvas, stem: str) -> Path | DataError:
    """Return the path of a written picture, or the error."""
    path = canvas.out / file_name(stem, kind)
    form, options = FORMATS[path.suffix]
    try:
        with replacing(path) as file:
            PICTURES[kind][1](image, classes, canvas.task).save(file, format=form, **options)
    except MemoryError:
        return DataError(f"{path} cannot be written: not enough memory")
    except OSError as error:
        cure = "; choose another --out" if error.errno else f" ({image.width}x{image.height} pixels)"
        return DataError(f"{path} cannot be written: {error.strerror or error}{cure}")
    return path

"""Small pictures of images and masks, as `data:` addresses of the page."""

import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from bddseg.cores import usable_cores
from bddseg.data.image_io import read_picture
from bddseg.data.mask_values import read_labels
from bddseg.task import IGNORE
from sweeps.exploration.survey import Survey
from sweeps.report.sections.predictions import picture_source
from sweeps.storage.tiles import NOT_JUDGED, VERDICTS

LONGEST_PX = 320
"""Longer side of a picture."""

QUALITY = 78
IGNORED_COLOUR = VERDICTS[NOT_JUDGED]


@dataclass(frozen=True)
class PicturePair:
    """An image and its painted mask as `data:` addresses."""

    photograph: str
    mask: str
    summary: str
    """The classes of the mask with their shares, as text."""


def load_pictures(survey: Survey, positions: Iterable[int]) -> dict[int, PicturePair]:
    """Return the pictures of images by their positions."""
    wanted = sorted(set(positions))
    with ThreadPoolExecutor(usable_cores()) as pool:
        return dict(zip(wanted, pool.map(lambda position: load_pair(survey, position), wanted), strict=True))


def load_pair(survey: Survey, position: int, size_px: int = 0) -> PicturePair:
    """Return one image with its mask; with a size, as training sees them at that side."""
    row = survey.rows[position]
    sample = next(sample for sample in survey.folder.samples if sample.name == row.name)
    picture = read_picture(sample.image)
    values = read_labels(sample.mask, picture.orientation, survey.folder.description)
    width, height = _reduced(*row.size)
    target = (size_px, size_px) if size_px else (width, height)
    photograph = picture.image.resize(target, Image.Resampling.BILINEAR)
    mask = Image.fromarray(values).resize(target, Image.Resampling.NEAREST)
    if size_px:  # enlarged again, so that its pixels are seen
        photograph, mask = (side.resize((width, height), Image.Resampling.NEAREST) for side in (photograph, mask))
    return PicturePair(_jpeg(photograph), _painted(mask, survey), _summary(survey, position))


def _reduced(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, LONGEST_PX / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _jpeg(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return picture_source(buffer.getvalue(), "jpeg")


def _painted(mask: Image.Image, survey: Survey) -> str:
    colours = [label.colour for label in survey.folder.description.classes]
    values = np.asarray(mask)
    image = Image.fromarray(np.where(values == IGNORE, len(colours), values).astype(np.uint8))
    image.putpalette([level for colour in (*colours, IGNORED_COLOUR) for level in colour])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=9)
    return picture_source(buffer.getvalue())


def _summary(survey: Survey, position: int) -> str:
    pixels = survey.arrays["pixels"][position]
    shares = pixels / max(1, pixels.sum())
    names = (*survey.classes, "ignored")
    return ", ".join(
        f"{names[index]} {100 * shares[index]:.0f} %" for index in np.argsort(-shares) if shares[index] > 0
    )

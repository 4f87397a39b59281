"""An image file -> RGB pixels, and the pixels as a network sees them; the same for training and for new images."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from bddseg.errors import DataError

# What Pillow raises for damaged files; broken PNG chunks come as SyntaxError or struct.error.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Give an image for as long as the context lasts; it is decoded there.

    Raises:
        DataError: naming the file that cannot be read and why.
    """
    try:
        with Image.open(path) as image:
            yield image
    except UnidentifiedImageError as error:
        raise DataError(f"{path} cannot be read: it is no image") from error
    except _UNREADABLE as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read: {why}") from error


def shrink(image: Image.Image, size_px: int) -> Image.Image:
    """Return the image in RGB, resized to a square, whatever its shape was."""
    colour = image if image.mode == "RGB" else image.convert("RGB")  # convert would copy what is RGB already
    return colour.resize((size_px, size_px), Image.Resampling.BILINEAR)

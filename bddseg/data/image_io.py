"""Reads image files as upright RGB pixels and resizes them, identically for training and inference.

Every picture of the project is read here, so that there is one rule for each of these:

format        JPEG, PNG, WebP, BMP or TIFF, by content. Other decoders are never used: some start programs.
orientation   a picture is rotated by its EXIF entry, a mask stays as saved or is rotated with its picture.
depth         16 bits are scaled to 8; 32-bit integers and floats have no known range and are refused.
transparency  transparent pixels are composited over black.
size          a header that claims more than LARGEST_PIXELS is refused before anything is decoded.
"""

import io
import struct
import threading
import unicodedata
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from PIL import Image, UnidentifiedImageError

from bddseg.errors import AccessError, DataError
from bddseg.files import read_file

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""Suffixes of image names, in upper case too."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
LOSSLESS = ("PNG", "BMP", "TIFF")
"""Formats of masks: a lossy format would change class numbers."""

LOSSLESS_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")

LARGEST_PIXELS = 178_956_970
"""Twice Pillow's limit: above it, Pillow refuses instead of warning."""

RESIZE = "Pillow's BILINEAR resize to a square: a triangle filter, antialiased, rounded to 8 bits after each direction"
"""Description of `shrink`, for users of an exported network."""

ORIENTATION = 0x0112
UPRIGHT = 1
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> the transposition that makes the picture upright. Source: Exif 3.0, table 7, tag 0112."""

BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0
"""Tags of TIFF, and the value of the second for which 0 is white."""

PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
"""The last chunk of every PNG file; Pillow does not check for it."""

PNG_DEPTH = 24
"""Position of the bits per sample in a PNG header. Pillow scales grey values of 2 or 4 bits to 8."""

_DAMAGED_EXIF = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, EOFError, struct.error
)  # fmt: skip
"""Raised by Pillow for a damaged EXIF entry."""


class _Silence:
    """Suppresses Pillow's warnings while any thread is in the context: filters apply to the whole process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\b")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.__exit__(None, None, None)


_SILENCE = _Silence()
"""Pillow warns of sizes, for which we have our own limit, and of damage, which decoding reports."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright image file."""

    image: Image.Image
    """Upright, in RGB."""
    orientation: int
    """EXIF orientation, from 1 to 8, that was undone; 1 if it was stored upright."""


def read_picture(path: Path) -> Picture:
    """Return an image file in RGB with 8 bits, upright.

    Raises:
        AccessError: when the system refuses to read the file.
        DataError: when its content is unusable. Both name the file and the reason.
    """
    image = _decode(path, _content(path), FORMATS)
    orientation = _orientation(image)
    try:
        return Picture(_turned(_in_rgb(image, path), orientation), orientation)
    except MemoryError as error:
        raise _no_memory(path) from error


def read_mask(path: Path, orientation: int | None) -> Image.Image:
    """Return a mask, in its saved mode, that fits a picture whose orientation was undone; None fits any picture.

    A mask without an orientation was drawn over the upright picture; one with its picture's orientation was stored
    rotated as the picture was, and is rotated with it.

    Raises:
        AccessError: when the system refuses to read the file.
        DataError: when its content is unusable, or its orientation differs from that of its picture.
    """
    content = _content(path)
    mask = _decode(path, content, LOSSLESS)
    own = _orientation(mask)
    if orientation is not None and own not in (UPRIGHT, orientation):
        raise DataError(
            f"{path} has the EXIF orientation {own} and its image {orientation}, so which way up it belongs is not "
            "known: store both upright"
        )
    if mask.format == "PNG" and mask.mode == "L" and content[PNG_DEPTH] < 8:
        raise DataError(f"{path} has {content[PNG_DEPTH]} bits of grey, but must have one channel of 8 bits (L or P)")
    return _turned(mask, own)


def shrink(image: Image.Image, size_px: int) -> Image.Image:
    """Return the image resized to a square, whatever its shape."""
    return image.resize((size_px, size_px), Image.Resampling.BILINEAR)


def has_image_name(name: str) -> bool:
    """Return whether a file name has a suffix of images and is not hidden."""
    return PurePath(name).suffix.lower() in SUFFIXES and not name.startswith(".")


def key_of(name: str) -> str:
    """Return the key that an image, its mask and its labels share: the name without the suffix of an image.

    In Unicode's composed form: macOS decomposes file names that label files have composed.
    """
    return unicodedata.normalize("NFC", PurePath(name).stem if PurePath(name).suffix.lower() in SUFFIXES else name)


def _content(path: Path) -> bytes:
    try:
        return read_file(path)
    except MemoryError as error:
        raise _no_memory(path) from error
    except OSError as error:
        raise AccessError(f"{path} cannot be read: {error.strerror or error}") from error


def _no_memory(path: Path) -> AccessError:
    return AccessError(f"{path} cannot be read: not enough memory")


def _decode(path: Path, content: bytes, formats: tuple[str, ...]) -> Image.Image:
    """Return the decoded image; any failure but lack of memory is a defect of the content, which was read before."""
    if not content:
        raise DataError(f"{path} cannot be read: it is empty")
    try:
        with _SILENCE:
            image = Image.open(io.BytesIO(content), formats=formats)
            image.load()
    except MemoryError as error:
        raise _no_memory(path) from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} cannot be read: it is no image in {', '.join(formats)}") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} cannot be read: its header claims more than {LARGEST_PIXELS:,} pixels") from error
    except Exception as error:  # Pillow's decoders raise nearly every type for damaged bytes: KeyError, struct.error
        raise DataError(f"{path} cannot be read: {error or type(error).__name__}") from error
    if image.format == "PNG" and PNG_END not in content[-len(content) // 2 :]:
        raise DataError(f"{path} cannot be read: image file is truncated (its end is missing)")
    return image


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation that is still to be undone; damaged EXIF counts as upright.

    It is read after decoding: PNG may have its entry behind the pixels, and Pillow rotates TIFF itself.
    """
    try:
        with _SILENCE:
            value = image.getexif().get(ORIENTATION, UPRIGHT)
    except _DAMAGED_EXIF:  # the picture itself is intact
        return UPRIGHT
    return value if value in TURNS else UPRIGHT


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _in_rgb(image: Image.Image, path: Path) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray(_in_8_bits(image)).convert("RGB")
    if image.mode in ("I", "F"):
        kind = "32-bit integers" if image.mode == "I" else "floats"
        raise DataError(f"{path} holds {kind}, whose range is not known: save it with 8 or 16 bits a channel")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "black"), image).convert("RGB")
    try:
        return image if image.mode == "RGB" else image.convert("RGB")
    except ValueError as error:  # LAB
        raise DataError(f"{path} has the mode {image.mode}, which cannot be made RGB: save it as RGB") from error


def _in_8_bits(image: Image.Image) -> np.ndarray:
    """Return grey of 16 bits, or of 12 in some TIFF files, scaled to 8: the largest value becomes 255.

    Shape:
        returns: (H, W), uint8
    """
    tags = getattr(image, "tag_v2", {})  # only TIFF has them
    bits = tags.get(BITS_PER_SAMPLE, (16,))[0]
    largest = 2**bits - 1
    levels = (np.arange(2**16) * 255 + largest // 2) // largest
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:  # Pillow inverts 8 bits of it, but not 16
        levels = 255 - levels
    return levels.clip(0, 255).astype(np.uint8)[np.asarray(image)]

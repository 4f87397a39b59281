"""Reading of pictures: one rule each for formats, depth, transparency and size."""

import contextlib
import os
import socket
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bddseg.data.image_io import FORMATS, LARGEST_PIXELS, read_mask, read_picture
from bddseg.errors import AccessError, DataError

SIZE = (96, 72)
LEVELS = np.arange(256, dtype=np.uint16).reshape(16, 16)


def noise(mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def written(folder: Path, image: Image.Image, name: str = "street.png", **options: object) -> Path:
    image.save(folder / name, **options)  # type: ignore[arg-type]
    return folder / name


def pixels(path: Path) -> np.ndarray:
    return np.asarray(read_picture(path).image)


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_picture(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK"])
def test_eight_bits_are_as_pillow_makes_them_rgb(tmp_path: Path, mode: str) -> None:
    image = noise(mode)
    path = written(tmp_path, image, "street.tif" if mode == "CMYK" else "street.png")
    assert np.array_equal(pixels(path), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("name", ["street.png", "street.tif"])
def test_sixteen_bits_become_eight_by_their_range(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, Image.fromarray(LEVELS * 257), name)
    assert np.array_equal(pixels(path), np.stack([LEVELS] * 3, axis=-1))


def test_sixteen_bits_of_colour_become_eight(tmp_path: Path) -> None:
    path = tmp_path / "street.png"
    path.write_bytes(png_of_16_bits(np.stack([LEVELS * 257] * 3, axis=-1)))
    assert np.array_equal(pixels(path), np.stack([LEVELS] * 3, axis=-1))


def png_of_16_bits(values: np.ndarray) -> bytes:
    """Return colours as a PNG file of 16 bits, which Pillow reads and does not write."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@pytest.mark.parametrize(("kind", "message"), [(np.int32, "32-bit integers"), (np.float32, "floats")])
def test_values_without_a_certain_range_are_refused(tmp_path: Path, kind: type, message: str) -> None:
    path = written(tmp_path, Image.fromarray((LEVELS / 255).astype(kind)), "street.tif")
    assert f"holds {message}, whose range is not known: save it with 8 or 16 bits" in refusal(path)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_opaque_pictures_lose_nothing(tmp_path: Path, mode: str) -> None:
    image = noise("RGBA") if mode == "RGBA" else noise("L").convert("LA")
    path = written(tmp_path, image, "street.png")
    assert np.array_equal(pixels(path), np.asarray(image.convert("RGB")))


def test_what_is_transparent_is_black(tmp_path: Path) -> None:
    image = Image.new("RGBA", (3, 1))
    for column, alpha in enumerate((255, 128, 0)):
        image.putpixel((column, 0), (200, 100, 50, alpha))
    assert pixels(written(tmp_path, image)).tolist() == [[[200, 100, 50], [100, 50, 25], [0, 0, 0]]]


def test_a_transparent_colour_of_a_palette_is_black(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([200, 100, 50, 10, 20, 30])
    image.putpixel((1, 0), 1)
    path = written(tmp_path, image, transparency=0)
    assert pixels(path).tolist() == [[[0, 0, 0], [10, 20, 30]]]


@pytest.mark.parametrize("name", ["street.jpg", "street.png", "street.webp", "street.bmp", "street.tif"])
def test_a_file_without_its_last_byte_is_refused(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, noise(), name)
    path.write_bytes(path.read_bytes()[:-1])
    assert "cannot be read" in refusal(path)


def test_a_progressive_jpeg_without_its_last_byte_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, noise(), "street.jpg", progressive=True)
    path.write_bytes(path.read_bytes()[:-1])
    assert "image file is truncated" in refusal(path)


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"a street\n", b"\xff\xd8"])
def test_what_is_no_image_is_refused_whatever_it_is_called(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "street.jpg"
    path.write_bytes(content)
    assert "cannot be read: " in refusal(path)


@pytest.mark.parametrize("form", ["GIF", "PPM", "TGA", "ICO", "PCX"])
def test_other_formats_are_not_decoded(tmp_path: Path, form: str) -> None:
    noise().convert("P").convert("RGB").save(tmp_path / "street.jpg", format=form)
    assert f"it is no image in {', '.join(FORMATS)}" in refusal(tmp_path / "street.jpg")


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "street.jpg").touch()
    assert refusal(tmp_path / "street.jpg").endswith("cannot be read: it is empty")


def test_a_header_of_a_gigantic_picture_is_refused_at_once(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path = tmp_path / "street.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    assert f"its header claims more than {LARGEST_PIXELS:,} pixels" in refusal(path)


def test_a_large_picture_below_the_limit_is_read_without_a_warning(tmp_path: Path) -> None:
    path = written(tmp_path, Image.new("1", (10_000, 9_000)), "street.png")  # Pillow warns from 89 million pixels on
    assert read_mask(path, 1).size == (10_000, 9_000)


def test_the_files_of_cameras_with_several_pictures_give_the_first(tmp_path: Path) -> None:
    path = tmp_path / "street.jpg"
    noise().save(path, format="MPO", save_all=True, append_images=[Image.new("RGB", SIZE)])
    assert pixels(path).mean() > 100


@pytest.mark.parametrize("name", ["street.jpg", "street.png", "street.tif", "street.webp"])
def test_a_picture_that_was_stored_on_its_side_is_upright_in_every_format(tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = written(tmp_path, Image.new("RGB", (40, 20)), name, exif=exif)
    assert read_picture(path).image.size == (20, 40)


def test_a_damaged_orientation_turns_nothing(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    path = written(tmp_path, noise(), "street.jpg", exif=exif)
    assert read_picture(path).orientation == 1
    path.write_bytes(path.read_bytes().replace(b"Exif\0\0MM", b"Exif\0\0XX").replace(b"Exif\0\0II", b"Exif\0\0XX"))
    assert read_picture(path).image.size == SIZE


def test_a_mask_of_a_lossy_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "street.png"
    noise("L").save(path, format="JPEG")
    with pytest.raises(DataError, match="it is no image in PNG, BMP, TIFF"):
        read_mask(path, 1)


def test_a_mask_with_few_bits_of_grey_is_refused(tmp_path: Path) -> None:
    rows = zlib.compress(b"\0\x01\x23")  # class numbers 0 to 3 in 4 bits each, which Pillow reads as 0, 17, 34, 51
    header = struct.pack(">IIBBBBB", 4, 1, 4, 0, 0, 0, 0)
    path = tmp_path / "street.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    with pytest.raises(DataError, match="has 4 bits of grey, but must have one channel of 8 bits"):
        read_mask(path, 1)


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    path = Path("street.jpg")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        socket.socket(socket.AF_UNIX).bind(str(path))
    with pytest.raises(AccessError, match=f"street.jpg cannot be read: it is a {kind}, but must be a file"):
        read_picture(path)


def test_names_may_be_anything(tmp_path: Path) -> None:
    for name in ("-street.jpg", "a street.jpg", "straße.jpg", os.fsdecode(b"stra\xdfe.jpg"), "a\nb.jpg", "[x]*?.jpg"):
        assert read_picture(written(tmp_path, noise(), name)).image.size == SIZE


@pytest.mark.parametrize("name", ["street.jpg", "street.png", "street.webp", "street.bmp", "street.tif"])
def test_damaged_bytes_are_refused_or_read(tmp_path: Path, name: str) -> None:
    content = written(tmp_path, noise(), name).read_bytes()
    dice = np.random.default_rng(3)
    for _ in range(40):
        damaged = np.frombuffer(content, dtype=np.uint8).copy()
        damaged[dice.integers(0, min(len(damaged), 400), 4)] = dice.integers(0, 256, 4)
        (tmp_path / name).write_bytes(damaged.tobytes())
        with contextlib.suppress(DataError):
            read_picture(tmp_path / name)


def with_cut_exif(folder: Path) -> Path:
    """Write a picture whose EXIF entry claims more fields than it has."""
    return written(folder, noise(), exif=b"MM\0*\0\0\0\x08\x7f\xff\x01\x0e\0\x02")


def test_what_pillow_warns_of_reaches_nobody(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    path = with_cut_exif(tmp_path)
    with pytest.warns(UserWarning, match="Corrupt EXIF data"), Image.open(path) as image:
        image.getexif()
    recwarn.clear()
    assert read_picture(path).image.size == SIZE
    assert list(recwarn) == []


def test_warnings_are_as_they_were_after_many_threads_have_read(tmp_path: Path) -> None:
    path, before = with_cut_exif(tmp_path), list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        assert {picture.image.size for picture in pool.map(read_picture, [path] * 200)} == {SIZE}
    assert list(warnings.filters) == before

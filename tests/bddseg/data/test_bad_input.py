"""Bad files in a folder of image and mask pairs: each is named, or read as it should be."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from descriptions import COLOURS, describe_pairs
from folders import SIZE, save_image, save_mask, write_pairs
from PIL import Image

from bddseg.data.catalog import read_catalog
from bddseg.data.description import Description
from bddseg.data.frames import Frames, build_frames
from bddseg.data.image_io import ORIENTATION
from bddseg.errors import AccessError, DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "data", "abc")


def build(root: Path, description: Description | None = None, *, on_bad_sample: str = "fail") -> Frames:
    description = description or describe_pairs()
    samples = read_catalog(root, description).samples
    return build_frames(samples, 8, root.parent / "cache", description=description, on_bad_sample=on_bad_sample)


def refusal(root: Path, description: Description | None = None) -> str:
    with pytest.raises(DataError) as caught:
        build(root, description)
    assert "\n" not in str(caught.value)
    return str(caught.value).removesuffix("; mend it, or leave it out with --on-bad-sample skip")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def cut_progressive(path: Path) -> None:
    with Image.open(path) as image:
        image.save(path, "JPEG", progressive=True)
    cut(path)


def write_gigantic(path: Path) -> None:
    """Write a PNG whose header claims a side of 100,000 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (cut, "truncated"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read: it is empty"),
    "text": (lambda path: path.write_text("hello"), "cannot be read: it is no image in"),
    "gigantic": (write_gigantic, "cannot be read: its header claims more than 178,956,970 pixels"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("file", ["images/b.jpg", "masks/b.png"])
def test_a_damaged_file_is_named(root: Path, file: str, fault: str) -> None:
    damage, message = FAULTS[fault]
    damage(root / file)
    assert str(root / file) in refusal(root) and message in refusal(root)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("file", ["images/b.jpg", "masks/b.png"])
def test_a_damaged_file_can_be_left_out_and_is_counted(root: Path, file: str, fault: str) -> None:
    FAULTS[fault][0](root / file)
    frames = build(root, on_bad_sample="skip")
    assert (frames.names, frames.skipped) == (("a", "c"), ("b",))


def test_a_progressive_jpeg_without_its_last_byte_is_named(root: Path) -> None:
    cut_progressive(root / "images/b.jpg")
    assert "image file is truncated" in refusal(root)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_an_image_of_another_mode_is_read_as_pillow_makes_it_rgb(root: Path, mode: str) -> None:
    with Image.open(root / "images/b.jpg") as file:
        image = file.convert(mode)
    (root / "images/b.jpg").unlink()
    path = root / ("images/b.tif" if mode == "CMYK" else "images/b.png")
    image.save(path)
    expected = Image.open(path).convert("RGB").resize((8, 8), Image.Resampling.BILINEAR)
    assert np.array_equal(build(root).images[1], np.asarray(expected))


def test_an_image_of_16_bits_is_scaled_to_8(root: Path) -> None:
    (root / "images/b.jpg").unlink()
    Image.fromarray(np.full(SIZE[::-1], 257 * 9, dtype=np.uint16)).save(root / "images/b.png")
    assert set(build(root).images[1].ravel().tolist()) == {9}


def test_a_jpeg_of_several_pictures_is_read_by_its_first(root: Path) -> None:
    with Image.open(root / "images/b.jpg") as file:
        first = file.copy()
    first.save(root / "images/b.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", SIZE)])
    with Image.open(root / "images/b.jpg") as file:
        expected = np.asarray(file.convert("RGB").resize((8, 8), Image.Resampling.BILINEAR))
    assert np.array_equal(build(root).images[1], expected)


@pytest.mark.parametrize(("mode", "name"), [("I;16", "16 bits"), ("LA", "transparency"), ("1", "1 bit")])
def test_a_mask_of_another_mode_is_named(root: Path, mode: str, name: str) -> None:
    Image.new(mode, SIZE).save(root / "masks/b.png")
    assert refusal(root) == f"{root}/masks/b.png has the mode {mode}, but must have one channel of 8 bits (L or P)"


def test_a_mask_of_4_bits_is_named(root: Path) -> None:
    Image.new("L", SIZE).save(root / "masks/b.png", bits=4)
    assert refusal(root) == f"{root}/masks/b.png has 4 bits of grey, but must have one channel of 8 bits (L or P)"


def test_a_lossy_mask_is_named(root: Path) -> None:
    (root / "masks/b.png").unlink()
    save_image(root / "masks/b.jpg")
    assert refusal(root).startswith(f"{root}/masks/b.jpg cannot be read: it is no image in PNG, BMP, TIFF")


@pytest.mark.parametrize("size", [(23, 16), (16, 24), (48, 32), (1, 1)])
def test_a_mask_of_another_size_is_named_with_its_image(root: Path, size: tuple[int, int]) -> None:
    save_mask(root / "masks/b.png", size=size)
    assert refusal(root) == (
        f"{root}/masks/b.png is {size[0]}x{size[1]} pixels, but must be 24x16 like its image {root}/images/b.jpg"
    )


def test_a_pair_of_one_pixel_is_read(root: Path) -> None:
    save_image(root / "images/b.jpg", size=(1, 1))
    save_mask(root / "masks/b.png", [1], size=(1, 1))
    assert set(build(root).masks[1].ravel().tolist()) == {1}


def test_values_outside_the_description_are_named_with_their_pixels(root: Path) -> None:
    save_mask(root / "masks/b.png", [0, 3])
    assert refusal(root) == (
        f"{root}/masks/b.png has the unknown value 3 (192 pixels), but must hold 0 to 1 and 255 only"
    )


def test_colours_outside_the_description_are_named_with_their_pixels(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "data", "ab", [[128, 64, 128], [0, 0, 1]])
    message = refusal(root, describe_pairs(classes=COLOURS))
    assert message.startswith(f"{root}/masks/a.png has the unknown colour (0, 0, 1) (192 pixels), but must hold the")


def test_an_image_that_was_stored_turned_fits_its_upright_mask(root: Path) -> None:
    upright = build(root).images[1]
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    with Image.open(root / "images/b.jpg") as file:
        stored = file.transpose(Image.Transpose.ROTATE_90)
    (root / "images/b.jpg").unlink()
    stored.save(root / "images/b.png", exif=exif)
    frames = build(root)
    assert frames.turned == 1 and np.array_equal(frames.images[1], upright)


def test_a_mask_that_does_not_fit_a_turned_image_is_named_with_the_turn(root: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    with Image.open(root / "images/b.jpg") as file:
        file.save(root / "images/b.jpg", exif=exif)
    assert refusal(root).endswith(f"like its image {root}/images/b.jpg, which EXIF orientation 6 turns")


@pytest.mark.parametrize("name", ["a b", "straße", "-a", "=a", "a.b", "[x]*?", "a\nb"])
def test_a_pair_may_have_any_name_that_is_text(tmp_path: Path, name: str) -> None:
    assert build(write_pairs(tmp_path / "data", [name])).names == (name,)


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "data", [os.fsdecode(b"stra\xdfe")])
    with pytest.raises(DataError, match="has a name that is not UTF-8, so nothing can be recorded of it: rename it"):
        read_catalog(root, describe_pairs())


@pytest.mark.parametrize("file", ["images/b.jpg", "masks/b.png"])
def test_a_link_to_nothing_is_refused_and_never_left_out(root: Path, file: str) -> None:
    (root / file).unlink()
    (root / file).symlink_to("nowhere")
    with pytest.raises(AccessError, match=f"{root / file} cannot be read: No such file or directory"):
        build(root, on_bad_sample="skip")


@pytest.mark.parametrize("file", ["images/b.jpg", "masks/b.png"])
def test_a_link_to_itself_is_refused_by_name(root: Path, file: str) -> None:
    (root / file).unlink()
    (root / file).symlink_to(Path(file).name)
    with pytest.raises(AccessError, match=f"{root / file} cannot be read: Too many levels of symbolic links"):
        build(root, on_bad_sample="skip")


@pytest.mark.parametrize("file", ["images/b.jpg", "masks/b.png"])
def test_a_pipe_does_not_block(root: Path, file: str) -> None:
    (root / file).unlink()
    os.mkfifo(root / file)
    with pytest.raises(AccessError, match=f"{root / file} cannot be read: it is a pipe, but must be a file"):
        build(root)

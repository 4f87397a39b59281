"""The frames: pixels as Pillow makes them, one cache for all readers, and bad samples named."""

import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from descriptions import COLOURS, describe_pairs
from folders import REAL_DATA, needs_real_data, write_folder, write_image, write_mask
from PIL import Image

from bddseg.data import frames as frames_room
from bddseg.data.bdd100k_labels import BDD100K, MASK_COLOURS
from bddseg.data.catalog import Sample, read_catalog
from bddseg.data.frames import Decoding, build_frames
from bddseg.data.image_io import ORIENTATION
from bddseg.errors import AccessError, ConfigError, DataError
from bddseg.task import IGNORE

NOBODY = 65534
"""The user whom Linux keeps for those without rights."""

STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""EXIF orientation -> how the pixels of an upright picture are stored with it."""

SCENES = {"a": "city street", "b": "highway", "c": "city street", "d": "residential"}


@pytest.fixture
def samples(tmp_path: Path) -> tuple[Sample, ...]:
    return read_catalog(write_folder(tmp_path / "data", SCENES)).samples


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def refusal(samples: tuple[Sample, ...], cache: Path) -> str:
    with pytest.raises(DataError) as caught:
        build_frames(samples, 8, cache)
    message = str(caught.value)
    assert "\n" not in message
    return message


def cache_folder(cache: Path) -> Path:
    (folder,) = (path for path in cache.iterdir() if path.is_dir())
    return folder


def write_turned(source: Path, turn: Image.Transpose, orientation: int, target: Path) -> None:
    """Write a picture as a camera held that way stores it, without loss."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    with Image.open(source) as image:
        image.transpose(turn).save(target, exif=exif)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the samples that are decoded from here on."""
    names: list[str] = []
    decode = frames_room._decode

    def noted(sample: Sample, decoding: frames_room.Decoding) -> frames_room.Decoded:
        names.append(sample.name)
        return decode(sample, decoding)

    monkeypatch.setattr(frames_room, "_decode", noted)
    return names


# --- what the arrays hold


def test_a_uniform_mask_becomes_its_task_class(tmp_path: Path, cache: Path) -> None:
    for name, label in (("a", 0), ("b", 13), ("c", 11), ("d", 255)):
        write_mask(write_folder(tmp_path, {}), name, label=label)
        write_image(tmp_path, name)
    paths = [(tmp_path / f"images/10k/train/{n}.jpg", tmp_path / f"labels/sem_seg/masks/train/{n}.png") for n in "abcd"]
    built = build_frames([Sample(i.stem, i, m) for i, m in paths], 4, cache)
    assert [set(mask.ravel().tolist()) for mask in built.masks] == [{0}, {4}, {IGNORE}, {IGNORE}]


def test_pixels_are_those_of_pillow(samples: tuple[Sample, ...], cache: Path) -> None:
    built = build_frames(samples, 8, cache)
    for index, sample in enumerate(samples):
        image = Image.open(sample.image).convert("RGB").resize((8, 8), Image.Resampling.BILINEAR)
        mask = Image.open(sample.mask).resize((8, 8), Image.Resampling.NEAREST)
        assert np.array_equal(built.images[index], np.asarray(image))
        assert np.array_equal(built.masks[index], BDD100K.remap_table()[np.asarray(mask)])


def test_shapes_types_and_attributes_follow_the_samples(samples: tuple[Sample, ...], cache: Path) -> None:
    built = build_frames(samples, 8, cache)
    assert (built.images.shape, built.masks.shape) == ((4, 8, 8, 3), (4, 8, 8))
    assert (built.images.dtype, built.masks.dtype, len(built), built.size_px) == (np.uint8, np.uint8, 4, 8)
    assert (built.names, built.scenes, built.skipped) == (tuple(SCENES), tuple(SCENES.values()), ())
    assert (built.attributes["weather"], built.attributes["timeofday"]) == (("clear",) * 4, ("daytime",) * 4)


def test_a_palette_mask_is_read_as_its_indices(tmp_path: Path, samples: tuple[Sample, ...], cache: Path) -> None:
    grey = build_frames(samples, 8, cache).masks
    for sample in samples:
        write_mask(tmp_path / "data", sample.name, mode="P")
    assert np.array_equal(build_frames(samples, 8, cache / "palette").masks, grey)


def test_the_order_is_that_of_the_samples(samples: tuple[Sample, ...], cache: Path) -> None:
    forward = build_frames(samples, 8, cache)
    backward = build_frames(samples[::-1], 8, cache)
    assert backward.names == forward.names[::-1]
    assert np.array_equal(backward.images, forward.images[::-1])


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_number_of_workers_does_not_matter(samples: tuple[Sample, ...], tmp_path: Path, workers: int) -> None:
    many = tuple(replace(samples[index % 4], name=f"n{index}") for index in range(100))
    built = build_frames(many, 4, tmp_path / "one", workers=workers)
    assert np.array_equal(built.images, np.concatenate([build_frames(samples, 4, tmp_path / "all").images] * 25))


def test_frames_pickle_as_plain_arrays(samples: tuple[Sample, ...], cache: Path) -> None:
    built = build_frames(samples, 8, cache)
    copy = pickle.loads(pickle.dumps(built))
    assert type(built.images) is type(copy.images) is type(copy.masks) is np.ndarray
    assert np.array_equal(copy.images, built.images) and np.array_equal(copy.masks, built.masks)
    assert (copy.names, copy.fingerprint) == (built.names, built.fingerprint)


def test_frames_are_mapped_read_only(samples: tuple[Sample, ...], cache: Path) -> None:
    built = build_frames(samples, 8, cache)
    assert isinstance(built.images.base, np.memmap)
    assert not built.images.flags.writeable and not built.masks.flags.writeable


# --- fingerprint


def test_equal_content_at_another_path_has_the_same_fingerprint(tmp_path: Path, cache: Path) -> None:
    first = write_folder(tmp_path / "one", SCENES)
    shutil.copytree(first, tmp_path / "two")
    built = [build_frames(read_catalog(root).samples, 8, cache) for root in (first, tmp_path / "two")]
    assert built[0].fingerprint == built[1].fingerprint
    assert len(built[0].fingerprint) == 16 and int(built[0].fingerprint, 16) >= 0


def test_one_other_pixel_name_scene_or_size_changes_the_fingerprint(samples: tuple[Sample, ...], cache: Path) -> None:
    first_sample = samples[:1]
    prints = [build_frames(first_sample, 8, cache).fingerprint, build_frames(first_sample, 9, cache).fingerprint]
    prints.append(build_frames([replace(first_sample[0], name="other")], 8, cache).fingerprint)
    prints.append(build_frames([replace(first_sample[0], attributes={"scene": "tunnel"})], 8, cache).fingerprint)
    with Image.open(first_sample[0].mask) as file:
        mask = np.array(file)
    mask[:] = 10
    Image.fromarray(mask).save(first_sample[0].mask)
    prints.append(build_frames(first_sample, 8, cache).fingerprint)
    assert len(set(prints)) == 5


# --- the cache


def test_the_second_call_decodes_nothing(samples: tuple[Sample, ...], cache: Path, decoded: list[str]) -> None:
    first = build_frames(samples, 8, cache)
    second = build_frames(samples, 8, cache)
    assert sorted(decoded) == list(first.names)
    assert second.fingerprint == first.fingerprint and np.array_equal(second.images, first.images)


def test_the_cache_holds_three_files_and_a_lock(samples: tuple[Sample, ...], cache: Path) -> None:
    build_frames(samples, 8, cache)
    folder = cache_folder(cache)
    assert sorted(path.name for path in folder.iterdir()) == ["frames.json", "images.npy", "masks.npy", "uses.json"]
    assert {path.name for path in cache.iterdir()} <= {folder.name, f"{folder.name}.lock"}


def test_a_changed_file_is_decoded_again(samples: tuple[Sample, ...], cache: Path, decoded: list[str]) -> None:
    build_frames(samples, 8, cache)
    stamp = samples[0].image.stat().st_mtime_ns + 1_000_000_000
    os.utime(samples[0].image, ns=(stamp, stamp))
    build_frames(samples, 8, cache)
    assert len(decoded) == 8


def test_a_changed_scene_is_seen_without_decoding(samples: tuple[Sample, ...], cache: Path, decoded: list[str]) -> None:
    build_frames(samples, 8, cache)
    moved = tuple(replace(sample, attributes={"scene": "tunnel", "weather": "rainy"}) for sample in samples)
    built = build_frames(moved, 8, cache)
    assert (set(built.scenes), set(built.attributes["weather"]), len(decoded)) == ({"tunnel"}, {"rainy"}, 4)


@pytest.mark.parametrize("name", ["images.npy", "masks.npy", "frames.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "nonsense"])
def test_a_damaged_cache_is_built_again(samples: tuple[Sample, ...], cache: Path, name: str, damage: str) -> None:
    first = build_frames(samples, 8, cache)
    path = cache_folder(cache) / name
    whole = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"empty": b"", "cut": whole[:-9], "nonsense": b"[1, 2]"}[damage])
    again = build_frames(samples, 8, cache)
    assert path.read_bytes() == whole
    assert again.fingerprint == first.fingerprint


@pytest.mark.parametrize(
    "record",
    ["{}", "[" * 100_000, '{"pixels": 1, "bad": {}, "turned": 0}', '{"pixels": "", "bad": {}, "turned": 0}',
     '{"pixels": "PIXELS", "bad": [], "turned": 0}', '{"pixels": "PIXELS", "bad": {}, "turned": null}'],
)  # fmt: skip
def test_a_record_that_holds_something_else_is_made_again(
    samples: tuple[Sample, ...], cache: Path, caplog: pytest.LogCaptureFixture, record: str
) -> None:
    first = build_frames(samples, 8, cache)
    path = cache_folder(cache) / "frames.json"
    whole = path.read_text()
    path.write_text(record.replace("PIXELS", json.loads(whole)["pixels"]))
    again = build_frames(samples, 8, cache)
    assert (path.read_text(), again.fingerprint) == (whole, first.fingerprint)
    assert len(caplog.messages) == 1 and "is damaged and is built again" in caplog.text


def test_arrays_of_another_type_are_built_again(samples: tuple[Sample, ...], cache: Path) -> None:
    build_frames(samples, 8, cache)
    np.save(cache_folder(cache) / "masks.npy", np.zeros((4, 8, 8), np.float64))
    assert build_frames(samples, 8, cache).masks.dtype == np.uint8


def test_a_bad_sample_is_named_where_it_is_now(
    tmp_path: Path, samples: tuple[Sample, ...], cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    samples[2].image.write_bytes(b"")
    build_frames(samples, 8, cache, on_bad_sample="skip")
    (tmp_path / "data").rename(tmp_path / "moved")
    moved = read_catalog(tmp_path / "moved").samples
    caplog.clear()
    build_frames(moved, 8, cache, on_bad_sample="skip")
    assert f"{moved[2].image} cannot be read: it is empty" in caplog.text
    assert refusal(moved, cache).startswith(f"{moved[2].image} cannot be read")


def test_arrays_of_another_shape_are_built_again(samples: tuple[Sample, ...], cache: Path) -> None:
    build_frames(samples, 8, cache)
    np.save(cache_folder(cache) / "masks.npy", np.zeros((3, 8, 8), np.uint8))
    assert build_frames(samples, 8, cache).masks.shape == (4, 8, 8)


def test_what_a_killed_builder_left_behind_is_replaced(samples: tuple[Sample, ...], cache: Path) -> None:
    build_frames(samples, 8, cache)
    folder = cache_folder(cache)
    folder.rename(folder.with_name(f"{folder.name}.part"))
    (folder.with_name(f"{folder.name}.part") / "images.npy").write_bytes(b"half")
    build_frames(samples, 8, cache)
    assert cache_folder(cache) == folder


def test_a_failed_build_leaves_nothing(samples: tuple[Sample, ...], cache: Path) -> None:
    samples[2].image.write_bytes(b"")
    refusal(samples, cache)
    assert [path for path in cache.iterdir() if path.is_dir()] == []


def test_threads_that_start_together_build_once(samples: tuple[Sample, ...], cache: Path, decoded: list[str]) -> None:
    threads = [threading.Thread(target=build_frames, args=(samples, 8, cache)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(decoded) == 4


def test_processes_that_start_together_build_once(samples: tuple[Sample, ...], cache: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from bddseg.data import catalog, frames\n"
        "decode, names = frames._decode, []\n"
        "frames._decode = lambda sample, *options: (names.append(sample.name), decode(sample, *options))[1]\n"
        "made = frames.build_frames(catalog.read_catalog(Path(sys.argv[1])).samples, 8, Path(sys.argv[2]))\n"
        "print(made.fingerprint, len(names), 'torch' in sys.modules)"
    )
    home = Path(frames_room.__file__).parents[2]
    command = [sys.executable, "-c", code, str(samples[0].image.parents[3]), str(cache)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=home) for _ in range(3)]
    answers = [process.communicate(timeout=60)[0].split() for process in started]
    fingerprint = build_frames(samples, 8, cache).fingerprint
    assert sorted(answers) == [[fingerprint, "0", "False"], [fingerprint, "0", "False"], [fingerprint, "4", "False"]]


def test_a_cache_that_cannot_be_written_is_refused(samples: tuple[Sample, ...], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = refusal(samples, tmp_path / "file" / "cache")
    assert message.startswith(f"the frames cache {tmp_path / 'file' / 'cache' / 'frames-'}")
    assert "cannot be written: Not a directory; choose another cache folder" in message


def test_a_full_disk_is_refused(samples: tuple[Sample, ...], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(rows: object, row: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frames_room._Rows, "append", full)
    assert "cannot be written: No space left on device" in refusal(samples, cache)
    assert [path for path in cache.iterdir() if path.is_dir()] == []


def test_the_cache_of_bdd100k_is_known_by_the_values_of_its_masks_alone() -> None:
    assert Decoding(8).cache_key() == BDD100K.remap_table().tobytes() + BDD100K.is_known_value().tobytes()


def test_other_colours_values_or_classes_have_another_cache() -> None:
    coloured, other = describe_pairs(classes=COLOURS), {"road": {"mask_colours": [1, 2, 3]}, "sky": COLOURS["sky"]}
    decodings = [
        Decoding(8, BDD100K), Decoding(8, BDD100K, "all"), Decoding(8, describe_pairs()), Decoding(8, coloured),
        Decoding(8, describe_pairs(classes=other)), Decoding(8, coloured, "sky"),
        Decoding(8, describe_pairs(classes=COLOURS, ignore="rest")),
    ]  # fmt: skip
    assert len({decoding.cache_key() for decoding in decodings}) == len(decodings)


def test_masks_of_bdd100k_colours_alone_have_a_cache_for_each_selection() -> None:
    labels = {name: {"mask_colours": list(colour)} for name, colour in MASK_COLOURS.items()}
    described = describe_pairs(classes=labels, ignore_colours=[0, 0, 0])
    assert Decoding(8, described, "road,sky").cache_key() != Decoding(8, described, "car,sky").cache_key()


def test_bdd100k_with_two_colours_exchanged_has_another_cache() -> None:
    road, sidewalk, *others = BDD100K.classes
    exchanged = replace(road, mask_colours=sidewalk.mask_colours), replace(sidewalk, mask_colours=road.mask_colours)
    assert Decoding(8, replace(BDD100K, classes=(*exchanged, *others))).cache_key() != Decoding(8).cache_key()


# --- bad samples


def test_a_truncated_jpeg_is_named(samples: tuple[Sample, ...], cache: Path) -> None:
    path = samples[1].image
    path.write_bytes(path.read_bytes()[:-200])
    message = refusal(samples, cache)
    assert message.startswith(f"{path} cannot be read: image file is truncated")
    assert message.endswith("; mend it, or leave it out with --on-bad-sample skip")


def test_a_file_that_is_no_image_is_named(samples: tuple[Sample, ...], cache: Path) -> None:
    samples[3].mask.write_text("hello")
    assert f"{samples[3].mask} cannot be read: it is no image" in refusal(samples, cache)


def test_a_broken_png_is_named(samples: tuple[Sample, ...], cache: Path) -> None:
    path = samples[3].mask
    path.write_bytes(path.read_bytes()[:60])
    assert f"{path} cannot be read: " in refusal(samples, cache)


def test_a_file_that_is_gone_is_named(samples: tuple[Sample, ...], cache: Path) -> None:
    samples[0].image.unlink()
    assert f"{samples[0].image} cannot be read: No such file or directory" in refusal(samples, cache)


def test_a_mask_of_another_size_is_named_with_its_image(
    tmp_path: Path, samples: tuple[Sample, ...], cache: Path
) -> None:
    path = write_mask(tmp_path / "data", "b", size=(23, 16))
    expected = f"{path} is 23x16 pixels, but must be 24x16 like its image {samples[1].image}"
    assert expected in refusal(samples, cache)


def test_an_unknown_label_is_named_even_where_resizing_would_drop_it(samples: tuple[Sample, ...], cache: Path) -> None:
    with Image.open(samples[2].mask) as file:
        mask = np.array(file)
    mask[0, 0], mask[0, 1] = 19, 254
    Image.fromarray(mask).save(samples[2].mask)
    fault = "has the unknown values 19 (1 pixel), 254 (1 pixel), but must hold 0 to 18 and 255 only"
    assert f"{samples[2].mask} {fault}" in refusal(samples, cache)


@pytest.mark.parametrize("mode", ["1", "LA", "I;16"])
def test_a_mask_with_more_than_one_channel_of_bytes_is_named(
    tmp_path: Path, samples: tuple[Sample, ...], cache: Path, mode: str
) -> None:
    path = write_mask(tmp_path / "data", "a", mode=mode)
    assert f"{path} has the mode {mode}, but must have one channel of 8 bits (L or P)" in refusal(samples, cache)


def test_the_first_bad_sample_is_the_one_named(samples: tuple[Sample, ...], cache: Path) -> None:
    for sample in samples[1:]:
        sample.image.write_bytes(b"")
    assert str(samples[1].image) in refusal(samples, cache)


def test_skipping_equals_building_without(
    samples: tuple[Sample, ...], cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    samples[1].image.write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        built = build_frames(samples, 8, cache, on_bad_sample="skip")
    good = build_frames((samples[0], *samples[2:]), 8, cache)
    assert built.skipped == ("b",)
    assert f"1 of 4 samples cannot be used and is left out: b (first: {samples[1].image} cannot" in caplog.text
    assert (built.names, built.scenes, built.fingerprint) == (good.names, good.scenes, good.fingerprint)
    assert np.array_equal(built.images, good.images) and np.array_equal(built.masks, good.masks)


def test_skipped_samples_are_remembered(samples: tuple[Sample, ...], cache: Path, decoded: list[str]) -> None:
    samples[1].image.write_bytes(b"")
    build_frames(samples, 8, cache, on_bad_sample="skip")
    assert build_frames(samples, 8, cache, on_bad_sample="skip").skipped == ("b",)
    assert len(decoded) == 4


def test_a_skipped_sample_that_is_mended_with_its_size_and_time_kept_comes_back(
    samples: tuple[Sample, ...], cache: Path
) -> None:
    path, content, stamp = samples[1].image, samples[1].image.read_bytes(), samples[1].image.stat()
    path.write_bytes(bytes(len(content)))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert build_frames(samples, 8, cache, on_bad_sample="skip").skipped == ("b",)
    path.write_bytes(content)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert build_frames(samples, 8, cache, on_bad_sample="skip").skipped == ()


def test_a_record_of_bad_samples_in_an_older_form_is_not_believed(samples: tuple[Sample, ...], cache: Path) -> None:
    build_frames(samples, 8, cache)
    path = cache_folder(cache) / "frames.json"
    path.write_text(json.dumps({"pixels": "0", "bad": {"b": f"{samples[1].image} cannot be read: Permission denied"}}))
    assert build_frames(samples, 8, cache, on_bad_sample="skip").skipped == ()


def test_a_cache_with_skipped_samples_still_fails_on_request(samples: tuple[Sample, ...], cache: Path) -> None:
    samples[1].image.write_bytes(b"")
    fresh = refusal(samples, cache)
    build_frames(samples, 8, cache, on_bad_sample="skip")
    assert refusal(samples, cache) == fresh


def test_no_good_sample_at_all_is_refused(samples: tuple[Sample, ...], cache: Path) -> None:
    for sample in samples:
        sample.image.write_bytes(b"")
    with pytest.raises(DataError, match=f"none of 4 samples can be used; the first: {samples[0].image} cannot be read"):
        build_frames(samples, 8, cache, on_bad_sample="skip")
    with pytest.raises(DataError, match="none of 0 samples can be used"):
        build_frames((), 8, cache)


# --- what the system does not give


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user may enter; pytest's own are closed to all but its user."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@contextmanager
def obeying_modes() -> Iterator[None]:
    """Be a user whom the modes of files bind, as root is not."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("on_bad_sample", ["fail", "skip"])
def test_an_image_without_permission_is_refused_and_not_remembered(open_folder: Path, on_bad_sample: str) -> None:
    samples, cache = read_catalog(write_folder(open_folder / "data", SCENES)).samples, open_folder / "cache"
    samples[1].image.chmod(0)
    with (
        obeying_modes(),
        pytest.raises(AccessError, match=f"{samples[1].image} cannot be read: Permission denied; its"),
    ):
        build_frames(samples, 8, cache, on_bad_sample=on_bad_sample)
    samples[1].image.chmod(0o644)
    with obeying_modes():
        assert build_frames(samples, 8, cache, on_bad_sample=on_bad_sample).skipped == ()


@pytest.mark.parametrize("on_bad_sample", ["fail", "skip"])
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/proc/self/mem", "Input/output error"),
        ("nowhere", "No such file or directory"),
        ("b.jpg", "Too many levels of symbolic links"),
        ("/dev/zero", "it is a device, but must be a file"),
        ("/", "it is a folder, but must be a file"),
    ],
)
def test_a_link_that_cannot_be_followed_or_read_is_refused(
    samples: tuple[Sample, ...], cache: Path, target: str, message: str, on_bad_sample: str
) -> None:
    samples[1].image.unlink()
    samples[1].image.symlink_to(target)
    with pytest.raises(AccessError, match=f"{samples[1].image} cannot be read: {message}"):
        build_frames(samples, 8, cache, on_bad_sample=on_bad_sample)
    assert [path for path in cache.iterdir() if path.is_dir()] == []


def test_a_pipe_does_not_block(samples: tuple[Sample, ...], cache: Path) -> None:
    samples[1].image.unlink()
    os.mkfifo(samples[1].image)
    assert f"{samples[1].image} cannot be read: it is a pipe, but must be a file" in refusal(samples, cache)


def test_a_cache_without_permission_is_kept(open_folder: Path) -> None:
    samples, cache = read_catalog(write_folder(open_folder / "data", SCENES)).samples, open_folder / "cache"
    build_frames(samples, 8, cache)
    path = cache_folder(cache) / "images.npy"
    path.chmod(0)
    with obeying_modes(), pytest.raises(AccessError, match=r"frames-.* cannot be read: Permission denied; choose"):
        build_frames(samples, 8, cache)
    assert path.stat().st_size


# --- orientation


def test_an_image_that_was_stored_turned_is_laid_under_its_upright_mask(
    samples: tuple[Sample, ...], cache: Path, tmp_path: Path
) -> None:
    plain = build_frames(samples, 8, cache)
    for orientation, turn in STORED.items():
        path = samples[1].image.with_suffix(".png")
        write_turned(samples[1].image, turn, orientation, path)
        built = build_frames((samples[0], replace(samples[1], image=path)), 8, tmp_path / "turned")
        assert np.array_equal(built.images[1], plain.images[1]) and np.array_equal(built.masks[1], plain.masks[1])
        assert built.turned == 1


def test_a_mask_that_was_stored_turned_with_its_image_is_turned_with_it(
    samples: tuple[Sample, ...], cache: Path, tmp_path: Path
) -> None:
    plain = build_frames(samples, 8, cache)
    image, mask = samples[1].image.with_suffix(".png"), samples[1].mask
    write_turned(samples[1].image, Image.Transpose.ROTATE_90, 6, image)
    write_turned(mask, Image.Transpose.ROTATE_90, 6, mask)
    built = build_frames((samples[0], replace(samples[1], image=image)), 8, tmp_path / "turned")
    assert np.array_equal(built.images[1], plain.images[1]) and np.array_equal(built.masks[1], plain.masks[1])


def test_a_mask_is_never_turned_alone(samples: tuple[Sample, ...], cache: Path) -> None:
    write_turned(samples[1].mask, Image.Transpose.ROTATE_180, 3, samples[1].mask)
    assert f"{samples[1].mask} has the EXIF orientation 3 and its image 1, so which way" in refusal(samples, cache)


def test_a_mask_of_the_stored_shape_is_named_with_the_turn(samples: tuple[Sample, ...], cache: Path) -> None:
    path = samples[1].image
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    with Image.open(path) as image:
        image.save(path, exif=exif)
    expected = f"is 24x16 pixels, but must be 16x24 like its image {path}, which EXIF orientation 6 turns"
    assert expected in refusal(samples, cache)


# --- arguments


@pytest.mark.parametrize("size", [0, -1, 8.0, "8", True, None])
def test_a_size_that_is_no_positive_whole_number_is_refused(
    samples: tuple[Sample, ...], cache: Path, size: int
) -> None:
    with pytest.raises(ConfigError, match="but must be a whole number >= 1") as caught:
        build_frames(samples, size, cache)
    assert str(caught.value).startswith(f"size_px is {size!r}")


def test_an_unknown_way_with_bad_samples_is_refused(samples: tuple[Sample, ...], cache: Path) -> None:
    with pytest.raises(ConfigError, match="on_bad_sample is 'ignore', but must be one of fail, skip"):
        build_frames(samples, 8, cache, on_bad_sample="ignore")


def test_a_negative_number_of_workers_is_refused(samples: tuple[Sample, ...], cache: Path) -> None:
    with pytest.raises(ConfigError, match="workers is -1, but must be a whole number >= 0"):
        build_frames(samples, 8, cache, workers=-1)


def test_progress_goes_to_stderr_and_only_on_request(
    samples: tuple[Sample, ...], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_frames(samples, 8, cache)
    assert capsys.readouterr() == ("", "")
    build_frames(samples, 9, cache, progress=True)
    out, err = capsys.readouterr()
    assert out == "" and "4/4" in err


# --- real frames


@needs_real_data
def test_real_frames_have_the_pixels_of_pillow(tmp_path: Path) -> None:
    samples = read_catalog(REAL_DATA).samples[::40]
    built = build_frames(samples, 128, tmp_path)
    for index, sample in enumerate(samples):
        image = Image.open(sample.image).convert("RGB").resize((128, 128), Image.Resampling.BILINEAR)
        mask = Image.open(sample.mask).resize((128, 128), Image.Resampling.NEAREST)
        assert np.array_equal(built.images[index], np.asarray(image))
        assert np.array_equal(built.masks[index], BDD100K.remap_table()[np.asarray(mask)])


@needs_real_data
def test_all_real_frames_are_built(tmp_path: Path) -> None:
    built = build_frames(read_catalog(REAL_DATA).samples, 32, tmp_path)
    assert built.images.shape == (440, 32, 32, 3)
    assert Counter(built.scenes) == {"city street": 345, "parking lot": 59, "highway": 27, "gas stations": 9}
    assert set(np.unique(built.masks)) == {0, 1, 2, 3, 4, IGNORE}


def test_the_record_beside_the_arrays_is_json(samples: tuple[Sample, ...], cache: Path) -> None:
    build_frames(samples, 8, cache)
    record = json.loads((cache_folder(cache) / "frames.json").read_text())
    assert set(record) == {"pixels", "bad", "turned"} and (record["bad"], record["turned"]) == ({}, 0)

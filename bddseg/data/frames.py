"""Frames of a dataset: decoded, resized and remapped once into a cache; uint8, memory-mapped, fingerprinted.

A cache folder holds `images.npy`, `masks.npy` and `frames.json`. It appears atomically, by a rename, under a lock:
one process builds it while others wait. It is opened without the lock, and a second start only compares file sizes and
times.
"""

import errno
import hashlib
import json
import logging
import re
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.lib.format import write_array_header_1_0
from PIL import Image
from PIL import __version__ as pillow_version
from tqdm import tqdm

from bddseg.cores import usable_cores
from bddseg.data.bdd100k_labels import BDD100K
from bddseg.data.description import Description
from bddseg.data.folders import is_there
from bddseg.data.frames_uses import note_use
from bddseg.data.image_io import UPRIGHT, Picture, read_mask, read_picture, shrink
from bddseg.data.mask_values import check_mask, class_table, colour_table, selection_table
from bddseg.data.sample import Sample
from bddseg.data.split import split_marks
from bddseg.data.strata import Stratum, find_strata
from bddseg.errors import AccessError, ConfigError, DataError, printable
from bddseg.file_locks import locked
from bddseg.files import read_json, write_json
from bddseg.json_shapes import difference
from bddseg.task import FIVE_CLASSES, Task

FORMAT = 2
"""Raised by one whenever the same files would give other arrays or another cache layout."""

ON_BAD_SAMPLE = ("fail", "skip")
"""What to do about an unusable sample: end the build, or leave the sample out. It is named in either case."""

AHEAD_PER_WORKER = 8
"""Decoded samples that may wait to be written; bounds the memory of a build."""

RECORD = "frames.json"
SHAPE = {"pixels": str, "bad": {"*": {"why": str, "files": [[int]]}}, "turned": int}
PIXELS = re.compile(r"[0-9a-f]{128}")
"""Two SHA-256 hashes, one after the other."""

IMAGE, MASK = "<image>", "<mask>"
"""Placeholders for the paths of a sample in the cache record, since its folder may be moved."""

CACHE_CURE = "choose another cache folder"
ACCESS_CURE = "its content was not judged: give access to it, or wait until the disk answers, and start again"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Decoded:
    """One decoded sample.

    Shape:
        image: (H, W, 3), uint8 RGB.  mask: (H, W), uint8.
    """

    image: np.ndarray
    mask: np.ndarray
    is_turned: bool
    """Whether the image was rotated by its EXIF orientation."""


@dataclass(frozen=True)
class _Bad:
    """One unusable sample."""

    why: str
    files: list[list[int]]
    """Identity of its files, see `_identity`; other files are checked again."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Every image and mask of a dataset at one size.

    Shape:
        images: (N, H, W, 3), uint8 RGB
        masks: (N, H, W), uint8, task classes or IGNORE
    """

    images: np.ndarray
    masks: np.ndarray
    names: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]]
    """Attribute, such as the scene, -> its value for each image; empty texts where it is not known."""
    fingerprint: str
    """16 hex digits of pixels, names, groups and what else a split depends on, independent of the location."""
    task: Task = FIVE_CLASSES
    skipped: tuple[str, ...] = ()
    """Names of unusable samples that were left out."""
    turned: int = 0
    """Number of images that were rotated upright by their EXIF orientation."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def scenes(self) -> tuple[str, ...]:
        """Return the value of each image in the attribute that decides its group; empty texts without one."""
        return self.attributes.get(self.task.attribute) or ("",) * len(self)

    def strata(self, balance: Sequence[str] = ()) -> tuple[Stratum, ...]:
        """Return the stratum of each image, which a split balances; see `bddseg.data.strata`."""
        return find_strata(self.task, self.attributes, len(self), balance)

    @property
    def size_px(self) -> int:
        """Return the side of the square frames."""
        return int(self.images.shape[1])


@dataclass(frozen=True)
class _Cached:
    """The contents of a cache folder."""

    images: np.ndarray
    masks: np.ndarray
    pixels: str
    """Hash of both arrays."""
    bad: Mapping[str, _Bad]
    """The unusable samples, which are not in the arrays, by name."""
    turned: int
    """Number of images rotated by EXIF."""


@dataclass(frozen=True)
class Decoding:
    """The size of frames, and what the values or colours of their masks mean."""

    size_px: int
    description: Description = BDD100K
    selection: str = ""
    """The classes that are trained, see `Description.chosen`."""

    def cache_key(self) -> bytes:
        """Return bytes that differ wherever the same masks give other frames.

        The colours of BDD100K are left out where its values decide the same classes: caches are older than colours in
        masks.
        """
        description = self.description
        key = description.remap_table(self.selection).tobytes() + description.is_known_value().tobytes()
        table = colour_table(description)
        if not table.packed.size or _reads_as_bdd100k(description):
            return key
        return key + table.packed.tobytes() + selection_table(description, self.selection)[table.classes].tobytes()


def _reads_as_bdd100k(description: Description) -> bool:
    """Return whether values and colours of masks belong to the same classes as in BDD100K."""
    colours, usual = colour_table(description), colour_table(BDD100K)
    return (
        np.array_equal(colours.packed, usual.packed)
        and np.array_equal(colours.classes, usual.classes)
        and np.array_equal(class_table(description), class_table(BDD100K))
    )


@dataclass(frozen=True)
class _Job:
    """The samples to decode and how."""

    samples: Sequence[Sample]
    decoding: Decoding
    skip_bad: bool
    workers: int
    progress: bool


def build_frames(
    samples: Sequence[Sample],
    size_px: int,
    cache: Path,
    *,
    description: Description = BDD100K,
    selection: str = "",
    on_bad_sample: str = "fail",
    workers: int = 0,
    progress: bool = False,
) -> Frames:
    """Return the frames of the samples in their order, memory-mapped from the cache, which is built if needed.

    Skipping is for damaged content. A file that the system refuses to read ends the build in any case and is not
    recorded as bad: a mount that fails for a moment would otherwise make the dataset smaller.

    Args:
        samples: what to decode.
        size_px: side of the square frames.
        cache: folder of all frames caches.
        description: what the masks mean, and which groups are compared.
        selection: the classes that are trained, see `Description.chosen`.
        on_bad_sample: one of ON_BAD_SAMPLE.
        workers: threads that decode; 0 uses all cores.
        progress: whether a progress bar is shown on stderr.

    Raises:
        ConfigError: when an argument is out of range.
        AccessError: when the system refuses to read a file of a sample, or of the cache.
        DataError: when a sample is unusable (and not to be skipped), or the cache cannot be written.
    """
    _check(size_px, on_bad_sample, workers)
    decoding = Decoding(size_px, description, selection)
    folder = cache / f"frames-{_key(samples, decoding)}"
    cached = _open(folder, samples, size_px, _log.debug)  # problems are reported under the lock, once
    if cached is None:
        job = _Job(samples, decoding, on_bad_sample == "skip", workers or usable_cores(), progress)
        cached = _build(folder, job)
    if cached.bad and on_bad_sample == "fail":
        raise _refusal(cached.bad)
    frames = _frames(samples, cached, description, selection)
    note_use(folder, frames.fingerprint)
    return frames


def _check(size_px: int, on_bad_sample: str, workers: int) -> None:
    for name, value, least in (("size_px", size_px, 1), ("workers", workers, 0)):
        if type(value) is not int or value < least:
            raise ConfigError(f"{name} is {value!r}, but must be a whole number >= {least}")
    if on_bad_sample not in ON_BAD_SAMPLE:
        raise ConfigError(f"on_bad_sample is {on_bad_sample!r}, but must be one of {', '.join(ON_BAD_SAMPLE)}")


def _frames(samples: Sequence[Sample], cached: _Cached, description: Description, selection: str) -> Frames:
    if cached.bad:
        first = next(iter(cached.bad.values())).why
        count, skipped = f"{len(cached.bad)} of {len(samples)} samples", printable(", ".join(cached.bad))
        verbs = "cannot be used and is" if len(cached.bad) == 1 else "cannot be used and are"
        _log.warning("%s %s left out: %s (first: %s)", count, verbs, skipped, first)
    usable = [sample for sample in samples if sample.name not in cached.bad]
    names, task = tuple(sample.name for sample in usable), description.task(selection)
    keys = dict.fromkeys(key for sample in usable for key in sample.attributes)
    attributes = {key: tuple(sample.attributes.get(key, "") for sample in usable) for key in keys}
    scenes = attributes.get(task.attribute) or ("",) * len(names)
    marks = (*split_marks(names), *_marks(task, description, usable))
    content = json.dumps([cached.pixels, names, scenes, *marks])
    return Frames(
        images=cached.images,
        masks=cached.masks,
        names=names,
        attributes=attributes,
        fingerprint=hashlib.sha256(content.encode()).hexdigest()[:16],
        task=task,
        skipped=tuple(cached.bad),
        turned=cached.turned,
    )


def _marks(task: Task, description: Description, samples: Sequence[Sample]) -> tuple[Any, ...]:
    """Return what the fingerprint has besides pixels, names and scenes; nothing where earlier versions had none.

    Trials of other classes, groups or another kind of split must neither be resumed nor reused.
    """
    marks: list[Any] = []
    if task.compared() != FIVE_CLASSES.compared():
        marks.append(task.compared())
    if description.balance:
        marks.append({name: [sample.attributes.get(name, "") for sample in samples] for name in description.balance})
    if description.is_official:
        marks.append({"official": [sample.part for sample in samples]})
    return tuple(marks)


def _key(samples: Sequence[Sample], decoding: Decoding) -> str:
    """Return the name of a cache: equal for files with equal names, sizes and times that give equal arrays."""
    key = hashlib.sha256(repr((FORMAT, pillow_version, decoding.size_px)).encode())
    key.update(decoding.cache_key())
    for sample in samples:
        key.update(repr((sample.name, _stamp(sample.image), _stamp(sample.mask))).encode())
    return key.hexdigest()[:16]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:  # the decoder reports it
        return None
    return status.st_size, status.st_mtime_ns


def _identity(sample: Sample) -> list[list[int]]:
    """Return numbers that change when a file of the sample is repaired, even if its size and time are restored.

    Not used for sound samples: it has the time of the last status change, so that chmod or copying would rebuild the
    cache.
    """
    statuses = [path.stat() for path in (sample.image, sample.mask)]
    return [[status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns] for status in statuses]


def _is_still_bad(sample: Sample, bad: _Bad) -> bool:
    if not any(mark in bad.why for mark in (IMAGE, MASK)):  # earlier versions recorded paths, which may be outdated
        return False
    try:
        return _identity(sample) == bad.files
    except OSError:
        return False


def _open(
    folder: Path, samples: Sequence[Sample], size_px: int, warn: Callable[..., None] = _log.warning
) -> _Cached | None:
    """Return the content of a cache folder; None if it is missing, incomplete, or a bad sample of it was repaired.

    Raises:
        AccessError: when the system refuses to read a file of it, which may be sound.
    """
    if not is_there(folder):
        return None
    try:
        cached = _load(folder)
        count = sum(sample.name not in cached.bad for sample in samples)
    except OSError as error:
        if error.errno not in (None, errno.ENOENT):
            raise AccessError(f"the frames cache {folder} cannot be read: {error.strerror}; {CACHE_CURE}") from error
        warn("the frames cache %s is damaged and is built again: %s", folder, error)
        return None
    except (ValueError, TypeError, AttributeError, EOFError) as error:
        warn("the frames cache %s is damaged and is built again: %s", folder, error)
        return None
    shape = (count, size_px, size_px)
    kinds = {cached.images.dtype, cached.masks.dtype}
    if cached.images.shape != (*shape, 3) or cached.masks.shape != shape or kinds != {np.dtype(np.uint8)}:
        warn("the frames cache %s holds other frames than it should and is built again", folder)
        return None
    if not all(_is_still_bad(sample, cached.bad[sample.name]) for sample in samples if sample.name in cached.bad):
        _log.info("a bad sample was changed: the frames cache %s is built again", folder)
        return None
    named = {sample.name: sample for sample in samples}
    return replace(cached, bad={name: _with_paths(named[name], bad) for name, bad in cached.bad.items()})


def _with_paths(sample: Sample, bad: _Bad) -> _Bad:
    """Return a recorded bad sample with the current paths of its files."""
    why = bad.why.replace(IMAGE, str(sample.image)).replace(MASK, str(sample.mask))
    return replace(bad, why=printable(why))


def _without_paths(sample: Sample, bad: _Bad) -> _Bad:
    """Return a bad sample as it is recorded, without paths; `_with_paths` restores them."""
    why = bad.why.replace(printable(str(sample.image)), IMAGE).replace(printable(str(sample.mask)), MASK)
    return replace(bad, why=why if IMAGE in why or MASK in why else f"{IMAGE}: {why}")


def _load(folder: Path) -> _Cached:
    record = read_json(folder / RECORD)
    if wrong := difference(record, SHAPE):
        raise ValueError(f"{RECORD}: {wrong}")
    if not PIXELS.fullmatch(record["pixels"]) or record["turned"] < 0:
        raise ValueError(f"{RECORD}: pixels or turned are none that were written")
    return _Cached(
        # a plain view of each memory map, which is pickled as an array
        images=np.asarray(np.load(folder / "images.npy", mmap_mode="r")),
        masks=np.asarray(np.load(folder / "masks.npy", mmap_mode="r")),
        pixels=record["pixels"],
        bad={name: _Bad(bad["why"], bad["files"]) for name, bad in record["bad"].items()},
        turned=record["turned"],
    )


def _build(folder: Path, job: _Job) -> _Cached:
    """Return the content of the cache folder after this or another process has built it.

    Raises:
        DataError: when it cannot be written, or a sample is unusable.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(Path(f"{folder}.lock")):
            cached = _open(folder, job.samples, job.decoding.size_px)
            if cached is None:
                _write_whole(folder, job)
                cached = _open(folder, job.samples, job.decoding.size_px)
    except OSError as error:
        why = error.strerror or error
        raise DataError(f"the frames cache {folder} cannot be written: {why}; {CACHE_CURE}") from error
    if cached is None:
        raise DataError(f"the frames cache {folder} cannot be read back; {CACHE_CURE}")
    return cached


def _write_whole(folder: Path, job: _Job) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of an earlier build that was killed
    part.mkdir()
    try:
        _write(part, job)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(part: Path, job: _Job) -> None:
    """Write the three files of a cache, `frames.json` as `_load` reads it."""
    shape = (job.decoding.size_px, job.decoding.size_px)
    bad: dict[str, _Bad] = {}
    remembered: dict[str, _Bad] = {}
    turned = 0
    with (
        _Rows(part / "images.npy", (*shape, 3)) as images,
        _Rows(part / "masks.npy", shape) as masks,
        ThreadPoolExecutor(job.workers) as pool,
        tqdm(total=len(job.samples), desc="decoding", unit="image", file=sys.stderr, disable=not job.progress) as bar,
    ):
        for sample, future in zip(job.samples, _decoded(pool, job), strict=True):
            decoded = future.result()
            if isinstance(decoded, _Bad):
                bad[sample.name], remembered[sample.name] = decoded, _without_paths(sample, decoded)
                if not job.skip_bad:
                    raise _refusal(bad)
            else:
                images.append(decoded.image)
                masks.append(decoded.mask)
                turned += decoded.is_turned
            bar.update()
    if not images.count:
        first = f"; the first: {next(iter(bad.values())).why}" if bad else ""
        raise DataError(f"none of {len(job.samples)} samples can be used{first}")
    record = {
        "pixels": images.digest.hexdigest() + masks.digest.hexdigest(),
        "bad": {name: asdict(judgement) for name, judgement in remembered.items()},
        "turned": turned,
    }
    write_json(part / RECORD, record)


class _Rows:
    """A growing .npy file, written as a stream: on a full disk, writing to a memory map would kill the process."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.count = 0
        self.digest = hashlib.sha256()
        self._shape = shape
        self._file = path.open("wb")
        self._write_header()

    def __enter__(self) -> Self:
        return self

    def append(self, row: np.ndarray) -> None:
        data = row.tobytes()
        self._file.write(data)
        self.digest.update(data)
        self.count += 1

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.seek(0)
            self._write_header()

    def _write_header(self) -> None:
        """Write the header for the rows so far; NumPy pads it to a length that does not depend on their number."""
        shape = (self.count, *self._shape)
        write_array_header_1_0(self._file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _decoded(pool: ThreadPoolExecutor, job: _Job) -> Iterator[Future[Decoded | _Bad]]:
    """Yield the decoded samples in order; a bounded number is decoded in advance.

    Threads, since Pillow releases the interpreter lock while it decodes and resizes: they were no slower than
    processes on two cores (456 frames: 480x360 0.54 s against 0.73 s, 1280x720 1.9 s against 2.1 s).
    """
    pending: deque[Future[Decoded | _Bad]] = deque()
    for sample in job.samples:
        pending.append(pool.submit(_try, sample, job.decoding))
        if len(pending) > job.workers * AHEAD_PER_WORKER:
            yield pending.popleft()
    yield from pending


def _try(sample: Sample, decoding: Decoding) -> Decoded | _Bad:
    """Return a decoded sample, or the defect of its content.

    Raises:
        AccessError: when the system refuses to read one of its files, or memory to decode it.
    """
    try:
        files = _identity(sample)  # before decoding: a file that is repaired meanwhile must be checked again
        return _decode(sample, decoding)
    except AccessError as error:
        raise AccessError(f"{error}; {ACCESS_CURE}") from error
    except DataError as error:
        return _Bad(str(error), files)
    except OSError as error:
        raise AccessError(f"{error.filename} cannot be read: {error.strerror}; {ACCESS_CURE}") from error
    except MemoryError as error:
        raise AccessError(f"{sample.image} cannot be decoded: not enough memory; {ACCESS_CURE}") from error


def _decode(sample: Sample, decoding: Decoding) -> Decoded:
    """Return image and mask of one sample.

    Raises:
        AccessError: when the system refuses to read one of its files.
        DataError: naming the unusable file and why.
    """
    picture = read_picture(sample.image)
    small = shrink(picture.image, decoding.size_px)
    mask = read_mask(sample.mask, picture.orientation)
    check_size(mask, picture, sample)
    values = check_mask(mask, sample.mask, decoding.description)
    small_mask = values.image.resize(small.size, Image.Resampling.NEAREST)
    table = selection_table(decoding.description, decoding.selection)[values.table]
    return Decoded(np.asarray(small), table[np.asarray(small_mask)], picture.orientation != UPRIGHT)


def check_size(mask: Image.Image, picture: Picture, sample: Sample) -> None:
    """Refuse a mask that has another size than its image.

    Raises:
        DataError: with both sizes.
    """
    if mask.size != picture.image.size:
        mask_size, image_size = ("x".join(map(str, pixels)) for pixels in (mask.size, picture.image.size))
        turned = f", which EXIF orientation {picture.orientation} turns" if picture.orientation != UPRIGHT else ""
        raise DataError(
            f"{sample.mask} is {mask_size} pixels, but must be {image_size} like its image {sample.image}{turned}"
        )


def _refusal(bad: Mapping[str, _Bad]) -> DataError:
    return DataError(f"{next(iter(bad.values())).why}; mend it, or leave it out with --on-bad-sample skip")

"""Reads a dataset folder in BDD100K's layout: samples (image, mask, scene, weather, time of day) and its defects."""

import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from bddseg.data.bdd100k_labels import CITY, SCENES, TIMES_OF_DAY, WEATHERS
from bddseg.data.det_files import DETS, Attributes, read_entries
from bddseg.data.folders import NO_FILE, in_short, list_folder
from bddseg.data.image_io import has_image_name, key_of
from bddseg.errors import AccessError, DataError, printable

IMAGES = "images/10k"
MASKS = "labels/sem_seg/masks"
PARTS = ("train", "val")

CURE = (
    "download the 10k images, the semantic segmentation masks and the det_20 labels from the BDD100K project's "
    "download page and unpack them into one folder"
)

CITY_WORDS = frozenset(("city", "cities", "street", "streets"))
"""A scene with one of these words may mean BDD100K's city street; only the user can tell."""

LIKENESS = 0.85
"""Similarity to a known scene, from 0 to 1, above which another one counts as a misspelling."""

Key = tuple[str, str]
"""Part and name, which an image and its mask share."""


@dataclass(frozen=True)
class Sample:
    """One image with its mask and attributes."""

    name: str
    """File name without its extension."""
    image: Path
    mask: Path
    attributes: Mapping[str, str] = field(default_factory=dict)
    part: str = ""
    """Official part: train, val or test; empty if the folder has none."""


@dataclass(frozen=True)
class Catalog:
    """The usable samples of a folder, and what was left out."""

    root: Path
    samples: tuple[Sample, ...]
    """Sorted by name."""
    without_scene: int
    """Images that no det file gives a scene."""
    without_mask: int
    """Images that have a scene but no mask."""
    without_image: int
    """Entries of the det files that have no image."""
    unusable: tuple[str, ...] = ()
    """Descriptions of the det entries without a scene."""
    not_taken: tuple[str, ...] = ()
    """Names of what is in the image or mask folders but is no image or mask, with a note if it is no file."""
    beside: tuple[str, ...] = ()
    """Names beside the parts that are not read: other parts, parts with capitals, files."""
    masks_without_image: tuple[str, ...] = ()
    """Masks without an image in their part, by part and name."""
    odd: tuple[str, ...] = ()
    """Descriptions of weathers and times of day that are no text."""

    def summary(self) -> tuple[str, ...]:
        """Return lines about what the folder has, what was left out and why."""
        scenes = Counter(sample.attributes["scene"] for sample in self.samples)
        counts = ", ".join(f"{scene} {count}" for scene, count in scenes.most_common())
        lines = [f"{_images(len(self.samples))} with mask and scene in {self.root}: {counts}"]
        if self.without_scene:
            lines.append(f"{_images(self.without_scene)} left out: no scene in {DETS}")
        if self.unusable:
            lines.append(f"entries of {DETS} without a scene: {len(self.unusable)}: {in_short(self.unusable)}")
        if self.without_mask:
            lines.append(f"{_images(self.without_mask)} left out: no mask in {MASKS}")
        if masks := self.masks_without_image:
            lines.append(f"masks in {MASKS} without an image of their part: {len(masks)}: {in_short(masks)}")
        if self.without_image:
            lines.append(f"entries of {DETS} without an image: {self.without_image}")
        if self.not_taken:
            lines.append(f"ignored, not an image or mask: {len(self.not_taken)}: {in_short(self.not_taken)}")
        if self.beside:
            lines.append(f"ignored, only {_parts()} are read: {len(self.beside)}: {in_short(self.beside)}")
        if self.odd:
            lines.append(f"counted as undefined, not text: {len(self.odd)}: {in_short(self.odd)}")
        lines += [
            f"{_images(scenes[scene])} with the scene {scene!r}, unknown to BDD100K: counted as not {CITY}"
            for scene, _ in scenes.most_common()
            if scene not in SCENES
        ]
        lines += _misspelt("weather", (sample.attributes["weather"] for sample in self.samples), WEATHERS)
        lines += _misspelt("time of day", (sample.attributes["timeofday"] for sample in self.samples), TIMES_OF_DAY)
        return tuple(map(printable, lines))


def is_dataset(root: Path) -> bool:
    """Return whether a folder looks like BDD100K, without reading a file."""
    return os.path.isdir(root / IMAGES / "train")  # noqa: PTH112 - Path's own raises where it may not look


def read_bdd100k(root: Path) -> Catalog:
    """Return the samples of a folder: every image that has a mask and a scene.

    The mask of an image is searched in the same part (train, val), its scene by file name in both det files.

    Raises:
        AccessError: when the system refuses to read a folder or a det file.
        DataError: when a part of the layout is missing, a det file is damaged, a scene is misspelt, two files have
            the same name, or no image has both mask and scene.
    """
    check_root(root)
    images, other_files = _find(root / IMAGES, has_image_name)
    if not images:
        raise DataError(f"{root} has no images: looked for *.jpg in {_both(IMAGES)}; {CURE}")
    _check_parts(images)
    masks, other_masks = _find(root / MASKS, _has_mask_name)
    if not masks:
        raise DataError(f"{root} has no masks: looked for *.png in {_both(MASKS)}; {CURE}")
    entries = read_entries(root)

    seen = {key: path for key, path in images.items() if key[1] in entries.attributes}
    samples = [
        _sample(path, masks[key], entries.attributes[key[1]], key[0]) for key, path in seen.items() if key in masks
    ]
    if not samples:
        raise DataError(
            f"no image in {root} has both a scene and a mask: {len(images)} images, {len(masks)} masks and "
            f"{len(entries.attributes)} det entries do not share names; {CURE}"
        )
    _check_scenes(samples)
    return Catalog(
        root=root,
        samples=tuple(sorted(samples, key=lambda sample: sample.name)),
        without_scene=len(images) - len(seen),
        without_mask=len(seen) - len(samples),
        without_image=len(entries.attributes) - len(seen),
        unusable=entries.unusable,
        not_taken=(*other_files, *other_masks),
        beside=(*_beside(root, IMAGES), *_beside(root, MASKS)),
        masks_without_image=tuple(
            f"{part}/{path.name}" for (part, name), path in masks.items() if (part, name) not in images
        ),
        odd=entries.odd,
    )


def check_root(root: Path) -> None:
    """Refuse a root that is no folder.

    Raises:
        AccessError: when the system refuses access to it.
        DataError: with the expected content.
    """
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        is_folder = False
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise AccessError(f"{root} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not is_folder:
        problem = "is not a folder" if os.path.lexists(root) else "does not exist"
        raise DataError(f"{root} {problem}: looked for {IMAGES}, {MASKS} and {DETS} in it; {CURE}")


def _find(folder: Path, is_accepted: Callable[[str], bool]) -> tuple[dict[Key, Path], list[str]]:
    """Return the files of both parts whose names are accepted, in order, and the names of everything else."""
    files: dict[Key, Path] = {}
    other_names: list[str] = []
    for part in PARTS:
        listing = list_folder(folder / part, is_accepted)
        other_names += listing.other_names
        for path in listing.accepted:
            first = files.setdefault((part, key_of(path.name)), path)
            if first != path:
                raise _same_name(first, path)
    return files, other_names


def _beside(root: Path, folder: str) -> Iterator[str]:
    """Yield the names beside the parts, with their folder; none if the folder cannot be listed."""
    try:
        listing = list_folder(root / folder, lambda name: False)
    except AccessError:
        return
    for name in listing.other_names:
        if name.removesuffix(NO_FILE) not in PARTS:
            yield f"{folder}/{name}"


def _check_parts(images: dict[Key, Path]) -> None:
    first: dict[str, Path] = {}
    for (_, name), path in images.items():
        if (first_path := first.setdefault(name, path)) != path:
            raise _same_name(first_path, path)


def _same_name(first: Path, second: Path) -> DataError:
    return DataError(f"{first} and {second} have the same name, but a name must be there once only; remove one")


def _has_mask_name(name: str) -> bool:
    return name.lower().endswith(".png") and not name.startswith(".")


def _check_scenes(samples: Sequence[Sample]) -> None:
    """Refuse scenes that resemble those of BDD100K: as they are, they would count for the other group.

    Raises:
        DataError: with these scenes, the number of their images, and the likely meaning.
    """
    scenes = Counter(sample.attributes["scene"] for sample in samples)
    unknown = {scene: count for scene, count in scenes.items() if scene not in SCENES}
    meant = {scene: near for scene in unknown if (near := _meant_scenes(scene))}
    if meant:
        asked = [
            f"{scene!r} ({_images(unknown[scene])}): did you mean {' or '.join(map(repr, near))}?"
            for scene, near in meant.items()
        ]
        raise DataError(
            f"scenes in {DETS} are like BDD100K's; as they are, each is a scene of its own and counts as not {CITY}: "
            f"{' '.join(asked)} Write them as BDD100K does, or give what is none of these another name: "
            f"{', '.join(SCENES)}"
        )


def _meant_scenes(scene: str) -> tuple[str, ...]:
    """Return the scenes of BDD100K that a name may mean: those it contains or resembles."""
    folded = _plain(scene).replace(" ", "")
    if contained := tuple(name for name in SCENES if name.replace(" ", "") in folded):
        return contained
    if CITY_WORDS & set(_plain(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", scene)).split()):
        return (CITY,)
    near = _meant(scene, SCENES, LIKENESS)
    return (near,) if near else ()


def _misspelt(attribute: str, values: Iterable[str], names: Sequence[str]) -> Iterator[str]:
    """Yield a line for each value that resembles a known one, since the report would show it as a separate slice."""
    for value, count in Counter(values).most_common():
        if value not in names and (near := _meant(value, names, LIKENESS)):
            yield f"{_images(count)} with the {attribute} {value!r}, unknown to BDD100K: did you mean {near!r}?"


def _meant(word: str, names: Sequence[str], likeness: float) -> str:
    """Return the known name that a word misspells; "" if it resembles none."""
    plain = {_plain(name): name for name in names}
    near = get_close_matches(_plain(word), plain, n=1, cutoff=likeness)
    return plain[near[0]] if near else ""


def _plain(word: str) -> str:
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", word).casefold()).strip()


def _sample(image: Path, mask: Path, attributes: Attributes, part: str) -> Sample:
    try:
        image.stem.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{image} has a name that is not UTF-8, so nothing can be recorded of it: rename it") from error
    return Sample(image.stem, image, mask, attributes._asdict(), part)


def _both(folder: str) -> str:
    return " and ".join(f"{folder}/{part}" for part in PARTS)


def _parts() -> str:
    return " and ".join(PARTS)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"

"""A folder in BDD100K's layout -> Samples (image, mask, scene, weather, time of day) and what is wrong with it."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bddseg.errors import DataError
from bddseg.labels import SCENES

IMAGES = "images/10k"
MASKS = "labels/sem_seg/masks"
DETS = "labels/det_20"
PARTS = ("train", "val")
UNDEFINED = "undefined"
"""Weather or time of day that the labels do not give."""

CURE = (
    "download the 10k images, the semantic segmentation masks and the det_20 labels from the BDD100K project's "
    "download page and unpack them into one folder"
)
_KEPT = ("name", "attributes", "scene", "weather", "timeofday")


@dataclass(frozen=True)
class Sample:
    """One image with everything that is known of it."""

    name: str
    """File name without its extension."""
    image: Path
    mask: Path
    scene: str
    weather: str
    timeofday: str


@dataclass(frozen=True)
class Catalog:
    """The usable samples of a folder, and how much was left out."""

    root: Path
    samples: tuple[Sample, ...]
    """Sorted by name."""
    without_scene: int
    """Images that no det file names."""
    without_mask: int
    """Images that have a scene but no mask."""
    without_image: int
    """Entries of the det files that have no image."""

    def summary(self) -> tuple[str, ...]:
        """Return one line per thing worth saying: what is there, and what was left out and why."""
        scenes = Counter(sample.scene for sample in self.samples)
        counts = ", ".join(f"{scene} {count}" for scene, count in scenes.most_common())
        lines = [f"{len(self.samples)} images with mask and scene in {self.root}: {counts}"]
        if self.without_scene:
            lines.append(f"{_images(self.without_scene)} left out: no scene in {DETS}")
        if self.without_mask:
            lines.append(f"{_images(self.without_mask)} left out: no mask in {MASKS}")
        if self.without_image:
            lines.append(f"entries of {DETS} without an image: {self.without_image}")
        unknown = [scene for scene, _ in scenes.most_common() if scene not in SCENES]
        lines += [f"{_images(scenes[scene])} with the scene {scene!r}, unknown to BDD100K" for scene in unknown]
        return tuple(lines)


def is_dataset(root: Path) -> bool:
    """Return whether a folder looks like BDD100K; no file is read."""
    return (root / IMAGES / "train").is_dir()


def read_catalog(root: Path) -> Catalog:
    """Return the samples of a folder: every image that has a mask and a scene.

    An image's mask is looked for in the same part (train, val), its scene by file name in both det files.

    Raises:
        DataError: when a piece of the layout is missing, a det file is damaged, or nothing fits together.
    """
    images = _find_images(root)
    masks = {path.relative_to(root / MASKS).with_suffix("") for path in _files(root / MASKS, ".png")}
    if not masks:
        raise DataError(f"{root} has no masks: looked for *.png in {_both(MASKS)}; {CURE}")
    entries = _read_dets(root)

    seen = [path for path in images if path.name in entries]
    samples = [_sample(root, path, entries[path.name]) for path in seen if _key(path) in masks]
    if not samples:
        raise DataError(
            f"no image in {root} has both a scene and a mask: {len(images)} images, {len(masks)} masks and "
            f"{len(entries)} det entries do not share names; {CURE}"
        )
    return Catalog(
        root=root,
        samples=tuple(sorted(samples, key=lambda sample: sample.name)),
        without_scene=len(images) - len(seen),
        without_mask=len(seen) - len(samples),
        without_image=len(entries) - len(seen),
    )


def check_root(root: Path) -> None:
    """Refuse what is no folder.

    Raises:
        DataError: with what belongs into it.
    """
    if not root.is_dir():
        problem = "is not a folder" if root.exists() else "does not exist"
        raise DataError(f"{root} {problem}: looked for {IMAGES}, {MASKS} and {DETS} in it; {CURE}")


def _find_images(root: Path) -> list[Path]:
    check_root(root)
    images = list(_files(root / IMAGES, ".jpg"))
    if not images:
        raise DataError(f"{root} has no images: looked for *.jpg in {_both(IMAGES)}; {CURE}")
    parts: dict[str, Path] = {}
    for path in images:
        first = parts.setdefault(path.stem, path)
        if first != path:
            raise DataError(f"{first} and {path} have the same name, but a name must be in one part only; remove one")
    return images


def _files(folder: Path, suffix: str) -> Iterator[Path]:
    """Yield the files of both parts; hidden ones (as macOS leaves them in archives) are none."""
    for part in PARTS:
        found = (folder / part).glob(f"*{suffix}")
        yield from sorted(path for path in found if not path.name.startswith("."))


def _read_dets(root: Path) -> dict[str, Mapping[str, Any]]:
    """Return the attributes of every image that the det files name; the first entry of a name counts."""
    paths = [path for part in PARTS if (path := root / DETS / f"det_{part}.json").is_file()]
    if not paths:
        raise DataError(f"{root} has no det file: looked for det_train.json and det_val.json in {DETS}; {CURE}")
    entries: dict[str, Mapping[str, Any]] = {}
    for path in paths:
        for name, attributes in _read_det(path):
            entries.setdefault(name, attributes)
    return entries


def _read_det(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        entries = json.loads(path.read_bytes(), object_pairs_hook=_slim)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise DataError(f"{path} is not JSON: {error.msg} at {where}; unpack or download it again") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not JSON: no text at byte {error.start}; unpack or download it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if not isinstance(entries, list):
        raise DataError(f"{path} must be a list of objects with name and attributes.scene, but is no list")
    for number, entry in enumerate(entries, start=1):
        if not _is_entry(entry):
            raise DataError(f"{path}: entry {number} must be an object with the texts name and attributes.scene")
        yield entry["name"], entry["attributes"]


def _slim(pairs: list[tuple[str, Any]]) -> dict[str, Any] | None:
    """Return an object without its boxes and polygons: they are nearly all of the real files' hundreds of MB."""
    return {key: value for key, value in pairs if key in _KEPT} or None


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("attributes"), dict):
        return False
    return isinstance(entry.get("name"), str) and isinstance(entry["attributes"].get("scene"), str)


def _sample(root: Path, image: Path, attributes: Mapping[str, Any]) -> Sample:
    return Sample(
        name=image.stem,
        image=image,
        mask=(root / MASKS / _key(image)).with_name(f"{image.stem}.png"),
        scene=attributes["scene"],
        weather=_text(attributes.get("weather")),
        timeofday=_text(attributes.get("timeofday")),
    )


def _key(image: Path) -> Path:
    """Return `<part>/<name>`, under which an image's mask lies."""
    return Path(image.parent.name, image.stem)


def _text(value: object) -> str:
    return value if isinstance(value, str) and value else UNDEFINED


def _both(folder: str) -> str:
    return " and ".join(f"{folder}/{part}" for part in PARTS)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"

"""Dataset of a sweep: a folder with its description, or the embedded streets; its frames, split and image counts."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bddseg.config import DataSettings, TrainConfig
from bddseg.data.bdd100k import is_dataset
from bddseg.data.bdd100k_labels import BDD100K
from bddseg.data.catalog import Catalog, Sample, check_root, read_catalog
from bddseg.data.description import ALL, BDD100K_LAYOUT, Description
from bddseg.data.drives import unit_of
from bddseg.data.folders import is_folder
from bddseg.data.found_classes import find_classes
from bddseg.data.frames import Frames, build_frames
from bddseg.data.official_split import keep_parts
from bddseg.data.pixel_statistics import class_pixels
from bddseg.data.split import Split, split_of, usual_split
from bddseg.data.strata import Stratum, find_strata
from bddseg.data.streets.dataset import streets_folder, write_streets
from bddseg.errors import DataError, nearest, printable
from bddseg.task import Task
from bddseg.words import count
from sweeps.environment import cache_folder as cache_folder
from sweeps.errors import ExperimentError
from sweeps.paths import EXPERIMENTS, default_folder
from sweeps.planning.datasets_file import (
    STREETS,
    is_datasets_file,
    read_datasets,
    read_own,
    recorded_description,
)

ROOT_VARIABLE = "BDD100K_ROOT"
DEFAULT_ROOT = default_folder("data/bdd100k")


@dataclass(frozen=True)
class Source:
    """A profile, the folder it trains on, and its description; no folder means the embedded streets."""

    profile: str
    root: Path | None
    description: Description = BDD100K
    skip: Mapping[str, str] = field(default_factory=dict)
    """Names of images that are left out, with the reasons."""

    def sentence(self) -> str:
        """Return the profile and the data as a sentence."""
        if self.root is None:
            caveat = "generated scenes: scores say nothing about real roads"
            dataset = "" if self.description.name in (STREETS, BDD100K.name) else f", dataset {self.description.name}"
            return f"profile {self.profile} on the embedded streets{dataset} ({caveat})"
        dataset = "" if self.description.name == BDD100K.name else f", dataset {self.description.name}"
        return f"profile {self.profile} on {self.root}{dataset}"


@dataclass(frozen=True)
class Dataset:
    """Frames and split that all trials of a sweep share."""

    root: Path
    is_embedded: bool
    frames: Frames
    split: Split
    summary: tuple[str, ...]
    description: Description = BDD100K
    skip: Mapping[str, str] = field(default_factory=dict)
    """As the source had it."""

    @property
    def task(self) -> Task:
        """Return the classes and groups of its frames."""
        return self.frames.task

    def split_for(self, data: DataSettings) -> Split:
        """Return the split of a trial with these settings: the usual one, or its fold; each is made once.

        Raises:
            DataError: when the fold cannot be made.
        """
        if data not in self._splits:
            strata = self.frames.strata(self.split.balance)
            self._splits[data] = split_of(data, self.split, self.frames.names, strata)
        return self._splits[data]

    @cached_property
    def _splits(self) -> dict[DataSettings, Split]:
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Return the facts about the data as plain values, for the manifest."""
        parts = {"train": self.split.train, "val": self.split.val, "test": self.split.test}
        return {
            "root": str(self.root),
            "embedded": self.is_embedded,
            "fingerprint": self.frames.fingerprint,
            "images": len(self.frames),
            "size_px": self.frames.size_px,
            "summary": list(self.summary),
            "dataset": self.description.name,
            "description": dict(self.description.entry),
            **({"skip": dict(self.skip)} if self.skip else {}),
            "task": self.task.to_dict(),
            "scenes": dict(Counter(self.frames.scenes).most_common()) if self.task.attribute else {},
            "groups": {
                name: dict(Counter(self.task.groups_of(self.frames.scenes[i] for i in part)))
                for name, part in parts.items()
            }
            if self.task.groups
            else {},
            "split": {
                **{name: len(part) for name, part in parts.items()},
                "by_drive": self.split.by_drive,
                "warning": self.split.warning,
                **({"official": True} if self.description.is_official else {}),
            },
        }


@dataclass(frozen=True)
class ImageCounts:
    """Number of images in each part, before any is decoded."""

    images: int
    """In total, with those that are in no part."""
    train: int
    val: int
    test: int
    val_units: int
    """Drives of the validation part, or images where drives are not known."""
    open_units: int
    """The same of train and validation together, from which folds are cut."""
    unit: str
    """drives or images."""
    warning: str = ""
    """The warning of the split."""

    def in_folds(self, folds: int) -> "ImageCounts":
        """Return the sizes, rounded, when train and validation are cut into so many folds; 0 leaves them."""
        val = round((self.train + self.val) / folds) if folds else self.val
        return replace(self, train=self.train + self.val - val, val=val)


def choose_source(
    profiles: Mapping[str, Mapping[str, Any]],
    profile: str | None,
    data: Path | None,
    dataset: str | None = None,
    *,
    file: str = EXPERIMENTS,
) -> Source:
    """Return the data to train on: `data` if given, otherwise what the dataset and the profile need.

    Without a profile and a dataset: full where BDD100K is found, otherwise quick on the embedded streets.

    Args:
        profiles: sections of the file of spaces.
        profile: name of the profile.
        data: a folder, or the user's own file of datasets.
        dataset: name of the dataset in datasets.yaml, or in that file.
        file: name of the file of spaces.

    Raises:
        ExperimentError: for an unknown profile.
        DataError: for an unknown dataset, or when the data are not found.
    """
    if profile is not None and profile not in profiles:
        raise ExperimentError(
            f"profile {profile!r} is not in {file}; {nearest(profile, profiles)}known: {', '.join(profiles)}"
        )
    if data is not None and is_datasets_file(data):
        description, root = read_own(data, dataset)
        return Source(profile or "full", root, description)
    description = read_datasets().describe(dataset or BDD100K.name)
    if data is not None:
        return Source(profile or "full", data.resolve(), description)
    is_generated = profiles.get(profile or "", {}).get("data") == STREETS
    if dataset not in (None, STREETS):
        return _named_source(description, profile, is_generated=is_generated)
    streets = read_datasets().describe(STREETS)
    if dataset == STREETS or is_generated:
        return Source(profile or "quick", None, streets)
    found_root = _find_root()
    if profile is None:
        return Source("full", found_root, description) if found_root else Source("quick", None, streets)
    return Source(profile, _needed_root(profile, found_root), description)


def _named_source(description: Description, profile: str | None, *, is_generated: bool) -> Source:
    """Return the data of a dataset of datasets.yaml that was chosen by name, without a folder.

    Raises:
        DataError: when only --data could tell the folder, or BDD100K is not found.
    """
    if description.root:
        return Source(profile or "full", default_folder(description.root).resolve(), description)
    if description.layout != BDD100K_LAYOUT:
        raise DataError(f"dataset {description.name} needs its folder: give it with --data DIR")
    if is_generated:
        return Source(profile or "quick", None, description)
    return Source(profile or "full", _needed_root(profile or "full", _find_root()), description)


def _needed_root(profile: str, root: Path | None) -> Path:
    """Return the folder of BDD100K.

    Raises:
        DataError: when it is not found.
    """
    if root is None:
        variable = os.environ.get(ROOT_VARIABLE, "not set")
        raise DataError(
            f"profile {profile} needs BDD100K, looked for at --data (not given), {ROOT_VARIABLE} ({variable}) and "
            f"{DEFAULT_ROOT} (not there): get the 10k images, semantic segmentation and det_20 labels from the BDD100K "
            "project's download page, or use --profile quick"
        )
    return root


def recorded_source(profile: str, data: Mapping[str, Any], moved_to: Path | None) -> Source:
    """Return the data of a recorded sweep with its recorded description: in the recorded folder, or in `moved_to`.

    Raises:
        DataError: when there is no such folder.
    """
    description, skip = recorded_description(data), data.get("skip", {})
    if moved_to is not None and is_datasets_file(moved_to):
        names = read_datasets(moved_to).entries
        _, moved_to = read_own(moved_to, description.name if description.name in names else None)
    if moved_to is not None:
        check_root(moved_to, description)
        return Source(profile, moved_to.resolve(), description, skip)
    root = None if data["embedded"] else Path(str(data["root"]))
    if root and not is_folder(root):
        raise DataError(f"the data folder {root} does not exist any more: give the new folder of the data with --data")
    return Source(profile, root, description, skip)


def complete_source(source: Source, cache: Path) -> Source:
    """Return the data with the classes that are found in their masks, where the description has none.

    Raises:
        DataError: when the folder cannot be used, or its masks hold no classes.
    """
    if source.description.classes:
        return source
    catalog = load_catalog(source, cache)
    return replace(source, description=find_classes(catalog.samples, source.description, cache))


def load_catalog(source: Source, cache: Path) -> Catalog:
    """Return the dataset's file names and labels; the embedded streets are generated where they are missing.

    Raises:
        DataError: when the folder cannot be used.
    """
    return read_catalog(source.root or _embedded(cache), source.description, source.skip)


def count_images(catalog: Catalog, config: TrainConfig, description: Description) -> ImageCounts:
    """Return the sizes of the parts from names and attributes alone; damaged samples, not yet decoded, are counted too.

    Raises:
        DataError: when a part of the split or a fold of it cannot be used.
    """
    names, split = _split_catalog(catalog.samples, config, description)

    def units(part: Sequence[int]) -> int:
        return len({unit_of(names[index], split.drive_pattern) for index in part}) if split.by_drive else len(part)

    return ImageCounts(
        images=len(names),
        train=len(split.train),
        val=len(split.val),
        test=len(split.test),
        val_units=units(split.val),
        open_units=units((*split.train, *split.val)),
        unit="drives" if split.by_drive else "images",
        warning=split.warning,
    )


def load_dataset(
    source: Source,
    config: TrainConfig,
    cache: Path,
    *,
    on_bad_sample: str,
    progress: bool,
    catalog: Catalog | None = None,
) -> Dataset:
    """Return frames and split; the cache of frames, and the streets, are built where they are missing.

    Args:
        source: the profile and the folder.
        config: decides the split and the size of frames.
        cache: the folder of all caches.
        on_bad_sample: `fail` or `skip`.
        progress: show a bar on stderr.
        catalog: the folder's, where it was read already.

    Raises:
        DataError: when the folder, a file in it, or a part or fold of the split cannot be used.
    """
    root, description = source.root or _embedded(cache), source.description
    catalog = catalog or read_catalog(root, description, source.skip)
    _split_catalog(catalog.samples, config, description)  # an empty part is refused before minutes of decoding
    frames = build_frames(
        catalog.samples,
        config.data.size,
        cache,
        description=description,
        selection=config.data.classes,
        on_bad_sample=on_bad_sample,
        progress=progress,
    )
    parts = {sample.name: sample.part for sample in catalog.samples}
    strata = frames.strata(description.balance)
    split = _split(config.data, description, frames.names, strata, [parts[name] for name in frames.names])
    summary = _summary(catalog, frames, split, is_official=description.is_official)
    material = Dataset(root, source.root is None, frames, split, summary, description, source.skip)
    check_trials(material, [config])
    return material


def check_trials(material: Dataset, configs: Iterable[TrainConfig]) -> None:
    """Refuse data on which a trial is certain to fail or to learn nothing.

    Raises:
        DataError: when a fold cannot be made, a part has no pixel of any class, or BatchNorm would see one pixel.
    """
    frames, by_part = material.frames, {(config.data, config.bottleneck_pixels): config for config in configs}
    for config in by_part.values():
        split = material.split_for(config.data)
        where = f" of fold {config.data.fold}" if config.data.folds > 1 else ""
        for part, positions in (("training", split.train), ("validation", split.val)):
            if positions and len(_absent(frames, positions)) == len(frames.task.classes):
                raise DataError(
                    f"no {part} mask{where} under {material.root} has a pixel of the task's classes: "
                    f"{', '.join(frames.task.classes)}"
                )
        if len(split.train) * config.bottleneck_pixels < 2:
            raise DataError(
                f"the training part{where} under {material.root} is one image, which is one pixel at the deepest level "
                f"of {config.model.name}, and BatchNorm needs two: use more images, or a larger data.size"
            )


def _absent(frames: Frames, positions: Iterable[int]) -> tuple[str, ...]:
    """Return the classes without a pixel in the masks at these positions; stops once it has seen every class."""
    is_present, classes = np.zeros(256, dtype=bool), frames.task.classes
    for position in positions:
        is_present[np.unique(frames.masks[position])] = True
        if is_present[: len(classes)].all():
            break
    return tuple(name for name, seen in zip(classes, is_present, strict=False) if not seen)


def count_class_pixels(source: Source, config: TrainConfig, cache: Path, *, on_bad_sample: str) -> np.ndarray:
    """Return how many pixels of the training part each class of the description has, at the size of the frames.

    Shape:
        returns: (classes of the description,), int64.
    """
    every = config.with_overrides({"data.classes": ALL})
    material = load_dataset(source, every, cache, on_bad_sample=on_bad_sample, progress=False)
    return class_pixels(material.frames.masks, material.split.train, len(material.task.classes))


def _split(
    data: DataSettings,
    description: Description,
    names: Sequence[str],
    strata: Sequence[Stratum],
    parts: Sequence[str],
) -> Split:
    """Return the split that the description asks for: the parts of the folder, or drives whole and groups balanced."""
    if description.is_official:
        return keep_parts(data, names, strata, parts)
    return usual_split(data, names, strata, description.balance)


def _split_catalog(samples: Sequence[Sample], config: TrainConfig, description: Description) -> tuple[list[str], Split]:
    """Return the names of the samples and their split; an impossible fold of the settings is refused."""
    names, groups = [sample.name for sample in samples], Task((), (), description.attribute, description.groups)
    keys = dict.fromkeys(key for sample in samples for key in sample.attributes)
    attributes = {key: [sample.attributes.get(key, "") for sample in samples] for key in keys}
    strata = find_strata(groups, attributes, len(names), description.balance)
    split = _split(config.data, description, names, strata, [sample.part for sample in samples])
    split_of(config.data, split, names, strata)
    return names, split


def _find_root() -> Path | None:
    named = os.environ.get(ROOT_VARIABLE)
    if named:
        return Path(os.path.realpath(named))  # set by the user: reading the catalog reports a wrong path
    return DEFAULT_ROOT.resolve() if is_dataset(DEFAULT_ROOT) else None


def _embedded(cache: Path) -> Path:
    root = streets_folder(cache)
    write_streets(root)
    return root


def _summary(catalog: Catalog, frames: Frames, split: Split, *, is_official: bool) -> tuple[str, ...]:
    parts = f"{len(split.train)} train, {len(split.val)} validation, {len(split.test)} test"
    how = "drives whole" if split.by_drive else "frame by frame"
    how = "as in the folder" if is_official else how
    lines = [*catalog.summary()]
    if frames.turned:
        lines.append(
            f"{count(frames.turned, 'image')} turned upright by EXIF; a mask without the same entry is taken as upright"
        )
    if frames.skipped:
        lines.append(f"{count(len(frames.skipped), 'bad sample')} skipped: {', '.join(frames.skipped)}")
    lines.append(f"split: {parts} ({how})")
    if split.warning:
        lines.append(f"warning: {split.warning}")
    if absent := _absent(frames, split.train):
        lines.append(f"warning: no training mask has a pixel of {', '.join(absent)}: no trial can learn it")
    return tuple(map(printable, lines))

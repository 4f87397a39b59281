"""The catalog of a dataset folder: its samples by name, read as its description says."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from bddseg.data.bdd100k import CURE, IMAGES, MASKS, read_bdd100k
from bddseg.data.bdd100k_labels import BDD100K
from bddseg.data.description import BDD100K_LAYOUT, Description
from bddseg.data.det_files import DETS
from bddseg.data.folders import in_short
from bddseg.data.image_io import key_of
from bddseg.data.pattern_layout import read_pattern_layout
from bddseg.data.sample import Catalog as Catalog
from bddseg.data.sample import Remark, images
from bddseg.data.sample import Sample as Sample
from bddseg.errors import AccessError, DataError, nearest

READERS = {BDD100K_LAYOUT: read_bdd100k}
"""Layout -> its reader; all others are two file patterns."""


def read_catalog(root: Path, description: Description = BDD100K, skip: Mapping[str, str] | None = None) -> Catalog:
    """Return the usable samples of a folder.

    Args:
        root: the folder.
        description: of the dataset; the five classes of BDD100K if none is given.
        skip: names of samples that are left out, with the reasons.

    Raises:
        AccessError: when the system refuses to read a folder or a label file.
        DataError: when the folder does not fit the description, two files have one name, a label file is damaged, a
            name to skip is unknown, or no sample remains.
    """
    check_root(root, description)
    catalog = READERS.get(description.layout, read_pattern_layout)(root, description)
    catalog = _without(catalog, skip) if skip else catalog
    return replace(catalog, remarks=(*catalog.remarks, *_group_remarks(catalog, description)))


def _group_remarks(catalog: Catalog, description: Description) -> Iterator[Remark]:
    """Yield remarks about groups without an image, and about images without a group."""
    attribute, groups = description.attribute, description.groups
    values = Counter(sample.attributes[attribute] for sample in catalog.samples) if groups else Counter[str]()
    for group in groups:
        for value in group.values:
            if value not in values:
                near = nearest(value, values)
                text = f"no image has the {attribute} {value!r} of the group {group.name}"
                yield Remark("empty_value", f"{text}: {near.strip()}" if near else text)
    named = {value for group in groups for value in group.values}
    if groups and all(group.values for group in groups) and (others := set(values) - named):
        number = images(sum(values[value] for value in others))
        yield Remark(
            "without_group", f"{number} in no group, compared with none: {attribute} {in_short(sorted(others))}"
        )


def check_root(root: Path, description: Description = BDD100K) -> None:
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
        raise DataError(f"{root} {problem}: {_expected(description)}")


def _expected(description: Description) -> str:
    if description.layout:
        return f"looked for {IMAGES}, {MASKS} and {DETS} in it; {CURE}"
    return f"looked for {description.images[0]} and {description.masks[0]} in it"


def _without(catalog: Catalog, skip: Mapping[str, str]) -> Catalog:
    """Return the catalog without the samples to skip; a name that is left out anyway is no error."""
    names = {key_of(sample.name): sample.name for sample in catalog.samples}
    left_out = {key_of(name) for remark in catalog.remarks for name in remark.names}
    for name in skip:
        if key_of(name) not in names and key_of(name) not in left_out:
            raise DataError(
                f"data.skip names {name!r}, but no sample in {catalog.root} has this name; "
                f"{nearest(name, names.values())}it has {len(names)}, such as {next(iter(names.values()))!r}"
            )
    skipped = {names[key_of(name)]: reason for name, reason in skip.items() if key_of(name) in names}
    samples = tuple(sample for sample in catalog.samples if sample.name not in skipped)
    if not samples:
        raise DataError(f"data.skip leaves no sample of {len(names)} in {catalog.root}")
    return replace(catalog, samples=samples, skipped=skipped)

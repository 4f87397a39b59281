"""Classes that are found in masks."""

import itertools
from pathlib import Path

import pytest
from descriptions import describe_pairs
from folders import save_mask, write_pairs
from PIL import Image

from bddseg.data.catalog import read_catalog
from bddseg.data.description import Description
from bddseg.data.description_parser import parse_description
from bddseg.data.found_classes import MaskContent, describe_content, distinct_colours, find_classes
from bddseg.errors import DataError

BARE = describe_pairs(classes={})


def found(root: Path, cache: Path | None = None) -> Description:
    return find_classes(read_catalog(root, BARE).samples, BARE, cache)


def test_each_value_is_a_class_in_a_colour_of_its_own(tmp_path: Path) -> None:
    write_pairs(tmp_path, ["a"], [0, 7])
    write_pairs(tmp_path, ["b"], [2, 255])
    classes = found(tmp_path).classes
    assert [(label.name, label.values) for label in classes] == [
        ("class 0", (0,)),
        ("class 2", (2,)),
        ("class 7", (7,)),
    ]
    assert len({label.colour for label in classes}) == 3


def test_each_colour_is_a_class_of_that_colour(tmp_path: Path) -> None:
    write_pairs(tmp_path, ["a"], [[0, 0, 9], [5, 0, 0]])
    assert [(label.name, label.mask_colours, label.colour) for label in found(tmp_path).classes] == [
        ("class 0", ((0, 0, 9),), (0, 0, 9)),
        ("class 1", ((5, 0, 0),), (5, 0, 0)),
    ]


def test_black_and_white_masks_have_two_classes() -> None:
    description = describe_content(MaskContent(values={0: 10, 255: 5}), BARE)
    assert ([label.values for label in description.classes], description.ignore) == ([(0,), (255,)], ())


def test_the_record_of_found_classes_is_read_back_as_them(tmp_path: Path) -> None:
    description = found(write_pairs(tmp_path, ["a"], [0, 3, 255]))
    again = parse_description("tiny", description.entry, "record")
    assert (again.classes, again.ignore) == (description.classes, description.ignore)


def test_counts_are_kept_until_a_mask_changes(tmp_path: Path) -> None:
    root, cache = write_pairs(tmp_path / "data", ["a"], [0, 1]), tmp_path / "cache"
    assert len(found(root, cache).classes) == 2
    (kept,) = cache.iterdir()
    kept.write_text(kept.read_text().replace('"1"', '"9"'))
    assert found(root, cache).classes[1].values == (9,)
    save_mask(root / "masks/a.png", [0, 1, 2])
    assert len(found(root, cache).classes) == 3


def test_a_damaged_mask_is_left_to_those_who_decode_it(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, ["a", "b"], [0, 1])
    (root / "masks/b.png").write_bytes(b"")
    assert len(found(root).classes) == 2


def test_masks_of_one_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="tiny: the masks hold 1 class, but must hold 2 to 255; name them in the"):
        found(write_pairs(tmp_path, ["a"], [4]))


def test_values_beside_colours_are_refused(tmp_path: Path) -> None:
    write_pairs(tmp_path, ["a"], [0, 1])
    write_pairs(tmp_path, ["b"], [[0, 0, 9]])
    with pytest.raises(DataError, match=r"others colours, so classes cannot be found: .*a.png and .*b.png"):
        found(tmp_path, tmp_path / "cache")
    with pytest.raises(DataError, match=r"others colours, so classes cannot be found: .*a.png and .*b.png"):
        found(tmp_path, tmp_path / "cache")


def test_photographs_are_no_masks(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, ["a"])
    ramp = Image.linear_gradient("L")
    Image.merge("RGB", [ramp, ramp.rotate(90), ramp]).save(root / "masks/a.png")
    with pytest.raises(DataError, match=r"hold 257 or more colours, but at most 255 can be classes"):
        found(root)


def test_colours_differ() -> None:
    assert len(set(itertools.islice(distinct_colours(), 255))) == 255

"""Masks -> classes of the description: values, colours and palettes; what is unknown is named with its pixels."""

from pathlib import Path

import numpy as np
import pytest
from descriptions import CLASSES, COLOURS, describe_pairs
from folders import save_mask
from PIL import Image

from bddseg.data.bdd100k_labels import BDD100K, MASK_COLOURS
from bddseg.data.description import Description
from bddseg.data.mask_values import decode_labels, pack_colours, read_labels, selection_table, unpack_colour
from bddseg.errors import DataError
from bddseg.task import IGNORE

ROAD, SKY = [128, 64, 128], [70, 130, 180]


def labels(path: Path, description: Description) -> list[int]:
    """Return the first column of a decoded mask."""
    return [int(value) for value in read_labels(path, 1, description)[:, 0]]


def refusal(path: Path, description: Description) -> str:
    with pytest.raises(DataError) as caught:
        read_labels(path, 1, description)
    assert str(caught.value).startswith(f"{path} ")
    return str(caught.value).removeprefix(f"{path} ")


def save_palette(path: Path, indices: list[int], colours: dict[int, list[int]]) -> Path:
    """Write a palette mask whose rows have these indices."""
    image = Image.fromarray(np.array(indices, dtype=np.uint8)[:, None].repeat(3, axis=1), mode=None).convert("L")
    image.putpalette([channel for index in range(256) for channel in colours.get(index, [1, 2, 3])])
    image.save(path)
    return path


def test_values_become_indices_of_classes(tmp_path: Path) -> None:
    classes = {"road": {"values": [7, 9], "colour": ROAD}, "sky": {"values": 3, "colour": SKY}}
    path = save_mask(tmp_path / "a.png", [7, 3, 9, 255], size=(2, 4))
    assert labels(path, describe_pairs(classes=classes)) == [0, 1, 0, IGNORE]


def test_colours_become_indices_of_classes(tmp_path: Path) -> None:
    path = save_mask(tmp_path / "a.png", [SKY, ROAD, [0, 0, 0]], size=(2, 3))
    assert labels(path, describe_pairs(classes=COLOURS, ignore_colours=[0, 0, 0])) == [1, 0, IGNORE]


def test_an_opaque_mask_with_transparency_is_read_by_colours(tmp_path: Path) -> None:
    path = save_mask(tmp_path / "a.png", [[*SKY, 255], [*ROAD, 255]], size=(2, 2))
    assert labels(path, describe_pairs(classes=COLOURS)) == [1, 0]


def test_transparent_pixels_of_a_mask_are_refused_with_their_number(tmp_path: Path) -> None:
    path = save_mask(tmp_path / "a.png", [[*SKY, 255], [*ROAD, 0]], size=(3, 2))
    assert refusal(path, describe_pairs(classes=COLOURS)) == "has 3 pixels that are not opaque, but a mask must be"


def test_a_mask_of_colours_equals_that_of_values(tmp_path: Path) -> None:
    values = save_mask(tmp_path / "values.png", [*range(19), 255], size=(1, 20))
    colours = save_mask(tmp_path / "colours.png", [*MASK_COLOURS.values(), (0, 0, 0)], size=(1, 20))
    assert labels(values, BDD100K) == labels(colours, BDD100K) == [*range(19), IGNORE]


def test_unknown_values_are_named_with_their_pixels(tmp_path: Path) -> None:
    path = save_mask(tmp_path / "a.png", [0, 7, 7, 9], size=(2, 4))
    assert refusal(path, describe_pairs()) == (
        "has the unknown values 7 (4 pixels), 9 (2 pixels), but must hold 0 to 1 and 255 only"
    )


def test_of_many_unknown_values_five_are_named(tmp_path: Path) -> None:
    path = save_mask(tmp_path / "a.png", range(10, 17), size=(1, 7))
    assert "14 (1 pixel) and 2 more, but must hold" in refusal(path, describe_pairs())


def test_the_first_unknown_colour_is_named_with_its_pixels(tmp_path: Path) -> None:
    path = save_mask(tmp_path / "a.png", [ROAD, [128, 64, 129], [128, 64, 129]], size=(2, 3))
    assert refusal(path, describe_pairs(classes=COLOURS)) == (
        "has the unknown colour (128, 64, 129) (4 pixels), but must hold the colours of tiny exactly: (128, 64, 128), "
        "(70, 130, 180)"
    )


def test_where_the_rest_is_ignored_nothing_is_unknown(tmp_path: Path) -> None:
    values = save_mask(tmp_path / "values.png", [0, 77], size=(1, 2))
    colours = save_mask(tmp_path / "colours.png", [ROAD, [9, 9, 9]], size=(1, 2))
    assert labels(values, describe_pairs(ignore="rest")) == [0, IGNORE]
    assert labels(colours, describe_pairs(classes=COLOURS, ignore="rest")) == [0, IGNORE]


def test_a_value_of_255_may_be_a_class(tmp_path: Path) -> None:
    classes = {"back": {"values": 0, "colour": ROAD}, "front": {"values": 255, "colour": SKY}}
    path = save_mask(tmp_path / "a.png", [0, 255], size=(1, 2))
    assert labels(path, describe_pairs(classes=classes, ignore=[])) == [0, 1]


@pytest.mark.parametrize("mode", ["1", "LA", "I;16"])
def test_other_modes_are_refused_by_name(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    Image.new(mode, (2, 2)).save(path)
    assert refusal(path, describe_pairs()) == f"has the mode {mode}, but must have one channel of 8 bits (L or P)"


def test_values_are_refused_where_only_colours_are_described_and_the_reverse(tmp_path: Path) -> None:
    values, colours = save_mask(tmp_path / "values.png"), save_mask(tmp_path / "colours.png", [ROAD])
    by_colours = describe_pairs(classes=COLOURS)
    assert refusal(values, by_colours) == "has the mode L, but must have the colours of classes (RGB)"
    assert refusal(colours, describe_pairs()) == "has the mode RGB, but must have one channel of 8 bits (L or P)"


# --- palettes


def test_a_palette_mask_is_read_by_its_indices(tmp_path: Path) -> None:
    path = save_palette(tmp_path / "a.png", [0, 10, 18], {0: [128, 0, 0], 10: [9, 9, 9], 18: [0, 0, 0]})
    assert labels(path, BDD100K) == [0, 10, 18]


def test_a_palette_mask_is_read_by_its_colours_where_no_class_has_a_value(tmp_path: Path) -> None:
    path = save_palette(tmp_path / "a.png", [0, 1], {0: SKY, 1: ROAD})
    assert labels(path, describe_pairs(classes=COLOURS)) == [1, 0]


def test_a_palette_that_an_image_program_sorted_is_read_by_its_colours(tmp_path: Path) -> None:
    path = save_palette(tmp_path / "a.png", [0, 1, 2], {0: SKY, 1: ROAD, 2: [0, 0, 0]})
    assert labels(path, BDD100K) == [10, 0, IGNORE]


def test_black_alone_does_not_make_a_palette_one_of_colours(tmp_path: Path) -> None:
    path = save_palette(tmp_path / "a.png", [0, 0], {0: [0, 0, 0]})
    assert labels(path, BDD100K) == [0, 0]


# --- parts


def test_a_selection_maps_classes_to_outputs(tmp_path: Path) -> None:
    table = selection_table(describe_pairs(), "sky")
    assert table[:3].tolist() == [IGNORE, 0, IGNORE] and table[IGNORE] == IGNORE


def test_merged_classes_have_one_output() -> None:
    assert selection_table(describe_pairs(), "all=road+sky")[:2].tolist() == [0, 0]


def test_colours_survive_packing() -> None:
    packed = pack_colours(Image.new("RGB", (1, 1), (1, 2, 3)))
    assert unpack_colour(int(packed[0, 0])) == (1, 2, 3)


def test_the_classes_of_a_description_have_the_values_of_the_table(tmp_path: Path) -> None:
    mask = Image.fromarray(np.arange(2, dtype=np.uint8)[None])
    assert decode_labels(mask, tmp_path, describe_pairs(classes=CLASSES)).tolist() == [[0, 1]]

"""Descriptions of datasets: the classes that are chosen, and what is refused."""

import re
from typing import Any

import numpy as np
import pytest

from bddseg.data.bdd100k_labels import BDD100K
from bddseg.data.description import selection_text
from bddseg.data.description_parser import parse_description
from bddseg.data.mask_values import colour_table
from bddseg.errors import DataError
from bddseg.task import FIVE_CLASSES, IGNORE

ROADS = {
    "images": "images/{name}.png",
    "masks": "masks/{name}.png",
    "classes": {
        "road": {"values": [0, 7], "colour": [128, 64, 128]},
        "car": {"values": 1, "colour": [220, 60, 30]},
        "truck": {"values": 2, "colour": [0, 0, 70]},
    },
}


def parse(**changes: Any) -> Any:
    return parse_description("roads", {**ROADS, **changes}, "my.yaml: roads")


def refusal(**changes: Any) -> str:
    with pytest.raises(DataError) as caught:
        parse(**changes)
    return str(caught.value)


def test_bdd100k_is_the_task_of_records_without_one() -> None:
    assert BDD100K.task() == FIVE_CLASSES


def test_all_classes_are_trained_by_default() -> None:
    assert parse().task().classes == ("road", "car", "truck") == parse().task("all").classes


def test_merged_classes_are_one_output_with_the_first_colour() -> None:
    description = parse()
    task = description.task("road,vehicle=car+truck")
    assert (task.classes, task.palette[1], task.values) == (("road", "vehicle"), (220, 60, 30), (0, 1))
    assert description.remap_table("road,vehicle=car+truck")[[0, 7, 1, 2, 3]].tolist() == [0, 0, 1, 1, IGNORE]


def test_classes_outside_the_selection_are_ignored_but_known() -> None:
    description = parse()
    assert description.remap_table("truck,road")[1] == IGNORE
    assert np.flatnonzero(description.is_known_value()).tolist() == [0, 1, 2, 7, IGNORE]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("all", "all"),
        (["road", "car"], "road,car"),
        ({"vehicle": ["car", "truck"]}, "vehicle=car+truck"),
        (["road", {"vehicle": ["car", "truck"]}], "road,vehicle=car+truck"),
    ],
)
def test_a_selection_is_one_text(value: Any, text: str) -> None:
    assert selection_text(value, "data.classes") == text


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([], "data.classes is [], but must name classes"),
        ({"vehicle": []}, "data.classes.vehicle is [], but must name the classes that it merges"),
    ],
)
def test_a_selection_of_nothing_is_refused(value: Any, why: str) -> None:
    with pytest.raises(DataError, match=re.escape(why)):
        selection_text(value, "data.classes")


@pytest.mark.parametrize(
    ("selection", "why"),
    [
        ("road,cat", "data.classes 'road,cat': roads has no class 'cat'; did you mean car"),
        ("road,road", "has the class 'road' twice"),
        ("road,a=car,a=truck", "gives two classes the name 'a'"),
        ("Car=car,car=truck", "has 'Car' and 'car', which metrics would name alike"),
        ("road,+=car", "'+' must be a name of 1 to 60 characters"),
        ("top:2", "says nothing before pixels are counted"),
    ],
)
def test_a_selection_that_cannot_be_used_is_refused(selection: str, why: str) -> None:
    with pytest.raises(DataError, match=re.escape(why)):
        parse().task(selection)


def test_classes_that_metrics_would_name_alike_are_refused() -> None:
    classes = {"traffic light": {"values": 1, "colour": [1, 1, 1]}, "Traffic-Light": {"values": 2, "colour": [2, 2, 2]}}
    assert "my.yaml: roads.classes has 'traffic light' and 'Traffic-Light'" in refusal(classes=classes)


def test_two_classes_of_one_colour_in_masks_are_refused() -> None:
    classes = {name: {"mask_colours": [[1, 2, 3], [number, 0, 0]]} for number, name in enumerate(("a", "b"))}
    assert refusal(classes=classes) == "my.yaml: roads: a and b both have the mask colour (1, 2, 3)"


def test_groups_that_metrics_would_name_alike_are_refused() -> None:
    assert "has 'a b' and 'a_b'" in refusal(groups={"time": {"a b": ["x"], "a_b": ["y"]}})


def test_classes_with_colours_only_have_no_mask_values() -> None:
    classes = {name: {"mask_colours": [[number, 0, 0]]} for number, name in enumerate(("a", "b"))}
    assert parse(classes=classes).task().values == ()


def test_the_entry_is_kept_for_records() -> None:
    assert parse_description("roads", dict(parse().entry), "record") == parse()


# --- limits and contradictions


@pytest.mark.parametrize("marks", [{"values": 0}, {}])
def test_more_classes_than_a_byte_counts_are_refused(marks: dict[str, int]) -> None:
    labels = {f"c{index}": {"mask_colours": [index % 256, index // 256, 7], **marks} for index in range(256)}
    assert "classes has 256 classes, but must have at most 255" in refusal(classes=labels)


def test_255_classes_by_colour_have_255_indices() -> None:
    labels = {f"c{index}": {"mask_colours": [index, 0, 7]} for index in range(255)}
    assert colour_table(parse(classes=labels)).classes.max() == 254


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": {1: {"a": "x", "b": "rest"}, 2: {}}}, "groups has 2 attributes, but must have one: 1, 2"),
        ({"groups": {"": {"a": "x", "b": "rest"}}}, "groups must name an attribute"),
        ({"groups": {"scene": {"a": "x", "b": []}}}, "groups.scene.b has no value"),
        ({"attributes": {"file": "/etc/hostname"}}, "'/etc/hostname', but must be a path below the folder"),
        ({"attributes": {"file": "../other/labels.csv"}}, "must be a path below the folder"),
        ({"images": "a\0b/{name}.png"}, "must be a path below the folder"),
        ({"root": "a\0b"}, "no name of a file has a NUL character"),
        ({"select": ["road", {"vehicle": []}]}, "select.vehicle is [], but must name the classes that it merges"),
    ],
)
def test_a_description_that_would_fail_later_is_refused(changes: dict[str, Any], message: str) -> None:
    assert message in refusal(**changes)


def test_the_rest_is_ignored_without_the_value_of_a_class() -> None:
    labels = {"black": {"values": 0, "colour": [0, 0, 0]}, "white": {"values": 255, "colour": [255, 255, 255]}}
    assert parse(classes=labels, ignore="rest").remap_table()[[0, 1, 255]].tolist() == [0, IGNORE, 1]


@pytest.mark.parametrize("name", ["", "x" * 101])
def test_a_dataset_that_nothing_can_be_named_after_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="must have 1 to 100 characters"):
        parse_description(name, ROADS, "my.yaml: it")

"""Shapes of JSON values: the first difference is described."""

from typing import Any

import pytest

from bddseg.json_shapes import difference

SHAPE = {"name": str, "trials": [{"epochs": int, "lr?": (float, None)}], "tags?": {"*": str}}
SOUND: dict[str, Any] = {"name": "a", "trials": [{"epochs": 3, "lr": 1}, {"epochs": 4, "lr": None}], "tags": {}}


def test_what_has_the_shape_does_not_differ() -> None:
    assert difference(SOUND, SHAPE) == ""


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": None}, "name is null, but must be text"),
        ({"trials": {}}, "trials is an object, but must be a list"),
        ({"trials": [5]}, "trials[0] is 5, but must be an object"),
        ({"trials": [{}]}, "trials[0].epochs is missing"),
        ({"trials": [{"epochs": True}]}, "trials[0].epochs is true, but must be a whole number"),
        ({"trials": [{"epochs": 1, "lr": "x"}]}, "trials[0].lr is 'x', but must be a number or null"),
        ({"trials": [{"epochs": 1, "lr": float("nan")}]}, "trials[0].lr is nan, but must be a number or null"),
        ({"tags": {"a": 1}}, "tags.a is 1, but must be text"),
    ],
)
def test_the_first_difference_is_named_with_its_place(changed: dict[str, Any], message: str) -> None:
    assert difference(SOUND | changed, SHAPE) == message


def test_a_value_that_is_no_object_is_called_the_content() -> None:
    assert difference([], SHAPE) == "its content is a list, but must be an object"

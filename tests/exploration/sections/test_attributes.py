"""Attributes: counts, tests, groups; a folder without any has no section."""

from pathlib import Path

import numpy as np
from explorations import scene, survey_folder, survey_masks, write_pairs

from sweeps.exploration.sections.attributes import build_section, count_sides
from sweeps.exploration.survey import Survey

ATTRIBUTES = {"file": "attributes.csv", "key": "name"}
GROUPS = {"weather": {"dry": ["clear"], "wet": "rest"}}


def weathered(root: Path, weathers: list[str], **changes: object) -> Survey:
    weather = {f"{chr(97 + number % 26)}{number // 26}_0": value for number, value in enumerate(weathers)}
    masks = {name: scene(car=value == "rainy") for name, value in weather.items()}
    return survey_folder(write_pairs(root, masks, weather), attributes=ATTRIBUTES, **changes)


def test_a_folder_without_attributes_has_no_section(tmp_path: Path) -> None:
    assert build_section(survey_masks(tmp_path, [scene()] * 3)) is None


def test_the_sentence_has_the_most_frequent_value_and_the_effect_size(tmp_path: Path) -> None:
    section = build_section(weathered(tmp_path, ["clear"] * 9 + ["rainy"] * 3))
    assert section is not None
    assert section.sentence == (
        "Weather is clear in 75 % of the images; its 2 values are about equally frequent (Cohen's w 0.50)."
    )


def test_an_attribute_that_decides_a_class_has_a_v_of_one(tmp_path: Path) -> None:
    section = build_section(weathered(tmp_path, ["clear", "rainy"] * 4))
    assert section is not None
    (table,) = [table for table in section.data.tables if table.name == "associations"]
    assert [row[:3] for row in table.rows] == [("weather", "car", 1.0)]


def test_both_sides_of_a_group_have_their_images_and_drives(tmp_path: Path) -> None:
    survey = weathered(tmp_path, ["clear"] * 5 + ["rainy"] * 7, groups=GROUPS, drive="([a-z0-9]+)_")
    assert count_sides(survey, survey.task.contrasts[0], np.arange(12)) == ((5, 7), (5, 7))


def test_images_of_no_group_are_on_neither_side(tmp_path: Path) -> None:
    groups = {"weather": {"dry": ["clear"], "wet": ["rainy"]}}
    survey = weathered(tmp_path, ["clear"] * 5 + ["rainy"] * 7 + ["foggy"] * 4, groups=groups)
    assert count_sides(survey, survey.task.contrasts[0], np.arange(16))[0] == (5, 7)


def test_few_drives_cannot_tell_a_gap(tmp_path: Path) -> None:
    section = build_section(weathered(tmp_path, ["clear"] * 8 + ["rainy"] * 8, groups=GROUPS, drive="([a-z0-9]+)_"))
    assert section is not None
    (said,) = section.data.blocks[-1].lines
    assert said.startswith("The verdict will be cannot tell:")


def test_without_groups_nothing_is_said_of_a_gap(tmp_path: Path) -> None:
    section = build_section(weathered(tmp_path, ["clear"] * 8 + ["rainy"] * 8))
    assert section is not None
    assert "groups" not in {table.name for table in section.data.tables}

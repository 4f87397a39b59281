"""Colours: what training normalises with, and images that are almost black or white."""

from pathlib import Path

import numpy as np
from explorations import SIZE_PX, describe, scene, survey_folder, survey_masks, write_pairs

from bddseg.data.frames import build_frames
from bddseg.data.pixel_statistics import channel_statistics as training_statistics
from sweeps.exploration.sections.colour import build_section, channel_statistics


def test_mean_and_deviation_are_those_that_training_normalises_with(tmp_path: Path) -> None:
    survey = survey_masks(tmp_path / "data", [scene(car=number % 2 == 0, side=50) for number in range(20)])
    frames = build_frames(survey.folder.samples, SIZE_PX, tmp_path / "cache", description=describe())
    expected = training_statistics(frames.images, survey.parts["train"])
    for own, theirs in zip(channel_statistics(survey), expected, strict=True):
        assert np.array_equal(own, theirs)


def test_images_that_are_almost_black_or_white_are_named(tmp_path: Path) -> None:
    write_pairs(tmp_path, {"black": scene()}, level=2)
    write_pairs(tmp_path, {"white": scene()}, level=254)
    numbers = build_section(survey_folder(write_pairs(tmp_path, {"grey": scene()}))).data.numbers
    assert (numbers["almost_black"], numbers["almost_white"]) == (["black"], ["white"])


def test_brightness_is_shown_by_attribute(tmp_path: Path) -> None:
    weather = {"a": "clear", "b": "clear", "c": "rainy"}
    root = write_pairs(tmp_path, dict.fromkeys(weather, scene()), weather)
    survey = survey_folder(root, attributes={"file": "attributes.csv", "key": "name"})
    (table,) = [table for table in build_section(survey).data.tables if table.name == "brightness"]
    assert [row[:3] for row in table.rows] == [("weather", "clear", 2), ("weather", "rainy", 1)]

"""Frequencies of classes, and where they lie, by hand."""

from pathlib import Path

import numpy as np
import pytest
from explorations import IGNORED, SKY, scene, survey_masks

from sweeps.exploration.sections.classes import build_section, by_part_images, by_part_pixels, top_shares, write_percent

PIXELS = np.array([668_329_989, 452_690_852, 418_227_625, 384_303_219, 254_085_637])
"""The five largest classes of the original study: road, building, sky, vegetation, car."""


def test_the_n_largest_classes_keep_the_sum_of_their_shares() -> None:
    assert top_shares(np.array([10, 60, 30])).tolist() == pytest.approx([0.6, 0.9, 1.0])


def test_road_alone_keeps_31_percent_of_the_pixels_of_the_five_classes_of_the_original() -> None:
    assert write_percent(top_shares(PIXELS)[0]) == "31 %"


def test_a_share_has_a_digit_where_whole_percents_would_hide_it() -> None:
    assert [write_percent(share) for share in (0.0, 0.0001, 0.034, 0.5)] == ["0.0 %", "<0.1 %", "3.4 %", "50 %"]


def test_the_sentence_names_the_largest_class_and_what_is_ignored(tmp_path: Path) -> None:
    mask = scene()
    mask[24:] = IGNORED
    sentence = build_section(survey_masks(tmp_path, [mask])).sentence
    assert sentence.startswith("Sky is the most frequent of 2 classes, with 67 % of the labelled pixels")
    assert "25 % of all pixels are ignored; 1 class never occurs" in sentence


def test_each_part_has_its_own_shares(tmp_path: Path) -> None:
    survey = survey_masks(tmp_path, [scene(car=number % 2 == 0) for number in range(20)])
    cars = survey.has_class[:, 2]
    for name, part in (("training", "train"), ("validation", "val"), ("test", "test")):
        positions = survey.parts[part]
        assert by_part_images(survey)[name][2] == cars[positions].mean()
        assert by_part_pixels(survey)[name][2] == pytest.approx(48 * cars[positions].sum() / 1024 / len(positions))


def test_a_map_has_the_share_of_images_in_which_a_class_lies_at_a_place(tmp_path: Path) -> None:
    survey = survey_masks(tmp_path, [scene(), scene(), scene(), np.full((32, 32), SKY, dtype=np.uint8)])
    maps = build_section(survey).drawings["maps"].draw.args[0]  # type: ignore[attr-defined]
    assert maps.titles[0] == "sky"
    assert (maps.values[0][0, 0], maps.values[0][-1, 0]) == (1.0, 0.25)

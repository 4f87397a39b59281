"""What a smaller size costs, by hand, and the recommended size."""

from pathlib import Path

import numpy as np
import pytest
from explorations import CAR, IGNORED, SKY, scene, survey_masks

from sweeps.exploration.measurement import SIZES_PX
from sweeps.exploration.sections.resolution import build_section, recommend, self_ious


def test_a_mask_of_blocks_keeps_itself_at_every_size(tmp_path: Path) -> None:
    survey = survey_masks(tmp_path, [scene(side=64)])
    ious = self_ious(survey)
    assert (ious[:, 0] == 1.0).all() and np.isnan(ious[:, CAR]).all()
    section = build_section(survey)
    assert section is not None and section.data.numbers["recommended_px"] == 32


def test_a_line_that_a_size_doubles_has_an_iou_of_one_half(tmp_path: Path) -> None:
    mask = np.full((64, 64), SKY, dtype=np.uint8)
    mask[11] = CAR  # the taken one of rows 10 and 11
    ious = self_ious(survey_masks(tmp_path, [mask]))
    assert ious[SIZES_PX.index(32), CAR] == pytest.approx(0.5)
    assert ious[SIZES_PX.index(32), SKY] == pytest.approx(62 / 63)


def test_what_grows_over_ignored_pixels_costs_nothing(tmp_path: Path) -> None:
    mask = np.full((64, 64), SKY, dtype=np.uint8)
    mask[10], mask[11] = IGNORED, CAR  # row 11 is the taken one of both
    ious = self_ious(survey_masks(tmp_path, [mask]))
    assert ious[SIZES_PX.index(32), [SKY, CAR]].tolist() == [1.0, 1.0]


def test_the_smallest_size_that_keeps_90_percent_is_recommended() -> None:
    assert recommend(np.array([0.99, 0.97, 0.94, 0.90, 0.7])) == 64


def test_the_largest_size_is_recommended_where_none_keeps_enough() -> None:
    assert recommend(np.array([0.8, 0.7, 0.6, 0.5, 0.4])) == 512

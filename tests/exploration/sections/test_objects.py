"""Regions and speckle of a folder."""

from pathlib import Path

import numpy as np
import pytest
from explorations import CAR, IGNORED, scene, survey_masks

from sweeps.exploration.measurement import SIZE_BINS
from sweeps.exploration.sections.objects import bin_quantiles, build_section


def test_the_median_of_sizes_between_4_and_8_lies_between_4_and_8_pixels() -> None:
    sizes = np.zeros(SIZE_BINS, dtype=int)
    sizes[2] = 10
    assert bin_quantiles(sizes)[2] == pytest.approx(2.5)


def test_the_share_that_an_opening_removes_is_of_the_pixels_of_the_class(tmp_path: Path) -> None:
    mask = scene(car=True)
    mask[2, 2:4] = CAR  # a line of two beside a car of 48
    section = build_section(survey_masks(tmp_path, [mask]))
    assert section is not None
    rows = {row["class"]: row for row in section.data.tables[0].records()}
    assert rows["car"]["removed by opening"] == pytest.approx(2 / 50)
    assert (rows["car"]["regions"], rows["car"]["below 16 px"]) == (2, 0.5)


def test_masks_without_a_label_have_no_section(tmp_path: Path) -> None:
    assert build_section(survey_masks(tmp_path, [np.full((32, 32), IGNORED, dtype=np.uint8)])) is None

"""Counts and lift of pairs of classes, by hand; examples cover all pairs."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from explorations import ROAD, scene, survey_masks

from sweeps.exploration.content import Link
from sweeps.exploration.sections.cooccurrence import build_section, count_together, cover_pairs, lift_of

HAS = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 0]], dtype=bool)


def test_pairs_are_counted_in_images() -> None:
    assert count_together(HAS).tolist() == [[4, 2, 1], [2, 2, 0], [1, 0, 1]]


def test_lift_is_the_count_over_what_independence_expects() -> None:
    lift = lift_of(HAS)
    assert lift[0, 1] == pytest.approx(2 / (4 * 2 / 4))
    assert (lift[1, 2], lift[2, 2]) == (0.0, pytest.approx(4.0))


def test_an_absent_class_has_no_lift() -> None:
    assert np.isnan(lift_of(np.array([[True, False]]))[1]).all()


def test_examples_show_every_pair_that_occurs() -> None:
    examples = cover_pairs(HAS, [3, 2, 1, 0])
    assert examples == [2, 1]
    assert count_together(HAS[examples]).astype(bool).tolist() == count_together(HAS).astype(bool).tolist()


def test_examples_of_many_classes_need_little_memory() -> None:
    has_class = np.random.default_rng(0).random((1000, 150)) < 0.3
    tracemalloc.start()
    examples = cover_pairs(has_class, list(range(1000)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(examples) == 12 and peak < 8 * 2**20  # a flag for each image and pair would be 21 MiB


def test_a_count_leads_to_an_image_with_both_classes(tmp_path: Path) -> None:
    survey = survey_masks(tmp_path, [scene(), scene(car=True)])
    section = build_section(survey)
    assert section is not None
    cell = section.data.tables[0].rows[2][1]  # car with sky
    assert isinstance(cell, Link) and (cell.value, survey.names[cell.position]) == (1, "a_01")


def test_one_class_alone_has_no_section(tmp_path: Path) -> None:
    assert build_section(survey_masks(tmp_path, [np.full((32, 32), ROAD, dtype=np.uint8)])) is None

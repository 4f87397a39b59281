"""Confident learning on tiny masks whose figures can be checked by hand."""

import numpy as np
import pytest

from bddseg.task import IGNORE
from sweeps.statistics.confident_learning import (
    UNSURE,
    SelfConfidence,
    confident_classes,
    count_confident,
    count_labels,
    estimate_joint,
    look_like,
    sum_ignored,
    sum_margins,
    truth_losses,
)

TRUTH = np.array([[[0, 0, 1, IGNORE]]], dtype=np.uint8)
"""One image of four pixels in a row."""

OF_ROAD = np.array([0.9, 0.3, 0.2, 0.8])
PROBABILITIES = np.stack([OF_ROAD, 1 - OF_ROAD])[None, :, None, :]
"""Of two classes; the second pixel is labelled 0 and looks like 1."""

BARS = np.array([0.6, 0.8])


def test_the_bar_of_a_class_is_the_mean_probability_that_its_pixels_have_of_it() -> None:
    np.testing.assert_allclose(SelfConfidence.of(PROBABILITIES, TRUTH).bars(), [0.6, 0.8])


def test_bars_of_batches_are_those_of_all_images() -> None:
    rng = np.random.default_rng(0)
    probabilities, truth = rng.dirichlet([1, 1, 1], (4, 5, 5)).transpose(0, 3, 1, 2), rng.integers(0, 3, (4, 5, 5))
    parts = [SelfConfidence.of(probabilities[part], truth[part]) for part in (slice(0, 3), slice(3, 4))]
    np.testing.assert_allclose((parts[0] + parts[1]).bars(), SelfConfidence.of(probabilities, truth).bars())


def test_a_class_without_a_label_is_never_confident() -> None:
    assert SelfConfidence.of(PROBABILITIES, np.zeros_like(TRUTH)).bars()[1] == np.inf


def test_a_pixel_below_every_bar_is_of_no_class() -> None:
    assert confident_classes(PROBABILITIES, BARS).tolist() == [[[0, UNSURE, 1, 0]]]


def test_of_two_bars_that_are_reached_the_more_probable_class_counts() -> None:
    assert confident_classes(PROBABILITIES, np.array([0.1, 0.1])).tolist() == [[[0, 1, 1, 0]]]


def test_the_joint_counts_labelled_pixels_that_are_confident() -> None:
    confident = np.array([[[0, 1, 1, 0]]])
    assert count_confident(TRUTH, confident, 2).tolist() == [[[1, 1], [0, 1]]]


def test_unsure_pixels_are_in_no_count() -> None:
    assert count_confident(TRUTH, np.full((1, 1, 4), UNSURE), 2).sum() == 0


def test_labels_are_counted_with_the_ignored_ones_last() -> None:
    assert count_labels(TRUTH, 2).tolist() == [[2, 1, 1]]


def test_a_margin_is_how_much_more_probable_the_confident_class_is_than_the_label() -> None:
    margins = sum_margins(PROBABILITIES, TRUTH, np.array([[[0, 1, 1, 0]]]))
    np.testing.assert_allclose(margins, [[[0, 0.4], [0, 0]]])


def test_an_ignored_pixel_looks_like_a_class_that_is_half_as_probable_as_the_best() -> None:
    probabilities = np.array([0.5, 0.3, 0.2]).reshape(1, 3, 1, 1)
    assert look_like(probabilities, np.full((1, 1, 1), IGNORE)).ravel().tolist() == [True, True, False]
    assert not look_like(probabilities, np.zeros((1, 1, 1))).any()


def test_ignored_pixels_add_up_the_probabilities_of_what_they_look_like() -> None:
    np.testing.assert_allclose(sum_ignored(PROBABILITIES, TRUTH), [[0.8, 0.0]])


def test_the_loss_is_minus_the_mean_logarithm_of_the_label() -> None:
    expected = [[-(np.log(0.9) + np.log(0.3)) / 2, -np.log(0.8)]]
    np.testing.assert_allclose(truth_losses(PROBABILITIES, TRUTH), expected)


def test_a_class_that_an_image_lacks_has_no_loss() -> None:
    assert np.isnan(truth_losses(PROBABILITIES, np.zeros_like(TRUTH))[0, 1])


def test_the_joint_is_calibrated_to_the_labels() -> None:
    joint = estimate_joint(np.array([[3, 1], [0, 2]]), np.array([80, 20]))
    np.testing.assert_allclose(joint, [[0.6, 0.2], [0, 0.2]])
    assert joint.sum() == pytest.approx(1)


def test_a_class_that_is_never_confident_keeps_its_labels() -> None:
    np.testing.assert_allclose(estimate_joint(np.zeros((2, 2)), np.array([3, 1])), [[0.75, 0], [0, 0.25]])

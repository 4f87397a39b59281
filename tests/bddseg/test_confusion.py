"""Counting pixels and dividing once: fractions by hand, torchmetrics, slices."""

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from bddseg.confusion import count_pixels, iou, miou, miou_by_group, miou_by_value, miou_gap, pool
from bddseg.task import FIVE_CLASSES, IGNORE, Contrast

GROUPS = FIVE_CLASSES.group_names

TRUTH = np.array([[[0, 0], [1, IGNORE]], [[1, 1], [1, 1]]])  # (2, 2, 2)
PREDICTION = np.array([[[0, 1], [1, 1]], [[1, 1], [0, 1]]])


def random_masks(images: int = 12, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return truth with ignored pixels and a prediction that is right in about half of all pixels."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes, (images, 8, 8)).astype(np.uint8)
    prediction = np.where(rng.random(truth.shape) < 0.5, truth, rng.integers(0, classes, truth.shape))
    truth[rng.random(truth.shape) < 0.1] = IGNORE
    return truth, prediction


def torchmetrics_iou(truth: np.ndarray, prediction: np.ndarray, average: str | None) -> np.ndarray:
    metric = MulticlassJaccardIndex(5, average=average, ignore_index=IGNORE)
    metric.update(torch.from_numpy(prediction), torch.from_numpy(truth.astype(np.int64)))
    return np.asarray(metric.compute().numpy())


def test_rows_are_the_truth_and_columns_the_prediction() -> None:
    assert count_pixels(TRUTH, PREDICTION, 2)[0].tolist() == [[1, 1], [0, 1]]


def test_every_image_has_its_own_counts() -> None:
    assert count_pixels(TRUTH, PREDICTION, 2)[1].tolist() == [[0, 0], [1, 3]]


def test_counts_are_whole_numbers_of_64_bits() -> None:
    counts = count_pixels(TRUTH.astype(np.uint8), PREDICTION.astype(np.uint8), 2)
    assert counts.dtype == np.int64 and counts.tolist() == count_pixels(TRUTH, PREDICTION, 2).tolist()


def test_ignored_pixels_count_nowhere() -> None:
    assert count_pixels(TRUTH, PREDICTION, 2).sum() == TRUTH.size - 1


def test_no_images_have_no_counts() -> None:
    assert count_pixels(TRUTH[:0], PREDICTION[:0], 2).shape == (0, 2, 2)


def test_iou_is_intersection_over_union() -> None:
    pooled = pool(count_pixels(TRUTH, PREDICTION, 2))  # [[1, 1], [1, 4]]
    assert iou(pooled).tolist() == [1 / 3, 4 / 6]


def test_miou_is_the_mean_over_classes() -> None:
    assert miou(pool(count_pixels(TRUTH, PREDICTION, 2))) == pytest.approx((1 / 3 + 2 / 3) / 2)


def test_pooling_is_not_the_mean_of_the_images() -> None:
    counts = count_pixels(TRUTH, PREDICTION, 2)
    assert miou(counts).mean() != pytest.approx(float(miou(pool(counts))))


def test_an_absent_class_is_not_a_number() -> None:
    assert np.isnan(iou(np.diag([4, 0, 3]))).tolist() == [False, True, False]


def test_an_absent_class_leaves_the_mean() -> None:
    assert miou(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])) == pytest.approx((3 / 4 + 4 / 5) / 2)


def test_a_class_that_was_only_predicted_leaves_the_mean_too() -> None:
    assert miou(np.array([[3, 1], [0, 0]])) == 3 / 4


def test_nothing_counted_has_no_mean() -> None:
    assert np.isnan(miou(np.zeros((5, 5), dtype=np.int64)))


def test_iou_of_many_images_is_that_of_each() -> None:
    counts = count_pixels(*random_masks(), 5)
    assert iou(counts).tolist() == [iou(image).tolist() for image in counts]


def test_iou_agrees_with_torchmetrics() -> None:
    truth, prediction = random_masks()
    ours = iou(pool(count_pixels(truth, prediction, 5)))
    assert np.abs(ours - torchmetrics_iou(truth, prediction, None)).max() < 1e-6


def test_miou_agrees_with_torchmetrics() -> None:
    truth, prediction = random_masks()
    ours = float(miou(pool(count_pixels(truth, prediction, 5))))
    assert abs(ours - float(torchmetrics_iou(truth, prediction, "macro"))) < 1e-6


def test_slices_add_up_to_the_whole() -> None:
    counts = count_pixels(*random_masks(), 5)
    keep = np.arange(len(counts)) % 3 == 0
    assert (pool(counts, keep) + pool(counts, ~keep)).tolist() == pool(counts).tolist()


def test_the_order_of_images_does_not_matter() -> None:
    truth, prediction = random_masks()
    order = np.random.default_rng(1).permutation(len(truth))
    straight, permuted = count_pixels(truth, prediction, 5), count_pixels(truth[order], prediction[order], 5)
    assert pool(permuted).tolist() == pool(straight).tolist()


def test_a_permuted_set_has_permuted_counts() -> None:
    truth, prediction = random_masks()
    order = np.random.default_rng(1).permutation(len(truth))
    assert (count_pixels(truth[order], prediction[order], 5) == count_pixels(truth, prediction, 5)[order]).all()


def test_each_scene_is_the_miou_of_its_own_images() -> None:
    counts = count_pixels(TRUTH, PREDICTION, 2)
    expected = {"city street": (1 / 2 + 1 / 2) / 2, "tunnel": 3 / 4}  # no mask of the tunnel has class 0
    assert miou_by_value(counts, ["city street", "tunnel"]) == pytest.approx(expected)


def test_groups_are_pooled() -> None:
    counts = np.stack([np.diag([1, 1]), np.array([[1, 1], [0, 0]]), np.array([[0, 0], [1, 1]])])
    groups = miou_by_group(counts, ["city", "non_city", "non_city"], GROUPS)
    assert groups == pytest.approx({"city": 1.0, "non_city": 1 / 3})  # pooled: [[1, 1], [1, 1]]


def test_a_group_without_images_is_not_a_number() -> None:
    groups = miou_by_group(np.stack([np.diag([1, 1])]), ["city"], GROUPS)
    assert groups["city"] == 1.0 and np.isnan(groups["non_city"])


def test_a_group_agrees_with_torchmetrics_over_its_images() -> None:
    truth, prediction = random_masks()
    is_city = np.arange(len(truth)) % 2 == 0
    groups = ["city" if city else "non_city" for city in is_city]
    ours = miou_by_group(count_pixels(truth, prediction, 5), groups, GROUPS)
    for group, keep in (("city", is_city), ("non_city", ~is_city)):
        assert abs(ours[group] - float(torchmetrics_iou(truth[keep], prediction[keep], "macro"))) < 1e-6


def test_a_gap_is_one_group_less_all_others() -> None:
    counts = np.stack([np.diag([1, 1]), np.array([[1, 1], [0, 0]]), np.array([[0, 0], [1, 1]]), np.diag([9, 0])])
    gap = miou_gap(counts, ["a", "b", "c", ""], Contrast("a", "not_a", ("b", "c")))
    assert gap == pytest.approx(1 - 1 / 3)  # b and c pooled: [[1, 1], [1, 1]]; the last image is in no group

"""Counting on the device, and sums that the host reads once."""

import numpy as np
import pytest
import torch

import bddseg.confusion
from bddseg.counting import PassSums, count_by_products, count_pixels_on_device, read
from bddseg.task import IGNORE

CPU = torch.device("cpu")


def random_masks(images: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Return truth with ignored pixels, and a prediction."""
    rng = np.random.default_rng(0)
    truth = rng.choice([0, 1, 2, 3, 4, IGNORE], (images, 8, 8))
    return truth, rng.integers(0, 5, truth.shape)


def test_counts_on_the_device_are_those_of_numpy() -> None:
    truth, prediction = random_masks()
    counts = count_pixels_on_device(torch.from_numpy(truth), torch.from_numpy(prediction), 5).numpy()
    assert (counts[:, :-1] == bddseg.confusion.count_pixels(truth, prediction, 5)).all()


def test_the_last_row_is_what_was_predicted_on_ignored_pixels() -> None:
    truth, prediction = random_masks()
    counts = count_pixels_on_device(torch.from_numpy(truth), torch.from_numpy(prediction), 5)[:, -1]
    expected = [np.bincount(p[t == IGNORE], minlength=5) for t, p in zip(truth, prediction, strict=True)]
    assert counts.numpy().tolist() == np.array(expected).tolist()


def test_every_pixel_is_counted_once() -> None:
    truth, prediction = random_masks()
    assert count_pixels_on_device(torch.from_numpy(truth), torch.from_numpy(prediction), 5).sum() == truth.size


def test_products_of_one_hot_rows_count_as_bincount_does() -> None:
    truth, prediction = (torch.from_numpy(array) for array in random_masks())
    counts = count_by_products(truth.clamp(max=5).flatten(1), prediction.flatten(1), 5)
    assert torch.equal(counts, count_pixels_on_device(truth, prediction, 5))


@pytest.mark.parametrize("side", [1, 8, 23, 32])
def test_images_of_any_number_of_pixels_are_counted_by_products(side: int) -> None:
    rng = np.random.default_rng(side)
    truth, prediction = (torch.from_numpy(rng.integers(0, top, (3, side, side))) for top in (6, 5))
    assert torch.equal(
        count_by_products(truth.flatten(1), prediction.flatten(1), 5), count_pixels_on_device(truth, prediction, 5)
    )


def counted(*values: int) -> torch.Tensor:
    """Return one image's counts, with these in the first row.

    Shape:
        returns: (1, C + 1, C)
    """
    counts = torch.zeros(1, 6, 5, dtype=torch.int64)
    counts[0, 0, : len(values)] = torch.tensor(values)
    return counts


def test_the_loss_is_the_sum_over_the_weights() -> None:
    tally = PassSums(CPU, 5, pooled=True)
    tally.add(torch.tensor([3.0, 2.0]), counted(1))
    tally.add(torch.tensor([1.0, 6.0]), counted(1))
    assert read(tally)[0].loss == 0.5


def test_pooled_counts_are_added_up() -> None:
    tally = PassSums(CPU, 5, pooled=True)
    tally.add(torch.zeros(2), counted(1, 2))
    tally.add(torch.zeros(2), counted(10, 20))
    assert read(tally)[0].counts[:, 0, :2].tolist() == [[11, 22]]


def test_counts_by_image_stay_apart_even_when_the_batch_is_overwritten() -> None:
    tally, counts = PassSums(CPU, 5, pooled=False), counted(1)
    tally.add(torch.zeros(2), counts)
    counts[0, 0, 0] = 5
    tally.add(torch.zeros(2), counts)
    assert read(tally)[0].counts[:, 0, 0].tolist() == [1, 5]


def test_two_tallies_are_read_at_once() -> None:
    first, second = PassSums(CPU, 5, pooled=True), PassSums(CPU, 5, pooled=False)
    first.add(torch.tensor([1.0, 1.0]), counted(7))
    second.add(torch.tensor([1.0, 4.0]), counted(8))
    second.add(torch.tensor([1.0, 4.0]), counted(9))
    counts = read(first, second)
    assert [pass_counts.loss for pass_counts in counts] == [1.0, 0.25]
    assert [pass_counts.counts[:, 0, 0].tolist() for pass_counts in counts] == [[7], [8, 9]]


def test_a_large_count_is_exact() -> None:
    tally = PassSums(CPU, 5, pooled=True)
    tally.add(torch.zeros(2), counted(2**40 + 1))
    assert read(tally)[0].counts[0, 0, 0] == 2**40 + 1


def test_a_pass_over_nothing_valid_has_no_loss() -> None:
    tally = PassSums(CPU, 5, pooled=True)
    tally.add(torch.zeros(2), counted())
    assert read(tally)[0].loss == pytest.approx(float("nan"), nan_ok=True)

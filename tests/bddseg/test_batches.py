"""Batches of frames: statistics of the training part, and where pixels are stored."""

import numpy as np
import torch
from tiny import make_frames, make_split

from bddseg.batches import RESIDENT_SHARE, Pixels, fits
from bddseg.data.pixel_statistics import channel_statistics, class_pixels
from bddseg.task import IGNORE

FRAMES, SPLIT = make_frames(), make_split()


def test_channel_statistics_are_mean_and_deviation_of_the_training_part() -> None:
    mean, deviation = channel_statistics(FRAMES.images, np.array([0, 3, 5]))
    pixels = FRAMES.images[[0, 3, 5]] / 255
    assert np.abs(mean - pixels.mean(axis=(0, 1, 2))).max() < 1e-6
    assert np.abs(deviation - pixels.std(axis=(0, 1, 2))).max() < 1e-6


def test_a_channel_of_one_value_can_be_normalised() -> None:
    images = np.full((2, 4, 4, 3), 7, dtype=np.uint8)
    assert (channel_statistics(images, np.array([0, 1]))[1] > 0).all()


def test_class_pixels_leave_out_ignored_ones_and_other_parts() -> None:
    masks = np.array([[[0, 1]], [[4, IGNORE]], [[2, 2]]], dtype=np.uint8)
    assert class_pixels(masks, np.array([0, 1]), 5).tolist() == [1, 1, 0, 0, 1]


def test_batches_come_in_the_order_given() -> None:
    pixels = Pixels(FRAMES, np.array(SPLIT.train), torch.device("cpu"))
    first, second = pixels.placed([np.array([3, 1]), np.array([5])])
    assert (first[0].numpy() == FRAMES.images[[3, 1]]).all() and (second[1].numpy() == FRAMES.masks[[5]]).all()


def test_a_batch_is_normalised_in_channels_last_order() -> None:
    pixels = Pixels(FRAMES, np.array(SPLIT.train), torch.device("cpu"))
    images, masks = pixels.load(next(pixels.placed([np.array([0, 1])])))
    assert images.shape == (2, 3, 16, 16) and images.is_contiguous(memory_format=torch.channels_last)
    assert masks.dtype == torch.int64


def test_frames_live_on_a_gpu_that_has_room_for_them() -> None:
    assert fits(int(100 * RESIDENT_SHARE), 100)
    assert not fits(int(100 * RESIDENT_SHARE) + 1, 100)

"""Augmentation: image and mask together, with random numbers for each image."""

import pytest
import torch
from torch import Tensor

from bddseg.augment import AUGMENTATIONS, SMALLEST_CROP, build_augmentation
from bddseg.errors import ConfigError
from bddseg.task import IGNORE


def make_batch(number: int = 64, size: int = 16) -> tuple[Tensor, Tensor]:
    """Images whose red channel is the mask's class / 255, so that the two can be compared pixel by pixel."""
    masks = torch.arange(size).repeat(number, size, 1) // (size // 4)  # four upright stripes
    images = torch.stack([masks / 255.0, torch.zeros_like(masks) + 0.5, torch.zeros_like(masks) + 0.25], dim=1)
    return images.to(memory_format=torch.channels_last), masks


def augmented(name: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    return build_augmentation(name)(*make_batch())


def test_none_changes_nothing() -> None:
    images, masks = augmented("none")
    assert torch.equal(images, make_batch()[0]) and torch.equal(masks, make_batch()[1])


def test_flip_mirrors_about_half_of_the_images() -> None:
    _, masks = augmented("flip")
    mirrored = (masks[:, 0, 0] == 3).sum()
    assert 20 <= mirrored <= 44


def test_flip_mirrors_a_mask_exactly_when_it_mirrors_the_image() -> None:
    images, masks = augmented("flip")
    assert torch.equal(images[:, 0], masks / 255.0)


def test_flipping_is_its_own_inverse() -> None:
    _, masks = augmented("flip")
    back = torch.where((masks[:, :1, :1] == 3), masks.flip(-1), masks)
    assert torch.equal(back, make_batch()[1])


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_shapes_and_types_stay(name: str) -> None:
    images, masks = augmented(name)
    assert images.shape == (64, 3, 16, 16) and masks.shape == (64, 16, 16)
    assert images.dtype == torch.float32 and masks.dtype == torch.int64


def test_standard_keeps_values_between_0_and_1() -> None:
    images, _ = augmented("standard")
    assert images.min() >= 0 and images.max() <= 1


def test_a_mask_gains_no_class() -> None:
    images, masks = make_batch()
    masks[masks == 3] = IGNORE
    torch.manual_seed(1)
    _, augmented = build_augmentation("standard")(images, masks)
    assert set(augmented.unique().tolist()) == {0, 1, 2, IGNORE}


def test_a_crop_shows_no_less_than_its_smallest_share() -> None:
    _, masks = augmented("standard")
    widest = torch.stack([(masks[:, 0] == index).sum(1) for index in range(4)]).max()
    assert widest <= round(4 / SMALLEST_CROP) + 1


def test_each_image_has_a_draw_of_its_own() -> None:
    images, _ = augmented("standard")
    assert len(images[:, 1].mean((1, 2)).unique()) > 60


def test_the_same_seed_gives_the_same_batch() -> None:
    first, second = augmented("standard", 5), augmented("standard", 5)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_image_and_mask_are_cropped_alike() -> None:
    torch.manual_seed(2)
    images, masks = make_batch(8, 64)
    images[:, 1:] = images[:, :1]  # grey: recolouring is a line through each image's values
    augmented, labels = build_augmentation("standard")(images, masks)
    for picture, mask in zip(augmented[:, 0], labels, strict=True):
        means = [picture[mask == index].mean() for index in mask.unique()]
        assert means == sorted(means)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="must be one of none, flip, standard"):
        build_augmentation("mixup")

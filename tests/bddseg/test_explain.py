"""Explanations: correct and wrong pixels, IoU of single images, attention maps."""

from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_config, make_frames

from bddseg.explain import NOT_JUDGED, RIGHT, WRONG, attention_maps, compare, score_images
from bddseg.models import build_model
from bddseg.predictor import Predictor, load_trained
from bddseg.task import IGNORE

FRAMES = make_frames(images=4)


def make_trained(name: str) -> Predictor:
    """Return a network with the weights it was born with."""
    torch.manual_seed(0)
    config = make_config(model_name=name)
    weights = build_model(name, classes=5, base_filters=config.model.base_filters).state_dict()
    scale = {"mean": torch.full((3,), 0.5), "deviation": torch.full((3,), 0.25)}
    return load_trained({"config": config.to_dict(), "weights": weights, "normalisation": scale})


def test_agreement_says_right_wrong_and_not_judged() -> None:
    truth, predicted = np.array([[0, 1], [IGNORE, 3]]), np.array([[0, 2], [2, 3]])
    assert compare(truth, predicted).tolist() == [[RIGHT, WRONG], [NOT_JUDGED, RIGHT]]


def test_the_miou_of_an_image_can_be_checked_by_hand() -> None:
    truth = np.array([[[0, 0, 0, 1]], [[IGNORE, IGNORE, IGNORE, IGNORE]]])
    predicted = np.array([[[0, 0, 1, 1]], [[0, 1, 2, 3]]])
    first, second = score_images(truth, predicted, 5)
    assert first == pytest.approx((2 / 3 + 1 / 2) / 2) and np.isnan(second)


def test_four_gates_give_four_maps_of_the_images_size() -> None:
    maps = attention_maps(make_trained("attention_unet"), FRAMES.images[:3])
    assert maps.shape == (3, 4, 16, 16) and maps.dtype == np.float32
    assert maps.min() >= 0 and maps.max() <= 1


def test_maps_of_odd_sizes_are_cut_back_to_the_image() -> None:
    images = make_frames(images=2, size=19).images
    assert attention_maps(make_trained("attention_unet"), images).shape == (2, 4, 19, 19)


def test_the_deepest_gate_comes_first() -> None:
    maps = attention_maps(make_trained("attention_unet"), FRAMES.images[:1])[0]
    roughness = [float(np.abs(np.diff(gate, axis=-1)).max()) for gate in maps]
    assert roughness[0] < roughness[-1]  # enlarged eight times, against not at all


def test_the_last_map_is_what_the_gate_let_through() -> None:
    trained = make_trained("attention_unet")
    seen: list[torch.Tensor] = []
    gate: Any = trained.model.gates[0]
    gate.psi.register_forward_hook(lambda layer, inputs, coefficients: seen.append(coefficients))
    maps = attention_maps(trained, FRAMES.images[:1])
    assert np.allclose(maps[0, 3], seen[0][0, 0].numpy())


def test_a_network_without_gates_has_no_maps() -> None:
    assert attention_maps(make_trained("unet"), FRAMES.images[:2]).shape == (2, 0, 16, 16)


def test_looking_leaves_no_hooks_behind() -> None:
    trained = make_trained("attention_unet")
    attention_maps(trained, FRAMES.images[:1])
    assert not any(module._forward_hooks for module in trained.model.modules())

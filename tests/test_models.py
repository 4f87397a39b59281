"""The three U-Nets: sizes as published, shapes, and what they refuse."""

import pytest
import torch
from torch import Tensor, nn

from bddseg.blocks import AttentionGate, DoubleConv
from bddseg.errors import ConfigError
from bddseg.models import MODELS, build_model, count_parameters

NAMES = sorted(MODELS)


def make_model(name: str, base_filters: int = 4, **options: float) -> nn.Module:
    torch.manual_seed(0)
    return build_model(name, classes=5, base_filters=base_filters, **options)


def make_images(height: int = 32, width: int = 32) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "base_filters", "expected"),
    [
        ("unet", 64, 7_703_237),
        ("vanilla_unet", 32, 7_766_117),
        ("vanilla_unet", 64, 31_043_781),
        ("vanilla_unet", 128, 124_133_765),
        ("attention_unet", 64, 31_569_393),
    ],
)
def test_parameters_are_as_many_as_published(name: str, base_filters: int, expected: int) -> None:
    with torch.device("meta"):
        assert count_parameters(build_model(name, classes=5, base_filters=base_filters)) == expected


def test_a_double_convolution_has_the_parameters_that_one_counts_by_hand() -> None:
    first, second = 3 * 2 * 9 + 2 + 2 * 2, 2 * 2 * 9 + 2 + 2 * 2  # weights, biases, BatchNorm's scale and shift
    assert count_parameters(DoubleConv(3, 2)) == first + second


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (16, 48), (30, 17), (8, 5)])
def test_logits_have_the_size_of_the_images(name: str, height: int, width: int) -> None:
    with torch.no_grad():
        assert make_model(name).eval()(make_images(height, width)).shape == (2, 5, height, width)


@pytest.mark.parametrize("name", NAMES)
def test_an_odd_size_is_continued_by_its_last_pixels_and_cut_back(name: str) -> None:
    model, images = make_model(name).eval(), make_images(30, 31)
    continued = nn.functional.pad(images, (0, 1, 0, 2), mode="replicate")
    with torch.no_grad():
        assert torch.equal(model(images), model(continued)[..., :30, :31])


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_builds_the_same_network(name: str) -> None:
    first, second = make_model(name).state_dict(), make_model(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = make_model(name)
    model(make_images()).square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_only_the_attention_network_has_dropout() -> None:
    layers = {name: sum(isinstance(m, nn.Dropout2d) for m in make_model(name, dropout=0.2).modules()) for name in NAMES}
    assert layers == {"unet": 0, "vanilla_unet": 0, "attention_unet": 18}


def test_a_gate_scales_each_pixel_by_a_number_between_0_and_1() -> None:
    torch.manual_seed(3)
    gate, skip = torch.randn(2, 8, 4, 4), torch.rand(2, 4, 8, 8) + 0.5
    share = AttentionGate(4)(gate, skip) / skip
    assert (share > 0).all() and (share < 1).all()
    assert torch.allclose(share, share[:, :1].expand_as(share))


def test_the_coefficients_of_a_gate_can_be_seen_through_a_hook() -> None:
    model, seen = make_model("attention_unet").eval(), []
    for gate in model.gates:
        gate.psi.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape)))
    with torch.no_grad():
        model(make_images())
    assert seen == [(2, 1, size, size) for size in (4, 8, 16, 32)]


def test_channels_last_gives_the_same_logits() -> None:
    model, images = make_model("vanilla_unet").eval(), make_images()
    with torch.no_grad():
        plain = model(images)
        last = model.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
    assert torch.allclose(plain, last, atol=1e-5)


def test_a_tiny_network_learns_two_images_by_heart() -> None:
    model, images = make_model("unet", 8), make_images(16, 16)
    target = (images[:, 0] > 0).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), target).backward()
        optimizer.step()
    assert (model(images).argmax(1) == target).float().mean() > 0.95


def test_an_unknown_network_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="must be one of unet, vanilla_unet, attention_unet"):
        make_model("resnet")


def test_an_odd_width_is_refused_for_gates() -> None:
    with pytest.raises(ConfigError, match="must be even"):
        make_model("attention_unet", 5)

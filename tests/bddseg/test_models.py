"""U-Nets: sizes counted by hand, a gate computed by hand, and nets that learn two images by heart."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_frames
from torch import Tensor, nn
from torch.nn import functional

from bddseg import models
from bddseg.blocks import INITIALISERS, AttentionGate, DoubleConv
from bddseg.confusion import count_pixels, miou, pool
from bddseg.errors import ConfigError
from bddseg.losses import balanced_weights, cross_entropy, mean
from bddseg.models import MODELS, USES_DROPOUT, UNet, build_model, count_parameters
from bddseg.optim import build_optimizer

MULTIPLE = {"unet": 8, "vanilla_unet": 16, "attention_unet": 16}


def make_model(name: str, base_filters: int = 4, *, seed: int = 0, **settings: Any) -> nn.Module:
    torch.manual_seed(seed)
    return build_model(name, classes=5, base_filters=base_filters, **settings)


def make_images(*size: int, seed: int = 1) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def make_gate(channels: int) -> AttentionGate:
    """Return a gate whose BatchNorms have seen something, in evaluation mode."""
    torch.manual_seed(0)
    gate = AttentionGate(channels)
    for layer in gate.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = torch.rand(layer.num_features)
            layer.running_var = 0.5 + torch.rand(layer.num_features)
    return gate.eval()


def gate_by_formula(gate: Any, signal: Tensor, skip: Tensor) -> Tensor:
    """Return the coefficients of equation 1 in Oktay et al. 2018, each 1x1 convolution as a product of matrices."""

    def project(branch: Any, x: Tensor) -> Tensor:
        conv, norm = branch[0], branch[1]
        y = torch.einsum("oi,nihw->nohw", conv.weight[:, :, 0, 0], x)
        column = (1, -1, 1, 1)
        return (y - norm.running_mean.view(column)) / (norm.running_var.view(column) + norm.eps).sqrt()

    g = functional.interpolate(project(gate.of_gate, signal), skip.shape[-2:], mode="bilinear", align_corners=False)
    return torch.sigmoid(project(gate.psi, torch.relu(g + project(gate.of_skip, skip))))


def counted_by_hand(name: str, base: int) -> int:
    """Return the parameters of a net, added up from its description."""

    def double(i: int, o: int) -> int:
        return 9 * i * o + 2 * o + 9 * o * o + 2 * o  # BatchNorm takes the place of a bias

    def gate(c: int) -> int:
        half = c // 2
        return (2 * c * half + 2 * half) + (c * half + 2 * half) + (half + 2)

    widths = [base * 2**level for level in range(3 if name == "unet" else 4)]
    total = sum(double(i, o) for i, o in zip([3, *widths], [*widths, 2 * widths[-1]], strict=True))
    total += sum(4 * 2 * w * w + w + double(2 * w, w) for w in widths)  # up from 2 w, then decode
    total += sum(gate(w) for w in widths) if name == "attention_unet" else 0
    return total + 5 * base + 5


def sees(hook: Callable[[Tensor], None]) -> Callable[..., None]:
    """Return a forward hook that hands on the output."""
    return lambda module, inputs, output: hook(output)


@pytest.mark.parametrize(
    "name, base, parameters",
    [
        ("unet", 64, 7_700_421),
        ("vanilla_unet", 32, 7_763_173),
        ("vanilla_unet", 64, 31_037_893),
        ("vanilla_unet", 128, 124_121_989),
        ("attention_unet", 64, 31_562_541),
    ],
)
def test_nets_have_as_many_parameters_as_their_description(name: str, base: int, parameters: int) -> None:
    with torch.device("meta"):  # counts without memory for the numbers
        result = count_parameters(build_model(name, classes=5, base_filters=base))
    assert result == parameters == counted_by_hand(name, base)


@pytest.mark.parametrize("name", MODELS)
def test_no_convolution_before_batchnorm_has_a_bias(name: str) -> None:
    layers = list(make_model(name).modules())
    pairs = [(a, b) for a, b in itertools.pairwise(layers) if isinstance(b, nn.BatchNorm2d)]
    assert pairs and all(isinstance(conv, nn.Conv2d) and conv.bias is None for conv, _ in pairs)


@pytest.mark.parametrize("name", MODELS)
def test_only_trainable_numbers_count(name: str) -> None:
    model = make_model(name)
    model.get_submodule("head").requires_grad_(False)
    assert count_parameters(model) == counted_by_hand(name, 4) - (5 * 4 + 5)


def test_a_gate_of_one_inner_channel_by_hand() -> None:
    gate = AttentionGate(2).eval()  # BatchNorm starts as the identity, but for its eps
    for branch, weight, bias in ((gate.of_gate, 0.5, 0.0), (gate.of_skip, 1.0, -2.0), (gate.psi, 1.0, -1.0)):
        nn.init.constant_(branch[0].weight, weight)  # type: ignore[arg-type]
        nn.init.constant_(branch[1].bias, bias)  # type: ignore[arg-type]
    signal = torch.tensor([1.0, 2.0, -1.0, 0.0]).view(1, 4, 1, 1)  # 0.5 x 2 = 1
    skip = torch.tensor([[3.0, -9.0], [1.0, 0.0]]).view(1, 2, 1, 2)  # sums 4 and -9; less 2: 2 and -11
    result = gate(signal.expand(1, 4, 1, 2), skip)
    first_gate, second_gate = torch.tensor(
        [3.0 - 1, 0.0 - 1]
    ).sigmoid()  # relu(1 + 2) = 3, relu(1 - 11) = 0; psi less 1
    assert torch.allclose(result, skip * torch.stack([first_gate, second_gate]), atol=1e-4)


@pytest.mark.parametrize("size", [4, 8])
def test_a_gate_is_the_formula_for_a_gate_of_half_and_of_equal_size(size: int) -> None:
    gate, signal, skip = make_gate(6), make_images(2, 12, size, size), make_images(2, 6, 8, 8, seed=2)
    assert torch.allclose(gate(signal, skip), skip * gate_by_formula(gate, signal, skip), atol=1e-5)


def test_a_gate_of_the_skips_size_is_not_resampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("bddseg.blocks.interpolate")
    make_gate(6)(make_images(1, 12, 8, 8), make_images(1, 6, 8, 8))


def test_a_hook_on_psi_sees_the_coefficients_of_every_level() -> None:
    model, maps = make_model("attention_unet").eval(), list[Tensor]()
    for module in model.modules():
        if isinstance(module, AttentionGate):
            module.psi.register_forward_hook(sees(maps.append))
    model(make_images(2, 3, 32, 32))
    assert [tuple(result.shape) for result in maps] == [(2, 1, side, side) for side in (4, 8, 16, 32)]  # deepest first
    assert all((result > 0).all() and (result < 1).all() for result in maps)


@pytest.mark.parametrize("name", MODELS)
def test_the_decoder_starts_from_the_skips_it_was_planned_for(name: str) -> None:
    model, widths = make_model(name, 6), list[int]()
    assert isinstance(model, UNet)
    for block in (*model.encoder, model.bottleneck, *reversed(model.decoder)):
        block.register_forward_hook(sees(lambda output: widths.append(output.shape[1])))
    model(make_images(2, 3, 16, 16))
    down = [6, 12, 24, 48, 96][: 4 if name == "unet" else 5]
    assert widths == down + down[-2::-1]


def big_convolutions(init: str) -> list[nn.Conv2d]:
    layers = make_model("attention_unet", 16, init=init).modules()
    return [layer for layer in layers if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 10_000]


@pytest.mark.parametrize("init", INITIALISERS)
def test_batchnorm_starts_at_1_and_0(init: str) -> None:
    layers = [layer for layer in make_model("attention_unet", init=init).modules() if isinstance(layer, nn.BatchNorm2d)]
    assert layers and all((layer.weight == 1).all() and (layer.bias == 0).all() for layer in layers)


def test_kaiming_uniform_weights_have_a_third_of_the_variance_of_one_over_fan_in() -> None:
    for layer in big_convolutions("kaiming_uniform"):
        fan_in = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
        assert layer.weight.std().item() == pytest.approx((1 / 3 / fan_in) ** 0.5, rel=0.03)


def test_original_weights_have_the_variance_of_two_over_fan_out() -> None:
    for layer in big_convolutions("original"):
        fan_out = layer.out_channels * layer.kernel_size[0] * layer.kernel_size[1]
        assert layer.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.03)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("height, width", [(16, 32), (17, 32), (31, 45), (1, 1)])
def test_logits_have_the_size_of_the_images(name: str, height: int, width: int) -> None:
    assert make_model(name).eval()(make_images(2, 3, height, width)).shape == (2, 5, height, width)


@pytest.mark.parametrize("name", MODELS)
def test_other_sizes_are_continued_by_repeating_the_last_pixels(name: str) -> None:
    model, images = make_model(name).eval(), make_images(2, 3, 20, 13)
    rows, columns = (-20 % MULTIPLE[name], -13 % MULTIPLE[name])
    tall = torch.cat([images, images[:, :, -1:].expand(-1, -1, rows, -1)], dim=2)
    whole = torch.cat([tall, tall[..., -1:].expand(-1, -1, -1, columns)], dim=3)
    assert torch.equal(model(images), model(whole)[..., :20, :13])


@pytest.mark.parametrize("name", MODELS)
def test_sizes_that_fit_are_neither_continued_nor_cut(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(models, "pad")
    side = MULTIPLE[name]
    logits = make_model(name).eval()(make_images(1, 3, side, 3 * side))
    assert logits.shape[-2:] == (side, 3 * side) and logits._base is None  # no view of anything larger


@pytest.mark.parametrize("name", MODELS)
def test_channels_last_images_stay_so_in_every_block(name: str) -> None:
    model, seen = make_model(name).to(memory_format=torch.channels_last), list[Tensor]()
    for layer in model.modules():
        if isinstance(layer, DoubleConv | AttentionGate | nn.ConvTranspose2d):
            layer.register_forward_hook(lambda module, inputs, output: seen.extend([*inputs, output]))
    seen.append(model(make_images(2, 3, 32, 32).to(memory_format=torch.channels_last)))
    assert all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in seen)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("side", [32, 20])
def test_a_step_reads_nothing_back(name: str, side: int) -> None:
    with torch.device("meta"):  # has no values: reading one raises
        model = build_model(name, classes=5, base_filters=4, dropout=0.2).train()
        target = torch.empty(2, side, side, dtype=torch.long)
        mean(cross_entropy(model(torch.empty(2, 3, side, side)), target, weight=None)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_bf16_autocast_gives_nearly_the_same_logits(name: str) -> None:
    model, images = make_model(name), make_images(4, 3, 32, 32)
    expected = model(images)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(images)
    assert rounded.dtype == torch.bfloat16
    assert (rounded - expected).abs().mean() < 0.05 * expected.abs().mean()


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_decides_every_weight_and_output(name: str) -> None:
    nets = [make_model(name, dropout=0.2), make_model(name, dropout=0.2), make_model(name, seed=1)]
    first, same, other = (torch.cat([p.detach().flatten() for p in net.parameters()]) for net in nets)
    assert torch.equal(first, same) and not torch.equal(first, other)
    outputs = []
    for net in nets[:2]:
        torch.manual_seed(7)  # dropout draws
        outputs.append(net(make_images(2, 3, 16, 16)))
    assert torch.equal(*outputs)


def test_dropout_silences_whole_channels_after_each_relu() -> None:
    torch.manual_seed(0)
    block = DoubleConv(3, 64, dropout=0.5)
    assert [type(layer) for layer in block] == 2 * [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Dropout2d]
    silent = (block(make_images(4, 3, 8, 8)) == 0).all(dim=(2, 3)).float().mean()
    assert 0.4 < silent < 0.6
    assert not (block.eval()(make_images(4, 3, 8, 8)) == 0).all(dim=(2, 3)).any()


@pytest.mark.parametrize("name", MODELS)
def test_only_nets_said_to_use_dropout_have_it(name: str) -> None:
    def drops(dropout: float) -> int:
        return sum(isinstance(layer, nn.Dropout2d) for layer in make_model(name, dropout=dropout).modules())

    assert (drops(0.0), drops(0.3)) == (0, 18 if name in USES_DROPOUT else 0)  # 9 double convolutions


@pytest.mark.parametrize("name", MODELS)
def test_a_tiny_net_learns_two_images_by_heart(name: str) -> None:
    frames = make_frames(images=2, size=32)
    images = torch.from_numpy(frames.images.copy()).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    target = torch.from_numpy(frames.masks.copy()).long()
    weight = torch.from_numpy(balanced_weights(np.bincount(frames.masks.ravel(), minlength=256)[:5]))
    model = make_model(name, 8)
    optimizer = build_optimizer("adam", model.parameters(), lr=1e-2, weight_decay=0.0, device=torch.device("cpu"))
    for _ in range(80):
        optimizer.zero_grad()
        mean(cross_entropy(model(images), target, weight=weight)).backward()
        optimizer.step()
    with torch.no_grad():
        prediction = model.eval()(images).max(1)[1].numpy()
    assert miou(pool(count_pixels(frames.masks, prediction, 5))) > 0.95


def test_an_unknown_model_is_refused_with_the_known_names() -> None:
    rule = r"model\.name is 'segnet', but must be one of unet, vanilla_unet, attention_unet"
    with pytest.raises(ConfigError, match=rule):
        make_model("segnet")


@pytest.mark.parametrize("base", [0, 1, 5])
def test_gates_refuse_a_width_that_cannot_be_halved(base: int) -> None:
    with pytest.raises(ConfigError, match=f"model.base_filters is {base}, but must be even and at least 2 for attent"):
        make_model("attention_unet", base)


def test_nets_without_gates_take_an_odd_width() -> None:
    assert make_model("vanilla_unet", 5).eval()(make_images(1, 3, 16, 16)).shape == (1, 5, 16, 16)

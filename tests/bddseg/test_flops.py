"""Cost of a forward pass: by hand and by torch's own counter, at any width."""

import subprocess
import sys

import pytest
import torch
from tiny import make_config
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bddseg.config import TrainConfig
from bddseg.flops import count_forward
from bddseg.models import MODELS, build_model, count_parameters


def convolution_flops(config: TrainConfig) -> float:
    """Return the operations of a vanilla U-Net's forward pass, summed by hand over its convolutions."""
    side, width = config.data.size, config.model.base_filters
    widths = [width * 2**level for level in range(5)]
    total = 0.0
    for level, (i, o) in enumerate(zip([3, *widths], widths, strict=False)):  # encoder and bottleneck
        total += 2 * 9 * (i * o + o * o) * (side / 2**level) ** 2
    for level, w in enumerate(widths[:4]):  # decoder: 2x2 transposed convolution, then two 3x3
        total += 2 * (4 * 2 * w * w) * (side / 2 ** (level + 1)) ** 2
        total += 2 * 9 * (2 * w * w + w * w) * (side / 2**level) ** 2
    return total + 2 * width * 5 * side**2


def test_a_forward_pass_is_counted_as_by_hand() -> None:
    config = make_config(data_size=32, model_base_filters=8)
    assert count_forward(config, 5).flops == pytest.approx(convolution_flops(config), rel=1e-6)


def test_counting_a_wide_net_takes_no_memory_for_it() -> None:
    assert count_forward(TrainConfig().with_overrides({"model.base_filters": 1024}), 5).flops > 1e12


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [32, 40])
def test_a_forward_pass_is_counted_as_torch_counts_it(name: str, size: int) -> None:
    model = build_model(name, classes=5, base_filters=6).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, size, size))
    forward = count_forward(make_config(model_name=name, model_base_filters=6, data_size=size), 5)
    assert (forward.flops, forward.weights) == (counter.get_total_flops(), count_parameters(model))


@pytest.mark.parametrize("name", MODELS)
def test_what_convolutions_put_out_is_counted_as_it_is(name: str) -> None:
    counted = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counted.append(output.numel())

    model = build_model(name, classes=5, base_filters=4).eval()
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        model(torch.zeros(1, 3, 48, 48))
    assert count_forward(make_config(model_name=name, model_base_filters=4, data_size=48), 5).outputs == sum(counted)


def test_counting_does_not_load_the_compiler() -> None:
    program = """
import sys
from bddseg.flops import count_forward
from bddseg.config import TrainConfig
count_forward(TrainConfig(), 5)
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "False\n"

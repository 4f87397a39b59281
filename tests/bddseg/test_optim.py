"""Optimisers: fused and plain ones take the same steps."""

import subprocess
import sys
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from bddseg.errors import ConfigError
from bddseg.optim import OPTIMIZERS, build_optimizer, set_learning_rate

CPU = torch.device("cpu")
DEVICES = [CPU, *([torch.device("cuda", 0)] if torch.cuda.is_available() else [])]
PLAIN: dict[str, Any] = {"adam": Adam, "adamw": AdamW, "sgd": SGD}


def make_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def descend(net: nn.Module, optimizer: Optimizer, steps: int) -> list[Tensor]:
    """Return the parameters after some steps on a fixed regression, and the loss before the last step."""
    device = next(net.parameters()).device
    x = torch.randn(32, 4, generator=torch.Generator().manual_seed(1)).to(device)
    y = x.sum(1, keepdim=True).sin()
    for _ in range(steps):
        loss = ((net(x) - y) ** 2).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return [*(parameter.detach().clone() for parameter in net.parameters()), loss.detach()]


def ours(net: nn.Module, name: str = "adam", *, lr: float = 1e-2, device: torch.device = CPU) -> Optimizer:
    return build_optimizer(name, net.parameters(), lr=lr, weight_decay=1e-2, device=device, momentum=0.9)


def test_the_first_step_of_adam_is_the_learning_rate() -> None:
    parameter = nn.Parameter(torch.tensor([3.0, -2.0, 0.5]))
    optimizer = build_optimizer("adam", [parameter], lr=0.1, weight_decay=0.0, device=CPU)
    (parameter * torch.tensor([5.0, 0.01, -7.0])).sum().backward()
    optimizer.step()
    assert parameter.tolist() == pytest.approx([2.9, -2.1, 0.6], abs=1e-5)  # against the sign of the slope


def test_weight_decay_is_part_of_the_slope_in_adam_and_apart_from_it_in_adamw() -> None:
    after = {}
    for name in OPTIMIZERS:
        parameter = nn.Parameter(torch.tensor([3.0]))
        optimizer = build_optimizer(name, [parameter], lr=0.1, weight_decay=0.5, device=CPU)
        parameter.grad = torch.zeros(1)
        optimizer.step()
        after[name] = parameter.item()
    expected = {"adam": 2.9, "adamw": 3 * (1 - 0.1 * 0.5), "sgd": 3 - 0.1 * (0.5 * 3)}
    assert after == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fused_steps_are_those_of_the_plain_optimiser(name: str, device: torch.device) -> None:
    net, twin = make_net().to(device), make_net().to(device)
    fused = descend(net, ours(net, name, device=device), steps=50)
    momentum = {"momentum": 0.9} if name == "sgd" else {}
    plain = PLAIN[name](twin.parameters(), lr=1e-2, weight_decay=1e-2, foreach=False, fused=False, **momentum)
    expected = descend(twin, plain, steps=50)
    for actual, wanted in zip(fused, expected, strict=True):
        assert torch.allclose(actual, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_fused_kernels_are_used(name: str, device: torch.device) -> None:
    optimizer = ours(make_net().to(device), name, device=device)
    assert isinstance(optimizer, PLAIN[name]) and optimizer.defaults["fused"] is True


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_cuda_a_graph_can_capture_the_step() -> None:
    device = torch.device("cuda", 0)
    options = ours(make_net().to(device), device=device).defaults
    assert options["capturable"] is True and options["lr"].device == device


def test_equal_starts_end_in_equal_bits() -> None:
    runs = []
    for _ in range(2):
        net = make_net()
        runs.append(descend(net, ours(net), steps=20))
    assert all(torch.equal(actual, wanted) for actual, wanted in zip(*runs, strict=True))


def test_going_on_from_a_state_equals_never_having_stopped() -> None:
    net, resumed = make_net(), make_net()
    optimizer = ours(net)
    descend(net, optimizer, steps=10)
    resumed.load_state_dict(net.state_dict())
    later = ours(resumed, lr=0.5)  # the state brings its own rate
    later.load_state_dict(deepcopy(optimizer.state_dict()))  # as from a file: torch would share the moments
    pairs = zip(descend(net, optimizer, steps=10), descend(resumed, later, steps=10), strict=True)
    assert all(torch.equal(actual, wanted) for actual, wanted in pairs)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_loss_falls(name: str) -> None:
    net, fresh = make_net(), make_net()
    assert descend(net, ours(net, name, lr=3e-2), 200)[-1] < 0.1 * descend(fresh, ours(fresh, name), 1)[-1]


def test_momentum_adds_the_steps_before() -> None:
    parameter = nn.Parameter(torch.tensor([1.0]))
    optimizer = build_optimizer("sgd", [parameter], lr=0.1, weight_decay=0.0, device=CPU, momentum=0.5)
    for _ in range(2):
        parameter.grad = torch.ones(1)
        optimizer.step()
    assert parameter.item() == pytest.approx(1 - 0.1 - 0.1 * (1 + 0.5))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_learning_rate_that_is_set_holds_for_the_next_step(name: str) -> None:
    parameter = nn.Parameter(torch.tensor([1.0]))
    optimizer = build_optimizer(name, [parameter], lr=0.1, weight_decay=0.0, device=CPU)
    set_learning_rate(optimizer, 0.02)
    parameter.grad = torch.ones(1)
    optimizer.step()
    assert parameter.item() == pytest.approx(0.98, abs=1e-6)


def test_an_unknown_optimiser_is_refused_with_the_known_names() -> None:
    with pytest.raises(ConfigError, match=r"optim\.name is 'lion', but must be one of adam, adamw, sgd"):
        build_optimizer("lion", make_net().parameters(), lr=1e-3, weight_decay=0.0, device=CPU)


def test_no_optimiser_loads_the_compiler() -> None:
    program = """
import sys, torch
from bddseg.optim import OPTIMIZERS, build_optimizer
for name in OPTIMIZERS:
    weight = torch.ones(2, requires_grad=True)
    optimizer = build_optimizer(name, [weight], lr=0.1, weight_decay=0.0, device=torch.device("cpu"))
    weight.sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "False\n"

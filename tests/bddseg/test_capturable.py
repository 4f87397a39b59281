"""On CUDA a step stays on the device, so that a graph can capture it: observed on tensors without data.

Only shapes and devices flow through here, so no GPU is needed. Gradients and the optimiser's kernel need a real one.
"""

import contextlib
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import pytest
import torch
from tiny import make_config, make_frames, make_split
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bddseg.augment import _luma
from bddseg.engine import Engine
from bddseg.losses import build_loss
from bddseg.models import build_model

CUDA = torch.device("cuda", 0)
HOST_READS = ("_local_scalar_dense", "nonzero", "bincount", "unique", "masked_select")

pytestmark = pytest.mark.filterwarnings("ignore:CUDA is not available:UserWarning")


class HostWatch(TorchDispatchMode):
    """Notes every operation that has a tensor on the host, or reads from the device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.operations += 1
        tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor)]
        if any(tensor.device.type == "cpu" for tensor in tensors) or any(word in str(func) for word in HOST_READS):
            self.found.append(str(func))
        return out


@contextlib.contextmanager
def engine_on_fake_cuda(monkeypatch: pytest.MonkeyPatch, loss: str) -> Iterator[Engine]:
    """Give an engine whose tensors are on a GPU that need not be there, and that computes no gradients."""
    settings = {"model_name": "attention_unet", "model_dropout": 0.2, "data_augment": "standard"}
    config = make_config(**settings, loss_name=loss, train_precision="bf16")
    engine = Engine(config, make_frames(), make_split().train, torch.device("cpu"))
    network = engine.network
    network.device = CUDA
    monkeypatch.setattr(torch.Tensor, "backward", lambda self: None)
    monkeypatch.setattr(engine.optimizer, "step", lambda: None)
    with FakeTensorMode(allow_non_fake_inputs=True):
        with torch.device(CUDA):
            network.model = build_model("attention_unet", classes=5, base_filters=4, dropout=0.2)
            network.loss = build_loss(loss, weight=torch.ones(5), gamma=2.0)
            network.pixels.mean, network.pixels.deviation = torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)
            frames = torch.zeros(24, 16, 16, 3, dtype=torch.uint8), torch.zeros(24, 16, 16, dtype=torch.uint8)
        network.pixels._resident = frames
        yield engine
    _luma.cache_clear()


def batch() -> tuple[Tensor, ...]:
    return (torch.zeros(4, dtype=torch.int64, device=CUDA),)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
@pytest.mark.parametrize("step", ["_train_batch", "evaluator.score_batch"])
def test_a_step_stays_on_the_device(step: str, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with engine_on_fake_cuda(monkeypatch, loss) as engine:
        run = attrgetter(step)(engine)
        run(batch())  # the first one may make constants
        with HostWatch() as watch:
            outputs = run(batch())
    assert all(tensor.device == CUDA for tensor in outputs)
    assert watch.operations > 100 and watch.found == []


def test_the_watch_sees_a_copy_from_the_host() -> None:
    with FakeTensorMode(), HostWatch() as watch:
        torch.ones(3).to(CUDA)
    assert watch.found

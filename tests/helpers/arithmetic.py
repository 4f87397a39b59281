"""Whether this machine computes the same bits as the one that recorded something."""

import hashlib

import torch
from torch import nn
from torch.nn.functional import cross_entropy

STEPS = 8


def arithmetic_digest() -> str:
    """Return a digest of the weights of a small network that plain torch has trained for a few steps in fp32.

    Kernels, and with them the last bits of every sum, depend on the processor and on torch's version. Two machines with
    the same digest train the same configuration to the same bits. Nothing of the project takes part in it.
    """
    torch.manual_seed(0)
    network = _network().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2, weight_decay=1e-4, fused=True)
    images = torch.randn(16, 3, 32, 32).to(memory_format=torch.channels_last)
    truth = torch.randint(0, 5, (16, 32, 32))
    for _ in range(STEPS):
        optimizer.zero_grad()
        cross_entropy(network(images), truth).backward()
        optimizer.step()
    digest = hashlib.sha256()
    for parameter in network.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()[:16]


def _network() -> nn.Module:
    """Return an encoder and a decoder made of the layers that a U-Net has."""
    down = [*_convolved(3, 1), nn.MaxPool2d(2), *_convolved(1, 2), nn.MaxPool2d(2), *_convolved(2, 4)]
    up = [nn.ConvTranspose2d(4, 2, 2, stride=2), *_convolved(2, 2), nn.ConvTranspose2d(2, 1, 2, stride=2)]
    return nn.Sequential(*down, *up, *_convolved(1, 1), nn.Conv2d(1, 5, 1))


def _convolved(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()

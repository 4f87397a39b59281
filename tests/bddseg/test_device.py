"""The device of a trial: its name, arithmetic, threads, seeds and memory."""

import random

import numpy as np
import pytest
import torch

from bddseg.device import (
    describe,
    has_native_bf16,
    peak_memory_mb,
    resolve_device,
    resolve_precision,
    seed_everything,
    use_threads,
)
from bddseg.errors import ConfigError

CPU = torch.device("cpu")


def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)


def test_auto_is_the_cpu_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    without_gpu(monkeypatch)
    assert resolve_device() == CPU


def test_auto_is_the_first_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert resolve_device() == torch.device("cuda", 0)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:3"])
def test_a_gpu_that_is_not_there_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_gpu(monkeypatch)
    with pytest.raises(ConfigError, match=f"device {name} does not exist: this machine has 0 CUDA devices"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["gpu", "meta", "", "cuda:x"])
def test_a_name_that_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"device is '{name}', but must be auto, cpu, cuda or cuda:<index>"):
        resolve_device(name)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_precision_that_was_asked_for_stays(precision: str) -> None:
    assert resolve_precision(precision, CPU) == precision


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_bf16_only_where_it_is_native(native: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bddseg.device.has_native_bf16", lambda device: native)
    assert resolve_precision("auto", CPU) == expected


@pytest.mark.parametrize(
    ("capabilities", "expected"), [({}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)]
)
def test_the_processor_says_whether_it_has_bf16(
    capabilities: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities, raising=False)
    assert has_native_bf16(CPU) is expected


def test_a_torch_that_does_not_know_the_processor_computes_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("torch.cpu.get_capabilities", raising=False)
    assert resolve_precision("auto", CPU) == "fp32"


def test_the_number_of_threads_is_at_least_one() -> None:
    before = torch.get_num_threads()
    use_threads(0)
    threads = torch.get_num_threads()
    use_threads(before)
    assert threads == 1


def test_the_same_seed_draws_the_same_numbers() -> None:
    def draw() -> tuple[float, float, float]:
        seed_everything(2**40 + 1)
        return random.random(), float(np.random.random()), float(torch.rand(()))

    assert draw() == draw()


def test_memory_is_that_of_this_process() -> None:
    assert 50 < peak_memory_mb(CPU) < 100_000


def test_the_device_is_described_in_words() -> None:
    assert describe(CPU).startswith("CPU (")

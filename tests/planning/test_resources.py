"""How many trials share a GPU, and what is remembered of their memory."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tiny import make_config

from bddseg.config import TrainConfig
from sweeps.planning.resources import PEAKS_FILE, enlarged, kind, peaks_of, read_peaks, remember_peaks, trials_at_once


@pytest.mark.parametrize(
    ("peak", "gpu", "filters", "expected"),
    [
        (1300, 80_000, 32, 4),  # 4 x 2 GB of 76 GB
        (1300, 80_000, 64, 2),
        (1300, 80_000, 128, 1),  # room for many, but one fills the GPU
        (1300, 8_000, 32, 2),  # 7.6 GB hold three, but only halves and quarters are handed out
        (6_900, 8_000, 32, 1),  # 7.6 GB hold exactly one
        (6_901, 8_000, 32, 0),
    ],
)
def test_trials_share_a_gpu_as_far_as_memory_and_width_allow(
    peak: float, gpu: float, filters: int, expected: int
) -> None:
    assert trials_at_once(peak, gpu, filters) == expected


def test_settings_that_take_no_memory_are_the_same_kind() -> None:
    assert kind(make_config(optim_lr=1e-3), 5, "gpu") == kind(make_config(optim_lr=1e-4, loss_name="focal"), 5, "gpu")


@pytest.mark.parametrize(
    "change",
    [
        {"model_name": "unet"},
        {"model_base_filters": 8},
        {"train_batch_size": 8},
        {"data_size": 32},
        {"train_precision": "bf16"},
    ],
)
def test_settings_that_take_memory_are_other_kinds(change: dict[str, object]) -> None:
    assert kind(make_config(), 5, "gpu") != kind(make_config(**change), 5, "gpu")


def test_a_kind_is_measured_once_and_remembered(tmp_path: Path) -> None:
    measured: list[int] = []

    def measure(config: TrainConfig) -> float:
        measured.append(config.model.base_filters)
        return 100.0 * config.model.base_filters

    configs = {"a": make_config(optim_lr=1e-3), "b": make_config(optim_lr=1e-4), "c": make_config(model_base_filters=8)}
    for _ in range(2):
        assert peaks_of(configs, 5, "gpu", tmp_path, measure) == {"a": 400.0, "b": 400.0, "c": 800.0}
    assert measured == [4, 8]


def test_the_larger_of_two_measurements_stays(tmp_path: Path) -> None:
    for value in (5.0, 9.0, 7.0):
        remember_peaks(tmp_path, {"kind": value})
    assert read_peaks(tmp_path) == {"kind": 9.0}


def test_two_that_remember_at_once_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: remember_peaks(tmp_path, {f"kind {number}": 1.0}), range(24)))
    assert len(read_peaks(tmp_path)) == 24


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '{"kind": "much"}', '{"kind": null}'])
def test_a_damaged_memory_is_as_good_as_none(content: str, tmp_path: Path) -> None:
    (tmp_path / PEAKS_FILE).write_text(content)
    assert read_peaks(tmp_path) == {}


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"CPU": 1.0, "GPU": 0.25}, {"CPU": 1.0, "GPU": 0.5}),
        ({"CPU": 1.0, "GPU": 0.75}, {"CPU": 1.0, "GPU": 1.0}),
        ({"CPU": 1.0, "GPU": 1.0}, None),
        ({"CPU": 1.0, "GPU": 2.0}, None),
        ({"CPU": 1.0, "GPU": 0.0}, {"CPU": 2.0, "GPU": 0.0}),
        ({"CPU": 3.0, "GPU": 0.0}, {"CPU": 4.0, "GPU": 0.0}),
        ({"CPU": 4.0, "GPU": 0.0}, None),
    ],
)
def test_twice_the_share_is_at_most_all(resources: dict[str, float], expected: dict[str, float] | None) -> None:
    assert enlarged(resources, cores=4) == expected

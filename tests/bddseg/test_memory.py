"""Memory of a trial: a lower bound by counting, the peak by training a few steps."""

import pytest
from tiny import make_config

from bddseg.errors import DeviceError
from bddseg.memory import least_memory_mb, measure_peak_mb


def test_the_state_of_a_network_counts_sixteen_bytes_a_weight() -> None:
    config = make_config(model_base_filters=64, data_size=16, train_batch_size=2)
    assert least_memory_mb(config, 5) == pytest.approx(16 * 31.04, rel=0.02)  # 31.04 M weights; tiny images


def test_activations_grow_with_the_batch() -> None:
    small, large = (least_memory_mb(make_config(data_size=128, train_batch_size=size), 5) for size in (100, 200))
    assert large / small == pytest.approx(2, rel=0.05)


def test_activations_in_bf16_take_half() -> None:
    exact, half = (
        least_memory_mb(make_config(data_size=128, train_batch_size=500, train_precision=name), 5)
        for name in ("fp32", "bf16")
    )
    assert exact / half == pytest.approx(2, rel=0.05)


def test_the_measured_peak_is_more_than_the_least() -> None:
    config = make_config(data_size=64, model_base_filters=8, train_batch_size=16)
    assert measure_peak_mb(config, 5, "cpu") > least_memory_mb(config, 5)


def test_a_trial_that_does_not_fit_cannot_be_measured() -> None:
    config = make_config(model_base_filters=2**17)  # its second convolution alone takes 618 GB: refused at once
    with pytest.raises(DeviceError, match=r"a trial's memory on cpu could not be measured: .*memory"):
        measure_peak_mb(config, 5, "cpu")

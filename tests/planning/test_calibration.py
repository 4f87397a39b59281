"""The speed of kinds of trial: timed where there is time for it, otherwise from their arithmetic."""

import pytest
import torch
from tiny import make_config

from bddseg.flops import count_forward
from sweeps.planning.calibration import MeasuredSpeed, calibrate

CPU = torch.device("cpu")
SMALL, WIDE = make_config(), make_config(model_base_filters=8)


def test_each_kind_is_timed_once_per_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.planning.calibration._timed", {})
    found = calibrate([SMALL, make_config(optim_lr=1e-3), WIDE], 5, CPU)
    assert len(found.speeds) == 2 and all(speed.is_timed and speed.train_s > 0 for speed in found.speeds.values())
    assert calibrate([SMALL], 5, CPU).of(SMALL) is found.of(SMALL)


def test_without_time_speeds_come_from_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.planning.calibration._timed", {})
    found = calibrate([SMALL, WIDE], 5, CPU, seconds=0)
    assert not any(speed.is_timed for speed in found.speeds.values())
    ratio = found.of(WIDE).train_s / found.of(SMALL).train_s
    assert ratio == pytest.approx(count_forward(WIDE, 5).flops / count_forward(SMALL, 5).flops)
    assert found.sentence() == "speed estimated by counting operations, good to about a factor of two"


def test_an_epoch_takes_as_long_as_its_images() -> None:
    assert MeasuredSpeed(train_s=0.3, val_s=0.1, is_timed=True).epoch_s(10, 5) == pytest.approx(3.5)


def test_a_calibration_leaves_the_number_of_threads_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.planning.calibration._timed", {})
    before = torch.get_num_threads()
    calibrate([SMALL], 5, CPU, threads=before + 1)
    assert torch.get_num_threads() == before

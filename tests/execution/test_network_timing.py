"""latency.json: each network of a plan timed once."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sweeps.execution import network_timing
from sweeps.planning.experiment import load_experiment
from sweeps.planning.planner import build_plan

PLAN = build_plan(load_experiment("full_grid", profile="quick", overrides=["model.base_filters=[2]"]))
CPU = torch.device("cpu")


def read(path: Path) -> dict[str, Any]:
    timings: dict[str, Any] = json.loads(path.read_text())
    return timings


@pytest.fixture(scope="module")
def timings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return read(network_timing.save_latency(tmp_path_factory.mktemp("sweep"), PLAN, 16, CPU))


def test_every_trial_has_the_figures_of_its_network(timings: dict[str, Any]) -> None:
    assert timings["trials"].keys() == {trial.trial_id for trial in PLAN.trials}
    assert all(row.keys() == {"parameters", "batch_1_ms", "batch_16_ms"} for row in timings["trials"].values())


def test_trials_of_one_network_share_its_figures(timings: dict[str, Any]) -> None:
    figures = {tuple(row.values()) for row in timings["trials"].values()}
    assert len(figures) == 2  # learning rate, loss, weight decay and dropout make no other network


def test_the_device_is_named(timings: dict[str, Any]) -> None:
    assert timings["device"].startswith("CPU") and "one thread" in timings["device"]
    assert (timings["version"], timings["image_size"]) == (1, 16) and timings["precision"] in ("fp32", "bf16")


def test_networks_of_the_finalists_are_timed_before_time_is_up(tmp_path: Path) -> None:
    last = PLAN.trials[-1]
    timings = read(network_timing.save_latency(tmp_path, PLAN, 16, CPU, first=[last.trial_id], seconds=0))["trials"]
    assert last.trial_id in timings and len({tuple(row.values()) for row in timings.values()}) == 1


def test_what_was_timed_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / network_timing.LATENCY).write_text("{}")
    monkeypatch.setattr(network_timing, "measure_latency", pytest.fail)
    assert network_timing.save_latency(tmp_path, PLAN, 16, CPU).read_text() == "{}"

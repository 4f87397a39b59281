"""The load of the machine: MLflow's names, and figures that another source confirms."""

import psutil
import pytest
import torch

from bddseg.result import is_metric
from bddseg.system_metrics import CPU_USE, MEMORY_MB, MEMORY_USE, measure_system

CPU = torch.device("cpu")


def test_names_are_those_of_mlflows_own_monitor() -> None:
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor

    monitor = CPUMonitor()
    monitor.collect_metrics()
    assert {f"system/{name}" for name in monitor.metrics} == set(measure_system(CPU))


def test_the_load_of_the_cpu_is_that_since_the_call_before() -> None:
    measure_system(CPU)
    before = psutil.Process().cpu_times().user
    while psutil.Process().cpu_times().user < before + 0.3:
        pass
    assert 0 < measure_system(CPU)[CPU_USE] <= 100


def test_memory_is_that_of_the_machine() -> None:
    load, total_mb = measure_system(CPU), psutil.virtual_memory().total / 1e6
    assert load[MEMORY_USE] == pytest.approx(100 * load[MEMORY_MB] / total_mb)
    assert 0 < load[MEMORY_MB] < total_mb


def test_metrics_of_a_gpu_are_recorded_where_there_is_one() -> None:
    assert is_metric("system/gpu_0_memory_usage_megabytes") and not is_metric("system/other")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_says_how_much_of_its_memory_is_used() -> None:
    load = measure_system(torch.device("cuda"))
    assert 0 < load["system/gpu_0_memory_usage_percentage"] < 100 < load["system/gpu_0_memory_usage_megabytes"]

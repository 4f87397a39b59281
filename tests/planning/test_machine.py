"""What this machine can take."""

import pytest
import torch
from tiny import make_config

from bddseg.cores import usable_cores
from sweeps.errors import ExperimentError
from sweeps.planning.experiment import Experiment
from sweeps.planning.machine import Machine, find_machine
from sweeps.planning.plan import Plan
from sweeps.planning.planner import build_plan
from sweeps.schedulers.rungs import Schedule

CPU = torch.device("cpu")


def make_plan(**changes: int) -> Plan:
    return build_plan(Experiment("made", "?", "full", make_config(**changes), (), {}, Schedule("none", 0.1, 3)))


def one_core() -> Machine:
    return Machine(CPU, {"CPU": 1.0, "GPU": 0.0})


def test_a_trial_that_fits_is_let_through() -> None:
    one_core().check_memory(make_plan())


def test_a_trial_that_needs_more_memory_than_there_is_is_refused_with_the_cure() -> None:
    with pytest.raises(
        ExperimentError, match=r"needs at least [\d.]+ GB of memory, but this machine has .*lower train"
    ):
        one_core().check_memory(make_plan(data_size=4096, model_base_filters=512, train_batch_size=4096))


def test_trials_share_the_cores() -> None:
    assert (one_core().slots(), one_core().slots(max_concurrent=1)) == (usable_cores(), 1)
    assert Machine(CPU, {"CPU": 999.0, "GPU": 0.0}).slots() == 1


def test_a_trial_without_a_gpu_gets_cores_alone() -> None:
    assert find_machine(1, 0.0, is_cluster=False) == one_core()


def test_more_cores_than_there_are_are_refused_here_and_left_to_a_cluster() -> None:
    with pytest.raises(ExperimentError, match="but this process may use"):
        find_machine(999, 0.0, is_cluster=False)
    assert find_machine(999, 0.0, is_cluster=True).resources["CPU"] == 999.0

"""What a plan costs: arithmetic that can be counted, speed that is timed."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny import make_config

from bddseg.config import TrainConfig
from bddseg.data.split import Split
from bddseg.flops import count_forward
from sweeps.cli.prepare import warn_if_slow
from sweeps.planning.cost import epoch_share, estimate_seconds, flops_per_second, halving_epochs, stopping_epochs
from sweeps.planning.experiment import Experiment
from sweeps.planning.machine import Machine
from sweeps.planning.plan import Plan, build_plan
from sweeps.schedulers.rungs import Schedule

CPU = torch.device("cpu")


def make_plan(**axes: list[Any]) -> Plan:
    grid = tuple((key.replace("_", ".", 1), tuple(values)) for key, values in axes.items())
    reference = {key: values[0] for key, values in grid}
    return build_plan(Experiment("made", "?", "full", make_config(), grid, reference, Schedule("none", 0.1, 3)))


@pytest.fixture
def at_fixed_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.planning.cost.flops_per_second", lambda config, classes, device: 1e9)


def price(plan: Plan, slots: int = 1, train: int = 10, val: int = 0) -> float:
    return estimate_seconds(plan, train_images=train, val_images=val, slots=slots, device=CPU)


def test_training_an_image_costs_three_forward_passes(at_fixed_speed: None) -> None:
    expected = count_forward(make_config(), 5).flops * (3 * 10 + 5) * 3 / 1e9
    assert price(make_plan(), train=10, val=5) == pytest.approx(expected)


def test_trials_add_up(at_fixed_speed: None) -> None:
    both = price(make_plan(model_base_filters=[4, 8]))
    each = [price(make_plan(model_base_filters=[width])) for width in (4, 8)]
    assert both == pytest.approx(sum(each))


def test_slots_divide_the_time(at_fixed_speed: None) -> None:
    plan = make_plan(optim_lr=[1e-3, 1e-2])
    assert price(plan, slots=2) == pytest.approx(price(plan) / 2)


def test_more_slots_than_trials_do_not_help(at_fixed_speed: None) -> None:
    plan = make_plan(optim_lr=[1e-3, 1e-2])
    assert price(plan, slots=99) == price(plan, slots=2)


def test_each_trial_costs_its_own_epochs(at_fixed_speed: None) -> None:
    plan = make_plan()
    trial = plan.trials[0]
    longer = replace(trial, config=trial.config.with_overrides({"train.epochs": 6}))
    assert price(replace(plan, trials=(longer,))) == pytest.approx(2 * price(plan))
    assert price(replace(plan, trials=(trial, longer))) == pytest.approx(3 * price(plan))


def test_halving_is_reckoned_as_by_hand() -> None:
    assert halving_epochs(27, (1, 3), 9, 3, protected=2) == 27 * 1 + 9 * 2 + 3 * 6
    assert halving_epochs(27, (1, 3), 9, 3, protected=5) == 27 * 1 + 9 * 2 + 5 * 6
    assert halving_epochs(2, (1, 3), 9, 3, protected=5) == 18


def test_without_rungs_all_epochs_are_trained() -> None:
    assert epoch_share(make_plan(), "none") == (1.0, "nothing is stopped early")


def test_the_rule_lets_the_first_and_the_leader_through() -> None:
    # the reference to the end; of the second, half of all orders put it below and stop it at epoch 1
    assert stopping_epochs(["unet", "unet"], (1,), 9, 3) == pytest.approx(9 + (9 + 1) / 2, abs=0.6)


def test_replicates_are_never_stopped() -> None:
    plan = replace(make_plan(optim_lr=[1e-4, 1e-3, 1e-2]), rungs=(1,))
    grown = plan.with_trials(plan.trials[0].replicate(number) for number in (1, 2, 3))
    assert epoch_share(grown, "asha")[0] == pytest.approx((epoch_share(plan, "asha")[0] + 1) / 2)


def test_a_replayed_share_takes_the_place_of_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = replace(make_plan(optim_lr=[1e-4, 1e-3, 1e-2]), rungs=(1,))
    assert epoch_share(plan, "median")[0] == pytest.approx((3 * 1 + 2 * 2) / 9)  # reference and leader go on
    monkeypatch.setattr("sweeps.planning.cost.REPLAYED_SHARE", {"median": 0.3})
    monkeypatch.setattr("sweeps.planning.cost.REPLAYED_EPOCHS", plan.epochs)
    assert epoch_share(plan, "median")[0] == pytest.approx(0.3)


def test_what_surely_takes_no_hour_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(config: TrainConfig, device: torch.device) -> float:
        raise AssertionError("a step was timed")

    monkeypatch.setattr("sweeps.planning.cost.flops_per_second", refuse)
    plan, split = make_plan(optim_lr=[1e-3]), Split((0, 1), (2,), (), by_drive=False, warning="")
    warn_if_slow(plan, split, Machine(CPU, {"CPU": 1.0, "GPU": 0.0}), 0)


def test_this_machine_has_a_believable_speed() -> None:
    assert 1e7 < flops_per_second(make_config(), 5, CPU) < 1e14


def test_a_calibration_leaves_the_number_of_threads_alone() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    flops_per_second(make_config(), 5, CPU)
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert after == before + 1

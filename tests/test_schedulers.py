"""Asynchronous halving by numbers that can be checked by hand."""

import json
import math
import pickle
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from bddseg.result import OBJECTIVE
from sweeps.experiment import Schedule, load_experiment
from sweeps.plan import build_plan
from sweeps.schedulers import Asha, RunAll, Rungs, Stop
from sweeps.search import build_scheduler, build_search

GO, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP
MODELS = dict.fromkeys("rabcdefg", "vanilla_unet")


def make_asha(models: dict[str, str] | None = None, reduction: int = 3) -> Asha:
    """Return a scheduler with rungs at epochs 1, 3 and 9 and the reference `r`."""
    return Asha((1, 3, 9), reduction, MODELS if models is None else models, reference="r")


def tell(scheduler: Asha | RunAll, trial: str, value: Any, epoch: int = 1, **more: Any) -> str:
    """Return what the scheduler says to one epoch of a trial."""
    stand_in: Any = SimpleNamespace(config={"trial": trial, "optim.lr": 1e-3})
    return scheduler.on_trial_result(None, stand_in, {"epoch": epoch, OBJECTIVE: value, **more})


# Earlier passes


def test_a_resumed_sweep_compares_with_the_trials_that_ended_before() -> None:
    experiment = load_experiment("grid_lr_loss", profile="quick")
    plan = build_plan(experiment)
    first, second, third, fourth = plan.trials[:4]
    search = build_search(experiment, plan, open_trials=[fourth])
    rung = plan.rungs[0]
    for trial, value in ((first, 0.4), (second, 0.6), (third, 0.3)):
        search.scheduler.recall(trial.trial_id, rung, value)
    assert search.num_samples == 1
    assert list(search.scheduler.stops) == [third.trial_id]
    assert tell(search.scheduler, fourth.trial_id, 0.2, rung) == STOP
    assert search.scheduler.stops[fourth.trial_id].compared == 3


# Rungs


def test_the_first_at_a_rung_passes() -> None:
    assert Rungs(3).judge(1, "a", 0.0) is None


def test_below_the_cutoff_stops_with_the_reason() -> None:
    rungs = Rungs(3)
    rungs.judge(5, "a", 0.6)
    assert rungs.judge(5, "b", 0.5) == Stop(rung=5, value=0.5, cutoff=0.6, compared=1)


def test_a_tie_with_the_cutoff_passes() -> None:
    rungs = Rungs(3)
    rungs.judge(5, "a", 0.6)
    assert rungs.judge(5, "b", 0.6) is None


def test_the_cutoff_leaves_the_best_third_of_those_before() -> None:
    rungs = Rungs(3, {1: {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.7}})  # two thirds of the way from 0.1 to 0.7: 0.3
    stop = rungs.judge(1, "e", 0.29)
    assert stop is not None and stop.cutoff == pytest.approx(0.3)
    assert (stop.compared, rungs.judge(1, "f", 0.31)) == (4, None)


def test_a_reduction_of_two_cuts_at_the_median() -> None:
    stop = Rungs(2, {1: {"a": 0.1, "b": 0.5, "c": 0.6}}).judge(1, "d", 0.4)
    assert stop is not None and stop.cutoff == 0.5


def test_a_stopped_trial_still_counts_for_those_after_it() -> None:
    rungs = Rungs(3, {1: {"a": 0.6}})
    rungs.judge(1, "b", 0.5)
    stop = rungs.judge(1, "c", 0.1)
    assert stop is not None and stop.compared == 2


def test_a_value_reported_again_changes_nothing() -> None:
    rungs = Rungs(3, {1: {"a": 0.6, "b": 0.7}})
    assert rungs.judge(1, "b", 0.1) is None
    assert rungs.values == {1: {"a": 0.6, "b": 0.7}}


def test_rungs_are_apart() -> None:
    rungs = Rungs(3, {1: {"a": 0.9}})
    assert rungs.judge(3, "b", 0.1) is None


def test_the_best_of_a_family_leads_it() -> None:
    rungs = Rungs(3, {1: {"a": 0.3, "b": 0.2, "x": 0.9}})
    assert rungs.leads(1, "a", {"a", "b"}) and not rungs.leads(1, "b", {"a", "b"})


def test_equals_lead_together() -> None:
    assert Rungs(3, {1: {"a": 0.3, "b": 0.3}}).leads(1, "b", {"a", "b"})


# Asha


def test_a_weak_trial_is_stopped() -> None:
    asha = make_asha()
    assert (tell(asha, "a", 0.6), tell(asha, "b", 0.5)) == (GO, STOP)


def test_every_stop_is_recorded_with_rung_cutoff_and_value() -> None:
    asha = make_asha()
    tell(asha, "a", 0.6, epoch=3)
    tell(asha, "b", 0.5, epoch=3)
    assert asha.stops == {"b": Stop(rung=3, value=0.5, cutoff=0.6, compared=1)}


def test_the_reason_is_said_in_words() -> None:
    sentence = Stop(rung=3, value=0.5, cutoff=0.6, compared=1).sentence()
    assert sentence == "val/miou 0.5000 at epoch 3 was below the cut-off 0.6000 of 1 earlier trial"


def test_a_stop_can_be_written_as_json() -> None:
    asha = make_asha()
    tell(asha, "a", 0.6)
    tell(asha, "b", 0.5)
    assert json.loads(json.dumps(asdict(asha.stops["b"]))) == {"rung": 1, "value": 0.5, "cutoff": 0.6, "compared": 1}


@pytest.mark.parametrize("epoch", [2, 4, 8, 10])
def test_epochs_off_the_rungs_are_ignored(epoch: int) -> None:
    asha = make_asha()
    assert (tell(asha, "a", 0.6, epoch), tell(asha, "b", 0.1, epoch)) == (GO, GO)
    assert all(values == {} for values in asha.rungs.values.values())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_what_is_not_finite_is_never_compared(value: float | None) -> None:
    asha = make_asha()
    assert (tell(asha, "a", value), tell(asha, "b", 0.1)) == (GO, GO)
    assert asha.rungs.values[1] == {"b": 0.1}


def test_a_report_that_comes_again_is_ignored() -> None:
    asha = make_asha()
    tell(asha, "a", 0.6)
    tell(asha, "c", 0.9)
    assert tell(asha, "a", 0.1) == GO and asha.rungs.values[1]["a"] == 0.6


def test_the_reference_is_never_stopped() -> None:
    asha = make_asha()
    tell(asha, "a", 0.6)
    assert tell(asha, "r", 0.1) == GO
    assert (asha.stops, asha.protected) == ({}, {"r": [1]})


def test_the_reference_is_compared_with_all_the_same() -> None:
    asha = make_asha()
    tell(asha, "r", 0.6)
    assert tell(asha, "a", 0.5) == STOP


def test_the_leader_of_its_own_model_is_not_stopped() -> None:
    asha = make_asha({"a": "unet", "b": "attention_unet", "c": "attention_unet"})
    assert (tell(asha, "a", 0.9), tell(asha, "b", 0.2), tell(asha, "c", 0.3)) == (GO, GO, GO)
    assert asha.protected == {"b": [1], "c": [1]}


def test_who_follows_in_its_own_model_is_stopped() -> None:
    asha = make_asha({"a": "unet", "b": "attention_unet", "c": "attention_unet"})
    assert (tell(asha, "a", 0.9), tell(asha, "b", 0.3), tell(asha, "c", 0.2)) == (GO, GO, STOP)


def test_a_trial_that_ends_by_itself_is_not_stopped_as_well() -> None:
    asha = make_asha()
    tell(asha, "a", 0.6)
    assert tell(asha, "b", 0.1, stop_reason="plateau") == GO
    assert asha.stops == {}


def test_a_trial_that_ends_by_itself_still_counts_for_others() -> None:
    asha = make_asha()
    tell(asha, "a", 0.6, stop_reason="plateau")
    assert tell(asha, "b", 0.5) == STOP


def test_a_stopped_trial_that_comes_back_is_stopped_again() -> None:
    asha = make_asha()
    tell(asha, "a", 0.6)
    assert [tell(asha, "b", 0.5) for _ in range(2)] == [STOP, STOP]


def test_a_permutation_of_arrivals_never_stops_the_best() -> None:
    values = {"a": 0.1, "b": 0.4, "c": 0.2, "d": 0.9, "e": 0.3}
    for order in ("abcde", "edcba", "dabce", "bdeca"):
        asha = make_asha()
        assert {name: tell(asha, name, values[name]) for name in order}["d"] == GO


def test_memory_and_reasons_survive_a_restart() -> None:
    asha = make_asha()
    tell(asha, "a", 0.6)
    tell(asha, "b", 0.5)
    again = pickle.loads(pickle.dumps(asha))
    assert (again.rungs, again.stops) == (asha.rungs, asha.stops)
    assert tell(again, "c", 0.5) == STOP


def test_the_debug_line_counts() -> None:
    asha = make_asha()
    tell(asha, "a", 0.6)
    tell(asha, "b", 0.5)
    assert asha.debug_string() == "asynchronous halving: 1 stopped; trials at rungs: epoch 1: 2, epoch 3: 0, epoch 9: 0"


# RunAll, and which of the two an experiment gets


def test_run_all_stops_none() -> None:
    scheduler = RunAll()
    assert {tell(scheduler, name, value) for name, value in (("a", 0.9), ("b", 0.1), ("c", math.nan))} == {GO}
    assert scheduler.stops == {}


def test_the_plan_decides_rungs_and_reference() -> None:
    experiment = load_experiment("grid_lr_loss", profile="quick")
    plan = build_plan(experiment)
    asha = build_scheduler(experiment, plan)
    assert isinstance(asha, Asha) and tuple(asha.rungs.values) == plan.rungs
    tell(asha, plan.trials[1].trial_id, 0.9, plan.rungs[0])
    assert tell(asha, plan.reference.trial_id, 0.1, plan.rungs[0]) == GO
    assert tell(asha, plan.trials[2].trial_id, 0.1, plan.rungs[0]) == STOP


def test_the_experiment_decides_which_scheduler() -> None:
    experiment = load_experiment("smoke", profile="quick", scheduler="none")
    assert experiment.schedule == Schedule("none", 0.1, 3)
    assert isinstance(build_scheduler(experiment, build_plan(experiment)), RunAll)

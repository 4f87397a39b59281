"""Early stopping by numbers that can be checked by hand."""

import json
import math
import pickle
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from bddseg.result import OBJECTIVE
from sweeps.errors import StorageError
from sweeps.execution.searcher import build_scheduler
from sweeps.planning.experiment import load_experiment
from sweeps.planning.planner import build_plan
from sweeps.schedulers.asha_promote import AshaPromote
from sweeps.schedulers.hyperband import Hyperband
from sweeps.schedulers.median import Median
from sweeps.schedulers.rungs import REASON, SCHEDULERS, Stop
from sweeps.schedulers.scheduler import Asha, HalvingSetup, RunAll, Scheduler
from sweeps.storage.outcomes import STOPPED_EARLY

GO, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP
MODELS = dict.fromkeys("rabcdefg", "vanilla_unet")
MISSING = object()
CONTROLLER: Any = SimpleNamespace(get_trials=list)
"""Of a sweep in which no other trial waits for its turn."""


def make_asha(models: dict[str, str] | None = None, reduction: int = 3) -> Asha:
    """Return a scheduler with rungs at epochs 1, 3 and 9 and the reference `r`."""
    return Asha(HalvingSetup((1, 3, 9), reduction, MODELS if models is None else models, "r"))


def stand_in(trial: str) -> Any:
    return SimpleNamespace(config={"trial": trial, "optim.lr": 1e-3}, status="RUNNING")


def tell(scheduler: Scheduler, trial: str, value: Any, epoch: int = 1, **more: Any) -> str:
    """Return what the scheduler says to one epoch of a trial."""
    return scheduler.on_trial_result(CONTROLLER, stand_in(trial), {"epoch": epoch, OBJECTIVE: value, **more})


# Asha


def test_a_weak_trial_is_stopped() -> None:
    asha = make_asha()
    assert (tell(asha, "a", 0.6), tell(asha, "b", 0.5)) == (GO, STOP)


def test_every_stop_is_recorded_with_rung_cutoff_and_value() -> None:
    asha = make_asha()
    tell(asha, "a", 0.6, epoch=3)
    tell(asha, "b", 0.5, epoch=3)
    assert asha.stops == {"b": Stop(rung=3, value=0.5, cutoff=0.6, compared=1)}


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


def test_the_debug_line_counts() -> None:
    asha = make_asha()
    tell(asha, "a", 0.6)
    tell(asha, "b", 0.5)
    assert asha.debug_string() == "asha: 1 stopped; trials at rungs: epoch 1: 2, epoch 3: 0, epoch 9: 0"


# Hyperband


def make_hyperband() -> Hyperband:
    """Return two brackets: one in three trials is in the one that never stops."""
    return Hyperband(HalvingSetup((1,), 3, MODELS, "r"))


def test_only_trials_of_one_bracket_are_compared() -> None:
    hyperband = make_hyperband()
    inside = [name for name in "abcdefg" if hyperband.bracket[name] == 0]
    outside = [name for name in "abcdefg" if hyperband.bracket[name] == 1]
    tell(hyperband, inside[0], 0.6)
    assert (tell(hyperband, outside[0], 0.1), tell(hyperband, inside[1], 0.5)) == (GO, STOP)
    assert hyperband.stops == {inside[1]: Stop(1, 0.5, 0.6, 1, "hyperband")}


def test_a_bracket_follows_from_the_place_in_the_plan() -> None:
    assert make_hyperband().bracket == make_hyperband().bracket
    assert [make_hyperband().bracket[name] for name in MODELS] == [0, 1, 0, 1, 0, 0, 1, 0]  # 3/2 : 1


def test_hyperband_spares_reference_and_leader() -> None:
    hyperband = Hyperband(HalvingSetup((1,), 3, MODELS | {"b": "unet"}, "r"))
    tell(hyperband, "d", 0.6)  # r, b and d are in one bracket
    assert (tell(hyperband, "r", 0.1), tell(hyperband, "b", 0.1)) == (GO, GO)
    assert hyperband.protected == {"r": [1], "b": [1]}


# Median


def test_trials_that_join_later_are_dealt_out_as_if_they_had_been_planned() -> None:
    growing = Hyperband(HalvingSetup((1, 3), 3, {"r": "vanilla_unet"}, "r"))
    for name in "abcdefg":
        growing.add_trial(name, "vanilla_unet")
    assert growing.bracket == Hyperband(HalvingSetup((1, 3), 3, MODELS, "r")).bracket


def test_a_trial_that_joins_later_is_judged_with_its_model() -> None:
    asha = make_asha({"r": "vanilla_unet"})
    for name, model in (("a", "vanilla_unet"), ("b", "unet"), ("c", "unet")):
        asha.add_trial(name, model)
    values = {"r": 0.2, "a": 0.9, "b": 0.1, "c": 0.05}
    assert [tell(asha, name, value, 1) for name, value in values.items()] == ["CONTINUE"] * 3 + ["STOP"]
    assert asha.protected == {"b": [1]}  # it leads its model


def make_median() -> Median:
    return Median(HalvingSetup((2,), 3, MODELS, "r"))


def run(scheduler: Scheduler, trial: str, *values: float | None) -> str:
    """Tell one epoch after the other; return what is said to the last."""
    return [tell(scheduler, trial, value, epoch) for epoch, value in enumerate(values, 1)][-1]


def test_the_best_below_the_median_of_the_averages_stops() -> None:
    median = make_median()
    for trial, values in {"a": (0.2, 0.4), "b": (0.4, 0.6), "c": (0.6, 0.8)}.items():  # averages 0.3, 0.5, 0.7
        assert run(median, trial, *values) == GO
    assert run(median, "d", 0.49, 0.1) == STOP
    assert median.stops == {"d": Stop(2, 0.49, 0.5, 3, "median")}


def test_the_best_equal_to_the_median_passes() -> None:
    median = make_median()
    for trial, values in {"a": (0.25, 0.25), "b": (0.5, 0.5), "c": (0.75, 0.75)}.items():
        run(median, trial, *values)
    assert run(median, "d", 0.5, 0.1) == GO


def test_with_two_others_nobody_is_stopped() -> None:
    median = make_median()
    run(median, "a", 0.5, 0.5)
    run(median, "b", 0.5, 0.5)
    assert run(median, "c", 0.1, 0.1) == GO


def test_an_epoch_without_a_figure_is_left_out_of_the_average() -> None:
    median = make_median()
    run(median, "a", None, 0.4)
    assert median.rungs.values[2] == {"a": 0.4}


def test_the_median_rule_spares_reference_and_leader() -> None:
    median = Median(HalvingSetup((2,), 3, MODELS | {"d": "unet"}, "r"))
    for trial in "abc":
        run(median, trial, 0.5, 0.5)
    assert (run(median, "r", 0.1, 0.1), run(median, "d", 0.1, 0.1)) == (GO, GO)
    assert median.protected == {"r": [2], "d": [2]}


# What all have in common: reports of every kind, and a memory that survives

ALL = [
    lambda path=None: Asha(HalvingSetup((1, 3), 3, MODELS, "r", path)),
    lambda path=None: AshaPromote(HalvingSetup((1, 3), 3, MODELS, "r", path)),
    lambda path=None: Hyperband(HalvingSetup((1, 3), 3, MODELS, "r", path)),
    lambda path=None: Median(HalvingSetup((1, 3), 3, MODELS, "r", path)),
    lambda path=None: RunAll(HalvingSetup(models=MODELS, reference="r", path=path)),
]
WHICH = pytest.mark.parametrize("make", ALL, ids=["asha", "asha_promote", "hyperband", "median", "none"])


def busy(scheduler: Scheduler) -> Scheduler:
    """Return it after a sweep's worth of reports: at epoch 1 all, at epoch 3 those that got there."""
    for number, trial in enumerate("rabcdefg"):
        tell(scheduler, trial, 0.8 - number / 10)
    for trial in "rab":
        tell(scheduler, trial, 0.9, epoch=3)
    return scheduler


@WHICH
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "0.5", True, MISSING])
def test_a_value_that_is_no_finite_number_stops_and_moves_nobody(make: Any, value: Any) -> None:
    scheduler = make()
    report = {"epoch": 1} if value is MISSING else {"epoch": 1, OBJECTIVE: value}
    before = scheduler.state()
    assert scheduler.on_trial_result(CONTROLLER, stand_in("a"), report) == GO
    assert scheduler.state() == before


@WHICH
def test_a_report_without_an_epoch_changes_nothing(make: Any) -> None:
    scheduler = make()
    before = scheduler.state()
    assert scheduler.on_trial_result(CONTROLLER, stand_in("a"), {OBJECTIVE: 0.5}) == GO
    assert scheduler.state() == before


@WHICH
def test_the_reference_is_never_stopped_nor_paused(make: Any) -> None:
    scheduler = make()
    for trial in "abcdefg":
        tell(scheduler, trial, 0.9)
    assert tell(scheduler, "r", 0.0) == GO


@WHICH
@pytest.mark.parametrize("epoch", [2, 4])
def test_a_report_between_or_after_the_rungs_is_not_judged(make: Any, epoch: int) -> None:
    scheduler = make()
    for trial in "abcd":
        tell(scheduler, trial, 0.9)
    assert tell(scheduler, "e", 0.0, epoch) == GO
    assert "e" not in scheduler.stops


@WHICH
def test_a_memory_survives_json(make: Any) -> None:
    scheduler, again = busy(make()), make()
    again.load_state(json.loads(json.dumps(scheduler.state())))
    assert again.state() == scheduler.state()
    assert (again.stops, again.protected, again.paused) == (scheduler.stops, scheduler.protected, scheduler.paused)


@WHICH
def test_after_a_restore_decisions_are_as_without(make: Any) -> None:
    scheduler, again = busy(make()), make()
    again.load_state(scheduler.state())
    for trial, value in (("b", 0.9), ("c", 0.05), ("d", 0.95), ("e", 0.6)):
        assert tell(again, trial, value, epoch=3) == tell(scheduler, trial, value, epoch=3)
    assert again.state() == scheduler.state()


@WHICH
def test_an_epoch_that_comes_again_after_a_restore_poisons_no_rung(make: Any) -> None:
    scheduler, again = busy(make()), make()
    again.load_state(scheduler.state())
    words = [tell(again, trial, 0.99) for trial in "rab"]
    assert again.state() == scheduler.state()
    assert STOP not in words or scheduler.stops


@WHICH
def test_ray_can_pickle_it(make: Any) -> None:
    scheduler = busy(make())
    again = pickle.loads(pickle.dumps(scheduler))
    assert again.state() == scheduler.state()


@WHICH
def test_every_decision_is_on_disk_at_once(make: Any, tmp_path: Path) -> None:
    scheduler = busy(make(tmp_path / "scheduler.json"))
    again = make(tmp_path / "scheduler.json")
    assert again.recall() == (scheduler.name != "none")
    assert again.state() == scheduler.state()


def test_without_a_file_nothing_is_recalled(tmp_path: Path) -> None:
    assert not make_asha().recall()
    assert not Asha(HalvingSetup((1,), 3, MODELS, "r", tmp_path / "scheduler.json")).recall()


def test_a_folder_that_cannot_be_written_stops_no_sweep(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    asha = Asha(HalvingSetup((1,), 3, MODELS, "r", tmp_path / "file" / "scheduler.json"))
    assert tell(asha, "a", 0.5) == GO
    assert "could not be written" in caplog.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 0}, "is of {'version': 0, 'scheduler': 'asha'}, but must be of {'version': 1"),
        ({"scheduler": "median"}, "'scheduler': 'median'}, but must be of"),
        ({"rungs": {"2": {}}}, "does not fit: the rungs recorded are 2, but must be 1, 3, 9"),
        ({"stops": {"a": {"rung": 1}}}, "does not fit"),
        ({"stops": None}, "does not fit"),
    ],
)
def test_a_state_of_something_else_is_refused(change: dict[str, Any], words: str) -> None:
    asha = make_asha()
    with pytest.raises(StorageError, match=re.escape(words)):
        asha.load_state(asha.state() | change)


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
    assert tell(asha, plan.trials[0].trial_id, 0.1, plan.rungs[0]) == GO
    assert tell(asha, plan.trials[2].trial_id, 0.1, plan.rungs[0]) == STOP


@pytest.mark.parametrize(
    ("name", "kind"),
    [("asha", Asha), ("asha_promote", AshaPromote), ("hyperband", Hyperband), ("median", Median), ("none", RunAll)],
)
def test_the_experiment_decides_which_scheduler(name: str, kind: type[Scheduler], tmp_path: Path) -> None:
    experiment = load_experiment("grid_lr_loss", profile="quick", scheduler=name)
    scheduler = build_scheduler(experiment, build_plan(experiment), memory=tmp_path / "s.json", slots=2)
    assert (type(scheduler), scheduler.name) == (kind, name)


def test_every_scheduler_of_an_experiment_can_be_built_and_records_a_known_reason() -> None:
    assert {name: REASON.get(name, "") for name in SCHEDULERS} == {**REASON, "none": ""}
    assert set(REASON.values()) == STOPPED_EARLY

"""Promotion by hand: who pauses, who gets the free slot, who is stopped at the end and why."""

import json
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from bddseg.result import OBJECTIVE
from sweeps.schedulers.asha_promote import AshaPromote
from sweeps.schedulers.rungs import Stop
from sweeps.schedulers.scheduler import HalvingSetup

GO, PAUSE, STOP = TrialScheduler.CONTINUE, TrialScheduler.PAUSE, TrialScheduler.STOP
NAMES = "rabcdef"
MODELS = dict.fromkeys(NAMES, "vanilla_unet")


class Ray:
    """Ray's controller by hand: what the scheduler says is done, nothing more."""

    def __init__(self, scheduler: AshaPromote, names: str = NAMES) -> None:
        self.scheduler = scheduler
        self.trials = {name: self._trial(name) for name in names}
        for trial in self.trials.values():
            scheduler.on_trial_add(self, trial)  # type: ignore[arg-type]

    @staticmethod
    def _trial(name: str) -> Any:
        trial = SimpleNamespace(config={"trial": name}, status="PENDING")
        trial.set_status = lambda status: setattr(trial, "status", status)
        return trial

    def get_trials(self) -> list[Any]:
        return list(self.trials.values())

    def stop_trial(self, trial: Any) -> None:
        trial.status = "TERMINATED"

    def states(self, status: str) -> str:
        return "".join(name for name, trial in self.trials.items() if trial.status == status)

    def start(self) -> str:
        """Give out one slot; return who got it."""
        chosen: Any = self.scheduler.choose_trial_to_run(self)  # type: ignore[arg-type]
        if chosen is None:
            return ""
        chosen.status = "RUNNING"
        return str(chosen.config["trial"])

    def report(self, name: str, epoch: int, value: float, **more: Any) -> str:
        """Tell an epoch of a trial that runs; return what the scheduler said."""
        trial = self.trials[name]
        assert trial.status == "RUNNING"
        word = self.scheduler.on_trial_result(self, trial, {"epoch": epoch, OBJECTIVE: value, **more})  # type: ignore[arg-type]
        trial.status = {GO: "RUNNING", PAUSE: "PAUSED", STOP: "TERMINATED"}[word]
        return word

    def first_rung(self, values: dict[str, float]) -> None:
        """Run new trials, one after the other, to their first rung."""
        for name, value in values.items():
            assert self.start() == name
            self.report(name, 1, value)


def make(rungs: tuple[int, ...] = (1, 3), slots: int = 1, **more: Any) -> AshaPromote:
    """Return a scheduler that goes depth first unless told otherwise: there, order matters most."""
    more = {"breadth_first": False, **more}
    setup = HalvingSetup(rungs, 3, more.pop("models", MODELS), "r", more.pop("path", None))
    return AshaPromote(setup, slots=slots, **more)


def after_reference(scheduler: AshaPromote, names: str = NAMES) -> Ray:
    """Return Ray after the reference has run to its end, with the lowest of all values."""
    ray = Ray(scheduler, names)
    assert ray.start() == "r"
    for epoch in (1, 2, 3):
        assert ray.report("r", epoch, 0.01) == GO
    ray.trials["r"].status = "TERMINATED"
    return ray


# Who waits, who goes on


def test_all_trials_are_held_back_from_rays_queue() -> None:
    assert Ray(make()).states("PAUSED") == NAMES


def test_trials_start_in_the_order_of_the_plan() -> None:
    ray = Ray(make(slots=3))
    assert [ray.start() for _ in range(3)] == ["r", "a", "b"]


def test_no_more_start_than_there_are_slots() -> None:
    ray = Ray(make(slots=2))
    assert [ray.start() for _ in range(3)] == ["r", "a", ""]


def test_without_a_number_of_slots_one_trial_at_a_time_waits_for_ray() -> None:
    ray = Ray(make(slots=0))
    assert (ray.start(), ray.start()) == ("r", "a")
    ray.trials["a"].status = "PENDING"
    assert ray.start() == ""


def test_the_reference_never_waits() -> None:
    after_reference(make())


def test_a_trial_pauses_at_its_rung() -> None:
    ray = after_reference(make())
    ray.start()
    assert ray.report("a", 1, 0.5) == PAUSE
    assert ray.scheduler.paused == {"a": 1}


def test_between_rungs_a_trial_goes_on() -> None:
    ray = after_reference(make(rungs=(2, 6)))
    ray.start()
    assert ray.report("a", 1, 0.5) == GO


def test_who_would_get_the_free_slot_at_once_does_not_pause() -> None:
    ray = after_reference(make())
    ray.first_rung({"a": 0.5})
    ray.start()
    assert ray.report("b", 1, 0.6) == GO  # the best of three: r, a, b
    assert ray.scheduler.paused == {"a": 1}


def test_a_promotion_comes_before_a_new_trial() -> None:
    ray = Ray(make(slots=2))
    assert (ray.start(), ray.start()) == ("r", "a")
    assert ray.report("a", 1, 0.9) == PAUSE  # alone at the rung
    assert ray.start() == "b"
    ray.report("b", 1, 0.5)
    assert ray.start() == "c"
    ray.report("c", 1, 0.4)  # three at the rung: a is the best third
    assert ray.start() == "a"


def test_a_higher_rung_comes_first() -> None:
    ray = after_reference(make(), names="rabcdefghi")
    scheduler = ray.scheduler
    scheduler._models.update(dict.fromkeys("ghi", "vanilla_unet"))
    scheduler.rungs.values = {1: dict.fromkeys("abcdef", 0.5), 3: {"a": 0.5, "b": 0.4, "c": 0.3}}
    scheduler.paused = {"a": 3, "b": 3, "c": 3, "d": 1, "e": 1, "f": 1}
    scheduler.started = dict.fromkeys("rabcdef")
    assert ray.start() == "a"


def test_breadth_first_all_reach_the_first_rung_before_any_goes_on() -> None:
    ray = after_reference(make(breadth_first=True))
    ray.first_rung({"a": 0.5, "b": 0.6, "c": 0.4, "d": 0.3, "e": 0.2})
    assert ray.start() == "f"
    assert ray.report("f", 1, 0.1) == PAUSE
    assert (ray.start(), ray.scheduler.paused) == ("b", dict.fromkeys("acdef", 1))


def test_breadth_first_a_lower_rung_comes_first() -> None:
    scheduler = make(breadth_first=True)
    ray = Ray(scheduler, "abcdef")
    scheduler.rungs.values = {1: dict(zip("abcdef", (0.9, 0.8, 0.4, 0.3, 0.2, 0.1), strict=True)), 3: {"a": 0.9}}
    scheduler.started, scheduler.paused = dict.fromkeys("abcdef"), {"a": 3, **dict.fromkeys("bcdef", 1)}
    assert ray.start() == "b"


def test_ties_at_the_cutoff_are_promoted_together() -> None:
    ray = after_reference(make())
    ray.first_rung({"a": 0.5})
    assert ray.start() == "b"
    assert ray.report("b", 1, 0.5) == PAUSE  # a, as good, came first and gets the slot
    assert [ray.start(), ray.report("a", 3, 0.5), ray.start()] == ["a", PAUSE, "b"]


def test_a_trial_that_was_cut_off_comes_before_all_others() -> None:
    scheduler = make()
    scheduler.started = dict.fromkeys("rb")
    assert Ray(scheduler, "abc").start() == "b"


def test_one_that_ray_tries_again_is_not_held_back() -> None:
    ray = Ray(make())
    assert ray.start() == "r"
    ray.trials["r"].status = "PENDING"  # failed, and queued again by Ray
    ray.scheduler.on_trial_add(ray, ray.trials["r"])  # type: ignore[arg-type]
    assert (ray.trials["r"].status, ray.start()) == ("PENDING", "")


# The end


def test_breadth_first_exactly_the_best_of_each_rung_go_on() -> None:
    ray = Ray(make(breadth_first=True))
    finish(ray, VALUES)
    stopped = {name: (stop.rung, stop.cutoff) for name, stop in ray.scheduler.stops.items()}
    assert stopped == {**dict.fromkeys("abcd", (1, 0.5)), "e": (3, 0.6)}  # two of seven, then one of three


def finish(ray: Ray, values: dict[str, float]) -> None:
    """Run all to the end: each trial has the same value at every rung."""
    rungs = ray.scheduler.rungs.values
    for _ in range(100):
        while ray.start():
            pass
        for name in ray.states("RUNNING"):
            ahead = [rung for rung in rungs if name not in rungs[rung]]
            if ahead:
                ray.report(name, ahead[0], values[name])
            else:
                ray.trials[name].status = "TERMINATED"


VALUES = {"r": 0.01, "a": 0.1, "b": 0.2, "c": 0.15, "d": 0.12, "e": 0.5, "f": 0.6}


def test_at_the_end_all_that_wait_are_stopped_with_the_reason() -> None:
    ray = Ray(make())
    finish(ray, VALUES)
    stops = ray.scheduler.stops
    assert ray.states("TERMINATED") == NAMES
    assert {name: (stop.rung, stop.value) for name, stop in stops.items()} == {
        "a": (1, 0.1),
        "b": (3, 0.2),  # was the best third of r, a, b, and so were later e and f
        "c": (1, 0.15),
        "d": (1, 0.12),
    }
    assert stops["a"] == Stop(1, 0.1, 0.5, 2, "asha_promote")  # of seven at the rung two go on: e and f
    assert stops["b"] == Stop(3, 0.2, 0.6, 1, "asha_promote")


@pytest.mark.parametrize("breadth_first", [True, False])
@pytest.mark.parametrize("slots", [1, 2, 3, 7])
def test_the_best_reaches_the_end_with_any_number_of_slots(slots: int, breadth_first: bool) -> None:
    ray = Ray(make(slots=slots, breadth_first=breadth_first))
    finish(ray, VALUES)
    assert ray.states("TERMINATED") == NAMES
    assert {"r", "f"}.isdisjoint(ray.scheduler.stops)
    assert all(stop.value < stop.cutoff and stop.reason == "asha" for stop in ray.scheduler.stops.values())


def test_the_cutoff_is_the_last_that_went_on() -> None:
    scheduler = make()
    ray = Ray(scheduler, "abcd")
    scheduler.rungs.values[1] = {"a": 0.4, "b": 0.3, "c": 0.2, "d": 0.1}
    scheduler.started, scheduler.paused = dict.fromkeys("abcd"), {"b": 1, "c": 1}
    for name in "ad":
        ray.trials[name].status = "TERMINATED"
    assert ray.start() == ""
    assert scheduler.stops == {
        "b": Stop(1, 0.3, 0.4, 1, "asha_promote"),
        "c": Stop(1, 0.2, 0.4, 1, "asha_promote"),
    }


def test_while_one_still_runs_nobody_is_stopped() -> None:
    ray = Ray(make(slots=2), "rab")
    for _ in "ra":
        ray.start()
    ray.report("a", 1, 0.5)
    ray.start()
    ray.report("b", 1, 0.4)
    assert (ray.start(), ray.report("a", 3, 0.5)) == ("a", GO)  # leads, and nobody else waits for the slot
    assert (ray.start(), ray.scheduler.stops) == ("", {})
    for name in "ra":
        ray.trials[name].status = "TERMINATED"
    assert (ray.start(), set(ray.scheduler.stops)) == ("", {"b"})


def test_the_best_of_few_is_promoted_though_a_third_of_them_is_none() -> None:
    ray = Ray(make(), "ab")
    ray.first_rung({"a": 0.5})
    ray.start()
    assert ray.report("b", 1, 0.6) == GO
    assert ray.scheduler.protected == {}  # it is the best there, so nothing had to protect it


def test_the_leader_of_its_model_goes_on_at_the_end() -> None:
    ray = after_reference(make(models=MODELS | {"c": "attention_unet"}), names="rabcd")
    ray.first_rung({"a": 0.5})
    assert ray.start() == "b"
    ray.report("b", 1, 0.9)  # goes on
    ray.trials["b"].status = "TERMINATED"
    assert ray.start() == "c"
    assert (ray.report("c", 1, 0.1), ray.start()) == (PAUSE, "d")
    assert (ray.report("d", 1, 0.2), ray.start()) == (PAUSE, "c")
    assert ray.scheduler.protected == {"c": [1]}


def test_a_trial_that_ends_by_itself_is_not_paused() -> None:
    ray = after_reference(make())
    ray.start()
    assert ray.report("a", 1, 0.5, stop_reason="plateau") == GO
    assert ray.scheduler.paused == {} and ray.scheduler.rungs.values[1]["a"] == 0.5


# Memory


def test_after_a_restart_who_waited_waits_and_who_ran_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "scheduler.json"
    ray = after_reference(make(path=path))
    ray.first_rung({"a": 0.5})
    assert ray.start() == "b"  # and the driver dies
    scheduler = make(path=path)
    assert scheduler.recall() and scheduler.paused == {"a": 1}
    again = Ray(scheduler, "abcdef")
    assert again.start() == "b"
    assert (again.report("b", 1, 0.2), again.start()) == (PAUSE, "a")


def test_a_rung_that_is_reached_again_after_a_restart_is_not_judged_again() -> None:
    ray = after_reference(make())
    ray.first_rung({"a": 0.5})
    ray.start()
    assert ray.report("b", 1, 0.6) == GO
    scheduler = make()
    scheduler.load_state(json.loads(json.dumps(ray.scheduler.state())))
    again = Ray(scheduler, "abcdef")
    assert (again.start(), again.report("b", 1, 0.0)) == ("b", GO)
    assert scheduler.rungs.values[1] == {"r": 0.01, "a": 0.5, "b": 0.6}


def test_stops_that_ray_has_not_heard_of_are_carried_out_after_a_restart() -> None:
    scheduler = make()
    scheduler.stops["a"] = Stop(1, 0.1, 0.2, 1, "asha_promote")
    ray = Ray(scheduler, "a")
    assert (ray.start(), ray.states("TERMINATED")) == ("", "a")


def test_ray_can_pickle_it_and_a_copy_holds_trials_back_anew() -> None:
    ray = Ray(make())
    again = pickle.loads(pickle.dumps(ray.scheduler))
    assert again.state() == ray.scheduler.state()
    assert Ray(again).states("PAUSED") == NAMES

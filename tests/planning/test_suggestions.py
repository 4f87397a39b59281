"""Suggested trials: each is in the plan before it trains, none is trained twice, the study records every end."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from plans import growing
from spaces import make
from studies import recorded

from sweeps.execution.searcher import PlanSearcher
from sweeps.planning.axes import Axis, Range
from sweeps.planning.experiment import Experiment
from sweeps.planning.optuna_study import INVALID, TRIAL
from sweeps.planning.plan import Plan, PlannedTrial
from sweeps.planning.planner import build_plan
from sweeps.planning.suggestions import Suggestions
from sweeps.schedulers.rungs import TRIAL_KEY
from sweeps.storage.folder import SweepFolder
from sweeps.storage.sweep_json import FILE
from sweeps.storage.trial_history import TrialHistory

NARROW: dict[str, Axis] = {"model.name": ("vanilla_unet", "attention_unet"), "loss.name": ("cross_entropy", "focal")}
RATE: dict[str, Axis] = {"optim.lr": Range(1e-5, 1e-2, log=True)}


class Sweep:
    """A sweep that adds suggestions to its plan, as a running one does."""

    def __init__(self, folder: Path, experiment: Experiment) -> None:
        self.folder, self.experiment = SweepFolder(folder), experiment
        self.shared = growing(build_plan(experiment, precision="fp32"), folder)
        self.past: dict[str, TrialHistory] = {}
        self.trained_before: Callable[[PlannedTrial], bool] = lambda trial: False
        self.resume()

    @property
    def plan(self) -> Plan:
        return self.shared.current

    def resume(self) -> None:
        """Continue in another process."""
        self.suggestions = Suggestions(self.experiment, self.folder, self.shared, self.past)

    def next(self) -> PlannedTrial | None:
        while trial := self.suggestions.next():
            self.shared.add([trial])
            if self.trained_before(trial):
                self.past[trial.trial_id] = TrialHistory({1: 0.5}, reason="max_epochs")
            self.suggestions.catch_up()
            if not self.suggestions.is_settled(trial.trial_id):
                return trial
        return None


def started(folder: Path, axes: dict[str, Axis], samples: int) -> Sweep:
    return Sweep(folder, make(axes, name="optuna", samples=samples))


def test_suggestions_end_when_the_plan_is_full(tmp_path: Path) -> None:
    sweep = started(tmp_path, RATE, 4)
    found = [sweep.next() for _ in range(4)]
    assert [trial is None for trial in found] == [False, False, False, True] and not sweep.suggestions.is_exhausted
    assert len(sweep.plan.trials) == 4 and sweep.plan.to_come == 0


def test_suggestions_end_when_the_space_has_no_more_points(tmp_path: Path) -> None:
    sweep = started(tmp_path, NARROW, 20)
    while sweep.next():
        pass
    assert len({trial.trial_id for trial in sweep.plan.trials}) == 4 and sweep.suggestions.is_exhausted


def test_a_trial_that_was_trained_before_is_told_and_the_next_one_given(tmp_path: Path) -> None:
    sweep = started(tmp_path, RATE, 5)
    sweep.trained_before = lambda trial: len(sweep.plan.trials) < 4  # the first two that are suggested
    assert sweep.next() is sweep.plan.trials[3]
    assert [found.state.name for found in recorded(tmp_path)] == ["RUNNING", "COMPLETE", "COMPLETE", "RUNNING"]


def test_a_full_disk_costs_no_suggestion(tmp_path: Path) -> None:
    sweep = started(tmp_path, RATE, 3)
    (tmp_path / FILE).mkdir()  # in the way of sweep.json
    with pytest.raises(OSError, match="directory"):
        sweep.next()
    (tmp_path / FILE).rmdir()
    assert sweep.next() is sweep.plan.trials[1]
    assert [found.user_attrs[TRIAL] for found in recorded(tmp_path)] == [it.trial_id for it in sweep.plan.trials]


def test_another_process_goes_on_where_one_was_lost(tmp_path: Path) -> None:
    sweep = started(tmp_path, RATE, 4)
    first = sweep.next()
    assert first
    sweep.past[first.trial_id] = TrialHistory({1: 0.3}, reason="asha")  # it ended, and nobody told the study
    sweep.resume()
    assert sweep.next() is sweep.plan.trials[2]
    assert [found.state.name for found in recorded(tmp_path)] == ["RUNNING", "PRUNED", "RUNNING"]


def test_what_is_open_at_the_end_has_failed(tmp_path: Path) -> None:
    sweep = started(tmp_path, RATE, 2)
    sweep.next()
    sweep.suggestions.close()
    assert [found.state.name for found in recorded(tmp_path)] == ["FAIL", "FAIL"]


# As Tune asks


def test_open_trials_come_first_and_no_more_than_there_is_room_for(tmp_path: Path) -> None:
    sweep = started(tmp_path, RATE, 4)
    suggester = PlanSearcher(sweep.plan.trials, sweep.next, lambda: 2)
    first, second = suggester.suggest("a"), suggester.suggest("b")
    assert isinstance(first, dict) and first[TRIAL_KEY] == sweep.plan.trials[0].trial_id
    assert isinstance(second, dict) and second["optim.lr"] == sweep.plan.trials[1].config.optim.lr
    assert suggester.suggest("c") is None
    suggester.on_trial_complete("a")
    assert isinstance(suggester.suggest("c"), dict) and len(sweep.plan.trials) == 3


def test_what_fails_ends_the_suggestions_and_is_kept_a_full_disk_is_asked_again() -> None:
    errors = [OSError("no space"), ValueError("no model")]

    def source() -> PlannedTrial | None:
        raise errors.pop(0)

    suggester = PlanSearcher([], source, lambda: 2)
    assert suggester.suggest("a") is None and suggester.failure is None
    assert suggester.suggest("a") == PlanSearcher.FINISHED and isinstance(suggester.failure, ValueError)


def test_after_many_suggestions_that_make_no_configuration_a_point_is_drawn_by_chance(tmp_path: Path) -> None:
    axes: dict[str, Axis] = {"model.base_filters": (32, *range(33, 433, 2)), "optim.lr": RATE["optim.lr"]}
    experiment = make(RATE, name="optuna", samples=2)
    base = experiment.base.with_overrides({"model.name": "attention_unet"})  # wants an even number of filters
    reference = {"model.base_filters": 32, "optim.lr": 1e-3}
    experiment = replace(experiment, base=base, axes=tuple(axes.items()), reference=reference)
    trial = Sweep(tmp_path, experiment).next()
    assert trial is not None and trial.point["model.base_filters"] == 32 and trial.point["optim.lr"] != 1e-3
    assert [trial.state.name for trial in recorded(tmp_path)] == ["RUNNING", *["FAIL"] * INVALID, "RUNNING"]

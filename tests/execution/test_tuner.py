"""Which trials a pass runs, from which state they go on, and with how much of the device."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import make_config, make_frames, make_split

from bddseg.checkpoint import BEST, LAST, save_training
from bddseg.result import OBJECTIVE
from bddseg.train import fit
from sweeps.execution.driver_desk import FolderDesk
from sweeps.execution.spec import SweepSpec
from sweeps.execution.trainable import Workload, newest_state
from sweeps.execution.tuner import TunerPass, recall
from sweeps.planning.experiment import load_experiment
from sweeps.planning.plan import PlannedTrial
from sweeps.planning.planner import build_plan
from sweeps.schedulers.median import Median
from sweeps.schedulers.scheduler import HalvingSetup
from sweeps.storage.checkpoints import FolderCheckpoints
from sweeps.storage.events import End, Epoch, Event, Start
from sweeps.storage.folder import SweepFolder
from sweeps.storage.outcomes import status_of
from sweeps.storage.trial_history import TrialHistory, read_histories

CPU = torch.device("cpu")
EXPERIMENT = load_experiment("smoke", profile="quick")
PLAN = build_plan(EXPERIMENT, precision="fp32")
FIRST, SECOND, THIRD, FOURTH = PLAN.trials


def order(**resources: float) -> SweepSpec:
    return SweepSpec(
        experiment=EXPERIMENT,
        plan=PLAN,
        material=None,  # type: ignore[arg-type]
        storage=Path(),
        tracking_uri="",
        resources={"CPU": 1.0, "GPU": 0.0} | resources,
    )


def started() -> Start:
    return Start("a")


def epoch(step: int, value: float | None = 0.5, ending: str = "") -> Epoch:
    return Epoch("a", step, {OBJECTIVE: value}, ending)


def ended(reason: str) -> End:
    return End("a", status_of(reason), {"sweep.stop_reason": reason})


def past(**trials: list[Event]) -> dict[str, TrialHistory]:
    """Return the past of the trials `first`, `second`, ... of the plan."""
    names = dict(zip(("first", "second", "third", "fourth"), PLAN.trials, strict=True))
    events = [
        replace(event, trial=names[name].trial_id) for name, trial_events in trials.items() for event in trial_events
    ]
    return read_histories(events)


def todo(folder: Path, histories: dict[str, TrialHistory], cores: int = 4, **resources: float) -> TunerPass:
    return TunerPass.of(order(**resources), PLAN, histories, SweepFolder(folder), cores)


def test_a_new_sweep_runs_every_trial_in_the_order_of_the_plan(tmp_path: Path) -> None:
    assert list(todo(tmp_path, {}).trials) == list(PLAN.trials)


@pytest.mark.parametrize("reason", ["max_epochs", "plateau", "asha", "diverged", "error"])
def test_a_trial_that_came_to_its_own_end_is_not_run_again(reason: str, tmp_path: Path) -> None:
    histories = past(second=[started(), epoch(1), ended(reason)])
    assert list(todo(tmp_path, histories).trials) == [FIRST, THIRD, FOURTH]


@pytest.mark.parametrize("reason", ["user", "driver_lost", "time_budget"])
def test_a_trial_that_was_cut_off_goes_on_before_those_never_started(reason: str, tmp_path: Path) -> None:
    histories = past(third=[started(), epoch(1), ended(reason)])
    assert list(todo(tmp_path, histories).trials) == [THIRD, FIRST, SECOND, FOURTH]


def test_a_trial_without_an_end_goes_on(tmp_path: Path) -> None:
    histories = past(fourth=[started(), epoch(1)], first=[started(), epoch(3), ended("max_epochs")])
    assert list(todo(tmp_path, histories).trials) == [FOURTH, SECOND, THIRD]


def test_a_cancelled_trial_stays_ended(tmp_path: Path) -> None:
    SweepFolder(tmp_path).cancel(FIRST.trial_id)
    histories = past(first=[started(), ended("user")], second=[started(), ended("user")])
    assert list(todo(tmp_path, histories).trials) == [SECOND, THIRD, FOURTH]


def test_a_cancelled_trial_whose_driver_was_lost_is_run_once_more_to_end_itself(tmp_path: Path) -> None:
    SweepFolder(tmp_path).cancel(FIRST.trial_id)
    assert FIRST in todo(tmp_path, past(first=[started(), ended("driver_lost")])).trials


def test_a_trial_that_ends_in_its_second_try_for_memory_is_not_run_again(tmp_path: Path) -> None:
    trial_events = [started(), ended("oom"), started(), epoch(1), ended("max_epochs")]
    assert FIRST not in todo(tmp_path, past(first=trial_events), GPU=0.25).trials


def test_a_trial_that_was_opened_again_is_open(tmp_path: Path) -> None:
    histories = past(first=[started(), ended("driver_lost"), started()])
    assert FIRST in todo(tmp_path, histories).trials


def test_lack_of_memory_gives_another_pass_with_twice_the_share(tmp_path: Path) -> None:
    following = todo(tmp_path, past(first=[started(), ended("oom")]), GPU=0.25)
    assert following.resources[FIRST.trial_id]["GPU"] == 0.5
    assert following.resources[SECOND.trial_id]["GPU"] == 0.25


def test_lack_of_memory_on_the_cpu_gives_another_pass_with_fewer_neighbours(tmp_path: Path) -> None:
    following = todo(tmp_path, past(first=[started(), ended("oom")]), cores=2)
    assert following.resources[FIRST.trial_id]["CPU"] == 2


def test_lack_of_memory_twice_is_the_end(tmp_path: Path) -> None:
    twice = [started(), ended("oom"), started(), ended("oom")]
    assert FIRST not in todo(tmp_path, past(first=twice), GPU=0.25).trials


def test_lack_of_memory_with_the_whole_device_is_the_end(tmp_path: Path) -> None:
    assert FIRST not in todo(tmp_path, past(first=[started(), ended("oom")]), GPU=1.0).trials


def test_a_trial_cut_off_in_its_second_try_keeps_the_larger_share(tmp_path: Path) -> None:
    trial_events = [started(), ended("oom"), started(), epoch(1), ended("driver_lost")]
    assert todo(tmp_path, past(first=trial_events), GPU=0.25).resources[FIRST.trial_id]["GPU"] == 0.5


def test_training_goes_on_after_the_last_epoch_that_was_told() -> None:
    assert past(first=[started(), epoch(1), epoch(2)])[FIRST.trial_id].safe_epoch == 2


def test_an_end_that_was_never_written_down_is_reported_again() -> None:
    assert past(first=[started(), epoch(1), epoch(2, ending="max_epochs")])[FIRST.trial_id].safe_epoch == 1


def workload(folder: Path, trial: PlannedTrial = FIRST, reported: int = 0) -> Workload:
    return Workload(
        base={},
        frames=make_frames(),
        split=make_split(),
        rungs=(),
        desk=FolderDesk(SweepFolder(folder)),
        checkpoints=FolderCheckpoints(folder),
        resources={},
        reported={trial.trial_id: reported} if reported else {},
    )


def save_epochs(folder: Path, *epochs: int, in_pass: int = 1) -> None:
    """Train a tiny trial and keep a checkpoint of the given epochs, as Ray names them."""
    for result in fit(make_config(train_epochs=max(epochs)), make_frames(), make_split(), CPU):
        if result.epoch in epochs:
            place = folder / f"pass-{in_pass}" / FIRST.trial_id / f"checkpoint_{result.epoch - 1:06d}"
            place.mkdir(parents=True)
            save_training(place, result.state())


def resumed_epoch(folder: Path, reported: int) -> int | None:
    state = newest_state(FIRST.trial_id, workload(folder, reported=reported), None, CPU)
    return state["epoch"] if state else None


def test_a_trial_without_checkpoints_begins_anew(tmp_path: Path) -> None:
    assert resumed_epoch(tmp_path, reported=2) is None


def test_the_newest_checkpoint_is_taken(tmp_path: Path) -> None:
    save_epochs(tmp_path, 1, 2)
    assert resumed_epoch(tmp_path, reported=2) == 2


def test_a_checkpoint_of_an_epoch_that_was_never_reported_is_left_alone(tmp_path: Path) -> None:
    save_epochs(tmp_path, 1, 2)
    assert resumed_epoch(tmp_path, reported=1) == 1


def test_a_later_pass_counts_for_more(tmp_path: Path) -> None:
    save_epochs(tmp_path, 2, in_pass=9)
    save_epochs(tmp_path, 3, in_pass=10)
    assert resumed_epoch(tmp_path, reported=3) == 3
    assert SweepFolder(tmp_path).next_pass() == "pass-11"


@pytest.mark.parametrize("name", [LAST, BEST])
def test_a_torn_checkpoint_is_passed_over_for_an_older_one(name: str, tmp_path: Path) -> None:
    save_epochs(tmp_path, 1, 2)
    torn = tmp_path / "pass-1" / FIRST.trial_id / "checkpoint_000001" / name
    torn.write_bytes(torn.read_bytes()[:100])
    assert resumed_epoch(tmp_path, reported=2) == 1


def test_a_checkpoint_of_which_half_is_missing_is_passed_over(tmp_path: Path) -> None:
    save_epochs(tmp_path, 1, 2)
    (tmp_path / "pass-1" / FIRST.trial_id / "checkpoint_000001" / LAST).unlink()
    assert resumed_epoch(tmp_path, reported=2) == 1


def test_an_epoch_with_a_value_of_nothing_is_recalled_as_it_was(tmp_path: Path) -> None:
    models = {trial.trial_id: trial.config.model.name for trial in PLAN.trials}
    scheduler = Median(HalvingSetup((9,), 3, models, FIRST.trial_id))
    recall(scheduler, tmp_path / "none", past(first=[started(), epoch(1, 0.5), epoch(2, 0.0), epoch(3, None)]))
    assert scheduler.courses[FIRST.trial_id].average == 0.25

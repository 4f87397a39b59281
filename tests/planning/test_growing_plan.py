"""The plan of a running sweep grows together with its sweep.json."""

from pathlib import Path

import pytest
from plans import PLAN, growing

from sweeps.errors import FencedError
from sweeps.planning.growing_plan import GrowingPlan
from sweeps.planning.plan import PlannedTrial
from sweeps.storage.attempts import take_number
from sweeps.storage.sweep_json import FILE, FORMAT, Manifest, read_manifest

REPLICATE: PlannedTrial = PLAN.trials[1].replicate(1)


def test_a_trial_that_is_added_is_in_the_plan_and_in_the_file(tmp_path: Path) -> None:
    plan = growing(PLAN, tmp_path)
    plan.add([REPLICATE], version=FORMAT)
    assert plan.current.trials == (*PLAN.trials, REPLICATE)
    assert [trial.trial_id for trial in read_manifest(tmp_path).trials] == [REPLICATE.trial_id]


def test_holders_of_the_trials_see_those_that_are_added(tmp_path: Path) -> None:
    plan = growing(PLAN, tmp_path)
    held = plan.trials
    plan.add([REPLICATE])
    assert held[REPLICATE.trial_id] == REPLICATE


def test_a_file_that_cannot_be_written_leaves_the_plan_as_it_was(tmp_path: Path) -> None:
    plan = growing(PLAN, tmp_path)
    (tmp_path / FILE).mkdir()
    with pytest.raises(OSError, match="directory"):
        plan.add([REPLICATE], seed=3)
    assert (plan.current, len(plan.trials), plan.manifest.trials) == (PLAN, 2, ())


def test_an_earlier_attempt_writes_no_sweep_json_over_that_of_the_newer_one(tmp_path: Path) -> None:
    attempt = take_number(tmp_path)
    plan = GrowingPlan(PLAN, tmp_path, Manifest.read({"trials": ()}), attempt.check)
    content = plan.save().read_bytes()
    take_number(tmp_path)
    with pytest.raises(FencedError, match="attempt 2"):
        plan.add([REPLICATE])
    assert (tmp_path / FILE).read_bytes() == content and plan.current == PLAN

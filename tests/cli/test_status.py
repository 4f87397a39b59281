"""Where a sweep stands, told by its folder."""

from dataclasses import replace
from pathlib import Path

import pytest
from plans import EXPERIMENT, FIRST, PLAN, SECOND
from recording import end, epoch, start

import tune_main
from sweeps.cli.status import read_status
from sweeps.planning.manifest import build_manifest
from sweeps.planning.sampling import Sampling
from sweeps.schedulers.state_file import FILE as MEMORY
from sweeps.schedulers.state_file import save_memory
from sweeps.storage.events import PARENT, Event
from sweeps.storage.folder import SweepFolder
from sweeps.storage.outbox import Outbox
from sweeps.storage.sweep_json import save_manifest
from sweeps.storage.tags import REUSED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sweep of two trials, of which the first has reported an epoch and the second has not started."""
    found = tmp_path / "smoke-1"
    found.mkdir()
    save_manifest(found, build_manifest("smoke-1", EXPERIMENT, PLAN, {}, {}))
    tell(found, start(PARENT), start(FIRST), epoch(1, 0.25, FIRST))
    return found


def tell(folder: Path, *events: Event) -> None:
    for event in events:
        Outbox(folder / "outbox").append(event)


def test_a_trial_that_never_started_is_waiting(folder: Path) -> None:
    status = read_status(folder)
    assert [(row.trial_id, row.state) for row in status.rows] == [(FIRST, "running"), (SECOND, "waiting")]
    assert (status.state, status.to_follow, status.rows[0].best_miou) == ("running", [], 0.25)


def test_a_trial_that_waits_at_its_rung_is_paused(folder: Path) -> None:
    save_memory(folder / MEMORY, {"paused": {FIRST: 1}})
    assert read_status(folder).rows[0].state == "paused"


def test_a_waiting_trial_that_is_cancelled_says_so_at_once(folder: Path) -> None:
    SweepFolder(folder).cancel(SECOND)
    assert read_status(folder).rows[1].state == "cancelled"


def test_a_trial_that_was_cut_off_is_interrupted_and_a_cancelled_one_is_not(folder: Path) -> None:
    tell(folder, replace(end("KILLED", FIRST), tags={"sweep.stop_reason": "user"}))
    assert read_status(folder).rows[0].state == "interrupted"
    SweepFolder(folder).cancel(FIRST)
    assert read_status(folder).rows[0].state == "cancelled"


def test_the_log_of_a_trial_is_named_while_it_runs(folder: Path) -> None:
    log = SweepFolder(folder).log(FIRST)
    log.parent.mkdir()
    log.touch()
    assert [row.log_file for row in read_status(folder).rows] == [str(log), ""]


@pytest.mark.parametrize(
    ("status", "of_trial", "of_sweep"),
    [("FINISHED", "finished", "finished"), ("KILLED", "stopped", "interrupted"), ("FAILED", "failed", "failed")],
)
def test_ends_have_the_words_of_the_live_view(folder: Path, status: str, of_trial: str, of_sweep: str) -> None:
    tell(folder, end(status, FIRST), end(status, PARENT))
    found = read_status(folder)
    assert (found.rows[0].state, found.state) == (of_trial, of_sweep)


def test_trials_that_are_still_to_be_suggested_are_counted(folder: Path) -> None:
    experiment, plan = replace(EXPERIMENT, sampling=Sampling("optuna")), replace(PLAN, samples=9)
    save_manifest(folder, build_manifest("smoke-1", experiment, plan, {}, {}))
    assert read_status(folder).to_follow == ["7 still to be suggested"]


def test_of_a_random_plan_nothing_is_still_to_be_suggested(folder: Path) -> None:
    experiment = replace(EXPERIMENT, sampling=Sampling("random", 9))
    save_manifest(folder, build_manifest("smoke-1", experiment, PLAN, {}, {}))
    assert read_status(folder).to_follow == []


def test_a_trial_that_goes_on_from_another_sweep_waits_until_it_starts_here(folder: Path) -> None:
    begun = start(SECOND)
    tell(folder, replace(begun, tags={**begun.tags, REUSED: "smoke-0"}), epoch(1, 0.5, SECOND))
    assert read_status(folder).rows[1].state == "waiting"
    tell(folder, begun)
    assert read_status(folder).rows[1].state == "running"


def test_a_trial_that_was_cut_off_before_its_first_epoch_was_not_started(folder: Path) -> None:
    cut = {"sweep.stop_reason": "user", "sweep.stop_detail": "cut off after epoch 0"}
    tell(folder, start(SECOND), replace(end("KILLED", SECOND), tags=cut))
    assert read_status(folder).rows[1].state == "not started"


def test_of_an_interrupted_sweep_nothing_waits(folder: Path) -> None:
    cut = {"sweep.stop_reason": "user", "sweep.stop_detail": "cut off after epoch 1"}
    tell(folder, replace(end("KILLED", FIRST), tags=cut), end("KILLED", PARENT))
    assert [row.state for row in read_status(folder).rows] == ["interrupted", "not started"]


def test_without_a_name_the_latest_sweep_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune_main.main(["--storage", str(folder.parent), "--status"]) == 0
    assert capsys.readouterr().err == "smoke-1: running\n"


def test_a_sweep_that_mlflow_knows_nothing_of_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune_main.main(["--status", "smoke-1", "--storage", str(folder.parent)]) == 0
    said = capsys.readouterr()
    assert "waiting" in said.out and "0.2500" in said.out and said.err == "smoke-1: running\n"

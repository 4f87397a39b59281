"""Which sweeps are unfinished, and which are refused before anything is overwritten."""

from dataclasses import replace
from pathlib import Path

import pytest
from plans import EXPERIMENT, FIRST, PLAN, SECOND
from recording import epoch, start

import tune_main
from sweeps.errors import NoSweepError, StorageError
from sweeps.planning.experiment import load_experiment
from sweeps.planning.manifest import build_manifest
from sweeps.planning.planner import build_plan
from sweeps.planning.sampling import Sampling
from sweeps.storage.events import PARENT, End
from sweeps.storage.folder import SweepFolder
from sweeps.storage.heartbeat import this_pulse, write_pulse
from sweeps.storage.outbox import Outbox
from sweeps.storage.sweep_json import save_manifest
from sweeps.storage.sweeps import check_events, find_sweep, find_trial, is_unfinished, outlook, unfinished_sweep


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sweep of two trials that was begun."""
    sweep = tmp_path / "smoke-1"
    sweep.mkdir()
    save_manifest(sweep, build_manifest("smoke-1", EXPERIMENT, PLAN, {}, {}))
    told(sweep, PARENT)
    return sweep


def told(folder: Path, *trials: str) -> None:
    outbox = Outbox(folder / "outbox")
    for trial in trials:
        outbox.append(start(trial))


def ended(folder: Path, trial: str, reason: str = "max_epochs", status: str = "FINISHED") -> None:
    Outbox(folder / "outbox").append(End(trial, status, {"sweep.stop_reason": reason}, step=1))


def save_checkpoint(folder: Path, trial: str) -> None:
    (folder / "pass-1" / trial / "checkpoint_000000").mkdir(parents=True)


def test_a_sweep_with_a_trial_that_never_started_is_unfinished(folder: Path) -> None:
    ended(folder, FIRST)
    assert is_unfinished(folder) and unfinished_sweep(folder.parent) == folder


def test_a_sweep_whose_trials_and_itself_have_ended_is_finished(folder: Path) -> None:
    for trial in (FIRST, SECOND, PARENT):
        ended(folder, trial)
    assert not is_unfinished(folder)
    with pytest.raises(NoSweepError, match="nothing to resume"):
        unfinished_sweep(folder.parent)
    write_pulse(folder, this_pulse())
    with pytest.raises(StorageError, match=r"smoke-1 is still running \(process \d+ on "):
        unfinished_sweep(folder.parent)


def test_a_sweep_that_lost_its_driver_after_its_last_trial_is_unfinished(folder: Path) -> None:
    for trial in (FIRST, SECOND):
        ended(folder, trial)
    assert is_unfinished(folder)
    ended(folder, PARENT, "driver_lost", "KILLED")
    assert is_unfinished(folder)


@pytest.mark.parametrize(("status", "expected"), [("FAILED", True), ("FINISHED", False)])
def test_a_sweep_that_failed_to_suggest_its_trials_is_unfinished(folder: Path, status: str, expected: bool) -> None:
    experiment, plan = replace(EXPERIMENT, sampling=Sampling("optuna")), replace(PLAN, samples=9)
    save_manifest(folder, build_manifest("smoke-1", experiment, plan, {}, {}))
    for trial in (FIRST, SECOND):
        ended(folder, trial)
    ended(folder, PARENT, status=status)
    assert is_unfinished(folder) is expected


def test_the_latest_unfinished_sweep_is_the_one_that_was_begun_last(folder: Path) -> None:
    for name, hour in (("smoke-2", "12"), ("smoke-1", "09")):  # written last, begun first
        path = folder.parent / name
        path.mkdir(exist_ok=True)
        facts = {"started": f"2026-11-27T{hour}:00:00+00:00"}
        save_manifest(path, build_manifest(name, EXPERIMENT, PLAN, {}, facts))
        told(path, PARENT)
    assert unfinished_sweep(folder.parent).name == "smoke-2"


def test_a_cancelled_trial_leaves_nothing_to_resume(folder: Path) -> None:
    ended(folder, FIRST, "user", "KILLED")
    for trial in (SECOND, PARENT):
        ended(folder, trial)
    assert is_unfinished(folder)
    SweepFolder(folder).cancel(FIRST)
    assert not is_unfinished(folder)


def test_a_sweep_that_is_driven_is_not_unfinished(folder: Path) -> None:
    write_pulse(folder, this_pulse())
    assert not is_unfinished(folder)
    write_pulse(folder, replace(this_pulse(), process_started=0.0))
    assert is_unfinished(folder)


def test_checkpoints_of_trials_that_no_event_tells_of_are_refused(folder: Path) -> None:
    for trial in (FIRST, SECOND):
        save_checkpoint(folder, trial)
    (folder / "outbox" / "outbox.jsonl").write_bytes(b"")
    with pytest.raises(StorageError, match="has no events of 2 trials that have checkpoints: put the file back"):
        check_events(folder)


def test_trials_whose_first_events_were_never_written_begin_anew(folder: Path) -> None:
    for trial in (FIRST, SECOND):
        save_checkpoint(folder, trial)
    told(folder, FIRST)
    assert check_events(folder) == "the last events were lost: 1 trial starts again"
    told(folder, SECOND)
    assert check_events(folder) == ""


def test_a_sweep_without_its_first_event_is_refused(folder: Path) -> None:
    (folder / "outbox" / "outbox.jsonl").write_bytes(b"")
    with pytest.raises(StorageError, match="has no start of the sweep"):
        check_events(folder)


def test_a_sweep_whose_events_are_missing_is_named(folder: Path) -> None:
    (folder / "outbox" / "outbox.jsonl").unlink()
    with pytest.raises(StorageError, match="smoke-1/outbox has no events"):
        find_sweep(folder.parent, "smoke-1")


def test_a_resume_accounts_for_every_trial(folder: Path) -> None:
    experiment = load_experiment("grid_lr_loss", profile="quick")
    plan = build_plan(experiment, precision="fp32")
    save_manifest(folder, build_manifest("smoke-1", experiment, plan, {}, {}))
    ids = [trial.trial_id for trial in plan.trials]
    told(folder, *ids[:6])
    for trial in ids[:4]:
        ended(folder, trial)
    Outbox(folder / "outbox").append(epoch(3, trial=ids[4]))
    SweepFolder(folder).cancel(ids[7])
    ahead = outlook(folder)
    assert ahead.sentence() == (
        "4 of 12 trials have ended, 1 continues, 2 start, 1 cancelled, 4 extra seeds of the best to follow"
    )
    assert [trial.description for trial in ahead.trials][3:6] == [
        "stays as it ended: max_epochs",
        "continues after epoch 3",
        "starts",
    ]


def test_one_trial_has_ended_and_one_starts(folder: Path) -> None:
    ended(folder, FIRST)
    assert outlook(folder).sentence() == "1 of 2 trials has ended, 1 starts"


def test_trials_that_are_still_to_be_suggested_are_accounted_for(folder: Path) -> None:
    experiment, plan = replace(EXPERIMENT, sampling=Sampling("optuna")), replace(PLAN, samples=9)
    save_manifest(folder, build_manifest("smoke-1", experiment, plan, {}, {}))
    assert outlook(folder).sentence() == "0 of 9 trials have ended, 2 start, 7 still to be suggested"


def test_a_dry_run_of_a_resume_says_what_it_would_do_and_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_manifest(folder, build_manifest("smoke-1", EXPERIMENT, PLAN, {"root": "", "embedded": True}, {"terms": {}}))
    ended(folder, FIRST)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert tune_main.main(["--resume", "--dry-run", "--storage", str(folder.parent)]) == 0
    printed = capsys.readouterr()
    assert "stays as it ended: max_epochs" in printed.out and "starts" in printed.out
    assert printed.err.endswith("1 of 2 trials has ended, 1 starts\n")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_trial_is_found_by_its_name_its_digest_or_the_beginning_of_one(folder: Path) -> None:
    first = PLAN.trials[0]
    assert {find_trial(folder, word) for word in (first.name, first.trial_id, FIRST[:5], first.name[:-1])} == {FIRST}
    with pytest.raises(NoSweepError, match="more than one trial"):
        find_trial(folder, first.name[:2])

"""Which recorded trials are taken over into a new sweep, and what comes with them."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from recorded_trials import DATA, plan, planned, record

from sweeps.planning.plan import PlannedTrial
from sweeps.planning.reuse import Reused, is_same_budget, reuse_sentences, take_over
from sweeps.storage.checkpoints import FolderCheckpoints
from sweeps.storage.events import End, Start
from sweeps.storage.finished_trials import FinishedTrial, find_finished
from sweeps.storage.folder import SweepFolder
from sweeps.storage.outbox import Outbox
from sweeps.storage.tags import REUSED
from sweeps.storage.trial_history import read_histories


def taken(storage: Path, *trials: PlannedTrial, fingerprint: str = DATA) -> tuple[list[Reused], Outbox]:
    """Take over into a new sweep what there is of the trials."""
    folder = SweepFolder(storage / "new")
    outbox = Outbox(folder.outbox)
    checkpoints = FolderCheckpoints(folder.path)
    return take_over(plan(*trials), find_finished(storage), fingerprint, "new", folder, checkpoints, outbox), outbox


@pytest.mark.parametrize(
    ("reason", "budget", "epochs", "asked", "expected"),
    [
        ("max_epochs", 20, 20, 20, True),
        ("max_epochs", 20, 20, 30, False),
        ("max_epochs", 20, 20, 10, False),
        ("plateau", 20, 12, 20, True),
        ("plateau", 20, 12, 50, True),
        ("plateau", 20, 12, 12, True),
        ("plateau", 20, 12, 11, False),
    ],
)
def test_a_budget_is_the_same_when_it_would_have_ended_the_trial_there(
    reason: str, budget: int, epochs: int, asked: int, expected: bool
) -> None:
    assert is_same_budget(FinishedTrial(Path(), "a", DATA, budget, epochs, reason), asked) is expected


def test_a_finished_trial_is_taken_over_with_its_epochs_and_its_end(tmp_path: Path) -> None:
    record(tmp_path, "old", planned())
    _, outbox = taken(tmp_path, planned())
    history = read_histories(outbox.events())[planned().trial_id]
    assert (history.epochs, history.reason) == (3, "max_epochs")


def test_what_is_taken_over_names_where_it_comes_from(tmp_path: Path) -> None:
    record(tmp_path, "old", planned())
    _, outbox = taken(tmp_path, planned())
    tags = [event.tags for event in outbox.events() if isinstance(event, Start | End)]
    assert {(tag["sweep.id"], tag[REUSED]) for tag in tags} == {("new", "old")}


@pytest.mark.parametrize("is_reference", [True, False])
def test_who_is_the_reference_is_said_by_the_new_sweep(tmp_path: Path, is_reference: bool) -> None:
    record(tmp_path, "old", replace(planned(), is_reference=not is_reference))
    _, outbox = taken(tmp_path, replace(planned(), is_reference=is_reference))
    (tags,) = [event.tags for event in outbox.events() if event.kind == "start"]
    assert tags["sweep.reference"] == str(is_reference).lower()


def test_what_is_taken_over_is_recorded_with_the_settings_of_the_new_sweep(tmp_path: Path) -> None:
    record(tmp_path, "old", planned(3), "plateau")
    _, outbox = taken(tmp_path, planned(9))
    (params,) = [event.params for event in outbox.events() if event.kind == "start"]
    assert params == planned(9).settings and params["train.epochs"] == 9


def test_evidence_stays_when_the_old_sweep_is_deleted(tmp_path: Path) -> None:
    folder = record(tmp_path, "old", planned())
    _, outbox = taken(tmp_path, planned())
    shutil.rmtree(folder)
    [path] = [event.path for event in outbox.events() if event.kind == "artifact"]
    assert path.read_bytes() == b"evidence"


@pytest.mark.parametrize("reason", ["asha", "user", "diverged", "error", "oom", "driver_lost"])
def test_a_trial_that_was_cut_short_is_trained_again(reason: str, tmp_path: Path) -> None:
    record(tmp_path, "old", planned(), reason)
    assert taken(tmp_path, planned())[0] == []


def test_other_data_are_another_trial(tmp_path: Path) -> None:
    record(tmp_path, "old", planned())
    assert taken(tmp_path, planned(), fingerprint="another")[0] == []


def test_other_settings_are_another_trial(tmp_path: Path) -> None:
    record(tmp_path, "old", planned())
    assert taken(tmp_path, planned(lr=1e-3))[0] == []


def test_without_evidence_a_trial_is_trained_again(tmp_path: Path) -> None:
    record(tmp_path, "old", planned(), evidence=False)
    assert taken(tmp_path, planned())[0] == []


def test_a_larger_budget_without_a_checkpoint_is_trained_again(tmp_path: Path) -> None:
    record(tmp_path, "old", planned(3))
    assert taken(tmp_path, planned(5))[0] == []


def test_the_newest_of_several_is_taken(tmp_path: Path) -> None:
    for sweep in ("one", "two"):
        record(tmp_path, sweep, planned())
    [found], _ = taken(tmp_path, planned())
    assert found.entry.sweep.name == "two"


def test_a_sweep_that_has_grown_is_read_again(tmp_path: Path) -> None:
    folder = record(tmp_path, "old", planned(), "asha")
    assert find_finished(tmp_path) == []
    end = End(planned().trial_id, "FINISHED", {"sweep.stop_reason": "max_epochs"}, step=3)
    Outbox(folder / "outbox").append(end)
    assert len(find_finished(tmp_path)) == 1


def test_a_sweep_that_was_deleted_is_forgotten(tmp_path: Path) -> None:
    folder = record(tmp_path, "old", planned())
    assert len(find_finished(tmp_path)) == 1
    shutil.rmtree(folder)
    assert find_finished(tmp_path) == []


def test_words_tell_whole_trials_from_those_that_go_on() -> None:
    whole = Reused(planned(3), FinishedTrial(Path("runs/a"), "x", DATA, 3, 3, "max_epochs"))
    begun = Reused(planned(5), FinishedTrial(Path("runs/b"), "y", DATA, 3, 3, "max_epochs"))
    first, second = reuse_sentences([whole, whole, begun], 8)
    assert first.startswith("2 of 8 reused from a: ") and second.startswith("1 of 8 continue where b ended")


def test_a_sweep_that_cannot_be_read_once_is_not_given_up(tmp_path: Path) -> None:
    manifest = record(tmp_path, "one", planned()) / "sweep.json"
    content = manifest.read_bytes()
    manifest.unlink()
    manifest.symlink_to("/proc/self/mem")  # reading it fails with EIO
    assert find_finished(tmp_path) == []
    manifest.unlink()
    manifest.write_bytes(content)
    assert len(find_finished(tmp_path)) == 1

"""Evidence that an object store did not give when its trial ended is fetched later, once."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from recording import artifact, end, start

from sweeps.execution.missed_evidence import fetch_missed_evidence
from sweeps.storage.checkpoints import FolderCheckpoints
from sweeps.storage.events import Artifact
from sweeps.storage.folder import SweepFolder
from sweeps.storage.outbox import Outbox

VAL, TEST = "evidence-val.npz", "evidence-test.npz"


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """A sweep of one trial, whose checkpoints are in another folder."""
    checkpoint = tmp_path / "store" / "pass-1" / "trial" / "checkpoint_000002"
    checkpoint.mkdir(parents=True)
    for name in (VAL, TEST):
        (checkpoint / name).write_text("present")
    folder = SweepFolder(tmp_path / "sweep")
    return SimpleNamespace(
        spec=SimpleNamespace(needs_shared_folder=False),
        plan=SimpleNamespace(trials={"trial": None}),
        checkpoints=FolderCheckpoints(tmp_path / "store"),
        folder=folder,
        outbox=Outbox(folder.outbox),
    )


def recorded(run: Any) -> list[str]:
    return [event.path.name for event in run.outbox.events() if isinstance(event, Artifact)]


def test_evidence_that_was_missed_is_recorded_with_its_file(run: Any) -> None:
    run.outbox.extend([start("trial"), end(trial="trial")])
    fetch_missed_evidence(run)
    assert recorded(run) == [VAL, TEST]
    assert (run.folder.spool / "trial" / VAL).read_text() == "present"


def test_evidence_is_fetched_once(run: Any) -> None:
    run.outbox.extend([start("trial"), end(trial="trial")])
    fetch_missed_evidence(run)
    fetch_missed_evidence(run)
    assert recorded(run) == [VAL, TEST]


def test_evidence_of_a_trial_that_trained_further_is_missed_again(run: Any, tmp_path: Path) -> None:
    files = [artifact(tmp_path / name, "trial") for name in (VAL, TEST)]
    run.outbox.extend([start("trial"), *files, end(trial="trial"), start("trial"), end(trial="trial")])
    fetch_missed_evidence(run)
    assert recorded(run) == [VAL, TEST] * 2


def test_a_trial_that_still_runs_misses_nothing(run: Any) -> None:
    run.outbox.append(start("trial"))
    fetch_missed_evidence(run)
    assert recorded(run) == []

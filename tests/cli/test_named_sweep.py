"""--sweep NAME: what is recorded under the name, and whether the options describe it."""

import subprocess
import sys
from pathlib import Path

import pytest
from earlier import Recorded, unpack

import tune_main
from sweeps.storage.attempts import take_number
from sweeps.storage.event_file import EventFile
from sweeps.storage.events import PARENT, End, now_ms
from sweeps.storage.heartbeat import Heartbeat
from sweeps.storage.outbox import Outbox
from sweeps.storage.outcomes import RunStatus
from sweeps.tracking.client import open_client

ROOT = Path(__file__).resolve().parent.parent.parent


def tune(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tune_main.py", "--space", "smoke", "--profile", "quick", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize("name", ["", "../night", "a/b", ".hidden", "-x", "night night", "n" * 101])
def test_a_name_that_is_no_folder_name_is_refused(name: str) -> None:
    done = tune(f"--sweep={name}")
    assert done.returncode == 2 and "argument --sweep: must be 1 to 100 letters, digits" in done.stderr


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    (tmp_path / "night" / "thesis.tex").touch()
    done = tune("--sweep", "night", "--storage", str(tmp_path))
    assert done.returncode == 2 and "night is no sweep: it has 'thesis.tex'; choose another --sweep" in done.stderr


def test_what_a_start_left_that_recorded_nothing_is_started(tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    take_number(tmp_path / "night")
    done = tune("--sweep", "night", "--storage", str(tmp_path), "--dry-run")
    assert done.returncode == 0 and "what a resume does" not in done.stdout


def again(recorded: Recorded, *words: str) -> int:
    """Give the command that started a sweep once more, with its name."""
    where = ("--storage", str(recorded.storage), "--tracking-uri", recorded.uri)
    return tune_main.main([*recorded.command, *where, "--sweep", recorded.sweep_id, *words])


def close_again(recorded: Recorded, status: RunStatus) -> None:
    """Record another end of a sweep."""
    Outbox(recorded.folder / "outbox").append(End(PARENT, status, {"drill": "end"}, time_ms=now_ms()))


@pytest.fixture
def finished(tmp_path: Path) -> Recorded:
    return unpack("0.1.0", "finished", tmp_path)


def test_a_finished_sweep_of_an_earlier_version_is_said_to_be_finished(
    finished: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    assert again(finished, "--offline") == 0
    assert f"sweep {finished.sweep_id} is finished; report: " in capsys.readouterr().err


def test_a_finished_sweep_without_a_usable_score_ends_with_one(finished: Recorded) -> None:
    close_again(finished, RunStatus.FAILED)
    assert again(finished, "--offline") == 1


def test_what_mlflow_lacks_of_a_finished_sweep_is_delivered(finished: Recorded) -> None:
    close_again(finished, RunStatus.FINISHED)
    assert EventFile(finished.folder / "outbox").pending() == 1
    assert again(finished) == 0
    client = open_client(finished.uri)
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    assert len(client.search_runs(ids, "tags.drill = 'end'")) == 1


def test_a_finished_sweep_whose_mlflow_does_not_answer_ends_with_one(
    finished: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    close_again(finished, RunStatus.FINISHED)
    assert again(finished, "--tracking-uri", "http://127.0.0.1:9") == 1
    assert "1 event left: " in capsys.readouterr().out


def test_a_started_sweep_of_an_earlier_version_is_continued(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert again(unpack("0.1.0", "interrupted", tmp_path), "--dry-run") == 0
    assert "continues after epoch 1" in capsys.readouterr().out


def test_a_sweep_that_runs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = unpack("0.1.0", "interrupted", tmp_path)
    with Heartbeat(recorded.folder):
        assert again(recorded) == 2
    assert f"error: sweep {recorded.sweep_id} is still running (process " in capsys.readouterr().err


def test_a_setting_that_differs_from_the_record_is_named(
    finished: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    assert again(finished, "--seed", "9") == 2
    assert "was started with train.seed 1337, but this command says 9: give the options" in capsys.readouterr().err

"""Which file of spaces is read, and how commands are called."""

import sys
from pathlib import Path

import pytest

import tune_main
from sweeps.paths import PREDICT, REPORT, ROOT, command, is_script, program
from sweeps.planning.experiments_file import experiments_path

SPACES = """\
profiles:
  quick: {data: streets}
spaces:
  mine: {question: "Is it mine?", settings: {train.epochs: 1}}
  broken: {question: "Is it read?", grit: {}}
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write experiments.yaml into the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments.yaml").write_text(SPACES)
    return tmp_path


def test_without_another_file_the_shipped_spaces_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert experiments_path() == ROOT / "experiments.yaml"


def test_the_file_of_the_working_directory_comes_first(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune_main.main(["--list", "--profile", "quick"]) == 1
    said = capsys.readouterr()
    assert "Is it mine?" in said.out and "grid_lr_loss" not in said.out
    assert said.err.splitlines()[0] == f"spaces and profiles are those of {own}/experiments.yaml"


def test_a_broken_space_is_named_and_breaks_only_itself(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune_main.main(["--list", "--profile", "quick"]) == 1
    assert "error: experiments.yaml:5: spaces.broken has the unknown key 'grit'" in capsys.readouterr().err
    assert tune_main.main(["--space", "mine", "--profile", "quick", "--dry-run"]) == 0


def test_the_file_of_the_environment_comes_before_the_one_of_the_working_directory(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BDDSEG_EXPERIMENTS", "other.yaml")
    assert experiments_path() == own / "other.yaml"


def test_the_option_comes_before_everything(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BDDSEG_EXPERIMENTS", "nothing.yaml")
    assert tune_main.main(["--list", "--profile", "quick", "--experiments", "experiments.yaml"]) == 1
    assert "Is it mine?" in capsys.readouterr().out


def test_a_file_that_is_missing_is_named(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune_main.main(["--list", "--experiments", "none.yaml"]) == 2
    assert f"error: {own}/none.yaml cannot be read: No such file" in capsys.readouterr().err


def test_a_profile_that_is_missing_is_looked_for_in_the_own_file(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "spaces.yaml").write_text(SPACES)
    assert tune_main.main(["--list", "--profile", "full", "--experiments", "spaces.yaml"]) == 2
    assert "profile 'full' is not in spaces.yaml; known: quick" in capsys.readouterr().err


def test_an_installed_command_names_its_siblings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bddseg-tune", "bddseg-report"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bddseg-tune"), "--list"])
    assert is_script() and command(REPORT) == str(tmp_path / "bddseg-report")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command(REPORT) == "bddseg-report"
    assert program(PREDICT) == "bddseg-predict"

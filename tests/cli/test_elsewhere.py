"""Commands started from another folder than the project's: they mean the same, and what they print works there."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from folders import write_folder

from sweeps.paths import ROOT, command


def run(script: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "BDDSEG_CACHE": str(cwd / "cache"), "PYTHONPATH": ""}
    line = [sys.executable, str(ROOT / script), *words]
    return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_a_dry_run_from_elsewhere_counts_and_measures_the_data_that_are_typed(tmp_path: Path) -> None:
    write_folder(tmp_path / "data", {f"frame{index}": "highway" for index in range(12)})
    done = run("tune_main.py", "--space", "smoke", "--profile", "quick", "--data", "data", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.splitlines()[0] == f"smoke: profile quick on {tmp_path}/data"
    assert "measured: " in done.stdout and "could not be measured" not in done.stdout


def test_data_beside_the_working_directory_are_not_the_project_s(tmp_path: Path) -> None:
    write_folder(tmp_path / "data" / "bdd100k", {f"frame{index}": "highway" for index in range(12)})
    done = run("tune_main.py", "--list", cwd=tmp_path)
    assert done.returncode == 0
    expected = "full" if (ROOT / "data" / "bdd100k" / "images").is_dir() else "quick"
    assert f"varies (profile {expected})" in done.stdout


def test_a_printed_command_works_where_it_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*shlex.split(command("report.py")), "--help"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "") and "print the leaderboard" in done.stdout


def test_in_the_project_s_folder_commands_are_as_in_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert command("tune_main.py") == "python tune_main.py"


def test_a_working_directory_that_is_gone_is_not_the_project_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert command("tune_main.py") == shlex.join([sys.executable, str(ROOT / "tune_main.py")])

"""--sweep NAME: what is recorded under the name, and whether the options describe it."""

import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.storage.attempts import take_number

ROOT = Path(__file__).resolve().parent.parent.parent
EARLIER = ROOT / "tests" / "assets" / "0.1.0"


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

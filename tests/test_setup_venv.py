"""Creating the virtual environment: each failure is one line."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_a_folder_that_cannot_be_made_is_one_line() -> None:
    command = [sys.executable, "setup_venv.py", "README.md/venv"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {ROOT}/README.md/venv cannot be made: Not a directory")
    assert len(done.stderr.splitlines()) == 1


def test_an_unknown_option_is_refused_and_makes_no_folder() -> None:
    command = [sys.executable, "setup_venv.py", "--hlep"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "unrecognized arguments: --hlep" in done.stderr
    assert not (ROOT / "--hlep").exists()

"""Folder of the project, and its commands as they are typed in the working directory.

Default paths are in the project's folder (runs, reports, data/bdd100k, experiments.yaml). Paths that a user gives are
relative to the working directory and are made absolute as soon as they are read.
"""

import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PREDICT, EXPORT = "sweeps/predict.py", "sweeps/export.py"


def program(file: str) -> str:
    """Return the command that starts a program of the project from any working directory."""
    return shlex.join([sys.executable or "python", str(ROOT / file)])


def command(script: str) -> str:
    """Return the command of a script in the working directory; in the project's own folder `python tune_main.py`."""
    try:
        is_here = Path.cwd().samefile(ROOT)
    except OSError:  # the working directory was deleted
        is_here = False
    return f"python {script}" if is_here else shlex.join([sys.executable, str(ROOT / script)])

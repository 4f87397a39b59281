"""Where the project lies, and how its commands are typed from here.

One rule for paths: what is not given lies in the project's own folder (runs, reports, data/bdd100k, experiments.yaml);
what is given is relative to the working directory, and is made absolute as soon as it is read.
"""

import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


PREDICT, EXPORT = "sweeps/predict.py", "sweeps/export.py"


def program(file: str) -> str:
    """Return the beginning of a command that starts a program of the project, whatever the working directory is."""
    return shlex.join([sys.executable or "python", str(ROOT / file)])


def command(script: str) -> str:
    """Return how a script of the project is run from the working directory: `python tune_main.py` in its own folder."""
    try:
        is_here = Path.cwd().samefile(ROOT)
    except OSError:  # the working directory was deleted
        is_here = False
    return f"python {script}" if is_here else shlex.join([sys.executable, str(ROOT / script)])

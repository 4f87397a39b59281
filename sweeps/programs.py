"""How the project's programs are called from any folder."""

import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PREDICT, EXPORT = "sweeps/predict.py", "sweeps/export.py"


def program(file: str) -> str:
    """Return the beginning of a command that starts a program of the project, whatever the working directory is."""
    return shlex.join([sys.executable or "python", str(ROOT / file)])

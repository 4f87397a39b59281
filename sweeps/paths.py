"""Folder of the code, files that travel with it, default folders, and commands as they are typed.

In the project's folder everything has its default place there: runs, reports, data/bdd100k, experiments.yaml. Installed
as a package, experiments.yaml and datasets.yaml are inside it, and runs, reports and data are in the working directory.
Paths that a user gives are relative to the working directory and are made absolute as soon as they are read.
"""

import os
import shlex
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder of the packages: the project's, or the one into which they were installed."""

EXPERIMENTS, DATASETS = "experiments.yaml", "datasets.yaml"

IS_INSTALLED = (Path(__file__).resolve().parent / EXPERIMENTS).is_file()
"""Whether this is an installed package: building one puts the files beside this module."""

TUNE, REPORT, PREDICT, EXPORT = "tune_main.py", "report.py", "sweeps/predict.py", "sweeps/export.py"

SCRIPTS = {
    TUNE: "bddseg-tune",
    REPORT: "bddseg-report",
    PREDICT: "bddseg-predict",
    EXPORT: "bddseg-export",
    "sweeps/explore.py": "bddseg-explore",
    "sweeps/suspects.py": "bddseg-suspects",
}
"""Program of the project -> its command in an installed package."""


def shipped_file(name: str) -> Path:
    """Return the path of experiments.yaml or datasets.yaml as the project ships it."""
    return (ROOT / "sweeps" if IS_INSTALLED else ROOT) / name


def is_shipped(path: Path) -> bool:
    """Return whether a file of spaces is the shipped one."""
    return os.path.realpath(path) == os.path.realpath(shipped_file(EXPERIMENTS))


def default_folder(name: str) -> Path:
    """Return the default place of runs, reports, explored or data."""
    return Path(name).absolute() if IS_INSTALLED else ROOT / name


def is_script() -> bool:
    """Return whether commands are called by the names of an installed package, as this program was started."""
    return IS_INSTALLED or Path(sys.argv[0]).name in SCRIPTS.values()


def program(file: str) -> str:
    """Return the command that starts a program of the project from any working directory."""
    return _script(file) if is_script() else shlex.join([sys.executable or "python", str(ROOT / file)])


def command(script: str) -> str:
    """Return the command of a script in the working directory; in the project's own folder `python tune_main.py`."""
    if is_script():
        return _script(script)
    try:
        is_here = Path.cwd().samefile(ROOT)
    except OSError:  # the working directory was deleted
        is_here = False
    return f"python {script}" if is_here else shlex.join([sys.executable, str(ROOT / script)])


def short_command(script: str) -> list[str]:
    """Return the words that start a script, as a record has them: without folders, which other machines lack."""
    return [SCRIPTS[script]] if is_script() else ["python", script]


def program_name(script: str, otherwise: str) -> str:
    """Return the name of a command as it was called, for its help."""
    return SCRIPTS[script] if is_script() else otherwise


def _script(file: str) -> str:
    """Return an installed command by its name, with its folder where the name alone would start another one, or none.

    It lies beside the command that runs now, or beside Python.
    """
    name = SCRIPTS[file]
    beside = [Path(os.path.abspath(start)).with_name(name) for start in (sys.argv[0], sys.executable)]  # noqa: PTH100
    path = next((path for path in beside if path.is_file()), None)
    usual = shutil.which(name)
    if path is None or (usual and os.path.realpath(usual) == os.path.realpath(path)):
        return name
    return shlex.quote(str(path))

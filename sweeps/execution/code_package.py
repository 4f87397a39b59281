"""The code that a sweep sends to the nodes of a cluster: the project's packages, and the user's models and losses."""

import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from bddseg.plugins import is_own, source_of
from sweeps.execution.ray_job import sends_code
from sweeps.paths import ROOT
from sweeps.planning.axes import Range
from sweeps.planning.experiment import Experiment
from sweeps.version import PACKAGES

OWN_SETTINGS = ("model.name", "loss.name")
EXCLUDED = ("__pycache__", "*.pyc", ".git", ".venv")
"""What stays behind. Ray leaves out every file or folder of such a name: `data` would take `bddseg.data` away."""


def own_names(experiment: Experiment) -> list[tuple[str, str]]:
    """Return the models and losses of the user's own that a space may train, each with its setting."""
    fixed = experiment.base.own_names().items()
    varied = [
        (key, str(value))
        for key, axis in experiment.axes
        if key in OWN_SETTINGS and not isinstance(axis, Range)
        for value in axis
        if is_own(str(value))
    ]
    return list(dict.fromkeys([*fixed, *varied]))


def modules_to_send(own_names: Iterable[tuple[str, str]] = ()) -> list[Path]:
    """Return the packages and files that travel to the nodes; none where a Ray job sends the code itself.

    Args:
        own_names: settings and the models and losses of the user's own that they name. Installed ones do not travel.
    """
    if sends_code():
        return []
    packages = [ROOT / package for package in PACKAGES]
    sources = [source_of(key, name) for key, name in own_names]
    own = [path for path in sources if not _is_installed(path) and path not in packages]
    return list(dict.fromkeys([*packages, *own]))


def size_bytes(modules: Iterable[Path]) -> int:
    """Return the size of what travels."""
    return sum(file.stat().st_size for path in modules for file in _files(path))


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for file in path.rglob("*") if file.is_file() and not _is_excluded(file.relative_to(path))]


def _is_excluded(path: Path) -> bool:
    return any(fnmatchcase(part, pattern) for part in path.parts for pattern in EXCLUDED)


def _is_installed(path: Path) -> bool:
    return path.is_relative_to(sys.prefix) or path.is_relative_to(sys.base_prefix) or "site-packages" in path.parts

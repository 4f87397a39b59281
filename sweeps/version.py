"""The version of the project: its number, and the commit of its files."""

import configparser
import importlib.metadata
import subprocess

from sweeps.paths import ROOT

DISTRIBUTION = "bddseg-sweeps"
UNKNOWN = "unknown"


def describe_version() -> str:
    """Return the version with its commit, where there is one: `0.1.0 (commit 79c2454e0a1b)`.

    The project is run from its folder, whose setup.cfg has the number. Installed, it has none beside it, and a git
    repository around it is another project's.
    """
    number = _number_of_folder()
    if not number:
        return importlib.metadata.version(DISTRIBUTION)
    commit = code_version()
    return number if commit == UNKNOWN else f"{number} (commit {commit})"


def code_version() -> str:
    """Return the commit of the project, with `-dirty` when files differ from it; "unknown" outside git."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return f"{commit}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN


def _number_of_folder() -> str:
    """Return the version in the project's setup.cfg; "" where the folder has none of this project."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    is_ours = settings.get("metadata", "name", fallback="") == DISTRIBUTION
    return settings.get("metadata", "version", fallback="") if is_ours else ""


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()

"""The version of the project: its number, and the commit of its files."""

import configparser
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
from pathlib import Path

from sweeps.paths import ROOT

DISTRIBUTION = "bddseg-sweeps"
PACKAGES = ("bddseg", "sweeps")
VARIABLE = "BDDSEG_CODE_VERSION"
"""Variable with the version of the code, for copies of it without a git repository: images, packages, jobs."""

FILES = "files-"
"""Start of a version that is a digest of the code's files."""

DIGEST_CHARS = 12
COMMIT = re.compile(r"[0-9a-f]{7,40}(-dirty)?")


def describe_version() -> str:
    """Return the version with its commit, where there is one: `0.1.0 (commit 79c2454e0a1b)`.

    The project is run from its folder, whose setup.cfg has the number. Installed, it has none beside it, and a git
    repository around it is another project's.
    """
    number = _number_of_folder()
    if not number:
        return importlib.metadata.version(DISTRIBUTION)
    commit = code_version()
    return f"{number} (commit {commit})" if is_commit(commit) else number


def code_version() -> str:
    """Return the commit of the project, with `-dirty` when files differ from it.

    Outside git it is what BDDSEG_CODE_VERSION says, and without that `files-` with a digest of the code's files.
    """
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return f"{commit}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get(VARIABLE, "").strip() or FILES + digest_code()


def is_commit(version: str) -> bool:
    """Return whether a version is that of a git commit."""
    return COMMIT.fullmatch(version) is not None


def digest_code() -> str:
    """Return 12 hex digits of the project's Python files; copies in different places have the same."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        folder = Path(str(spec.origin)).parent if spec else ROOT / package
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{package}/{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:DIGEST_CHARS]


def _number_of_folder() -> str:
    """Return the version in the project's setup.cfg; "" where the folder has none of this project."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    is_ours = settings.get("metadata", "name", fallback="") == DISTRIBUTION
    return settings.get("metadata", "version", fallback="") if is_ours else ""


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()

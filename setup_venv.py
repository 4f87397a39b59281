"""Creates or repairs the Makefile's virtual environment; a complete one is left unchanged. Standard library only."""

import argparse
import configparser
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CONSTRAINTS = ROOT / "constraints.txt"
OLDEST = (3, 11)

CHECK = """
import importlib.metadata as metadata, os, sys

def is_hurt(found, depth):
    record = found.read_text("RECORD")
    names = [line.split(",")[0] for line in (record or "").splitlines()]
    code = [name for name in names if name.endswith((".py", ".so")) and name.count("/") <= depth]
    return not record or not all(os.path.exists(found.locate_file(name)) for name in code)

for line in sys.stdin.read().split():
    name, _, version = line.partition("==")
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise SystemExit(f"{name} is not there")
    if found.version != version:
        raise SystemExit(f"{name} is not {version}")
    if is_hurt(found, 1):
        raise SystemExit(f"{name} is not whole")
if "forget" in sys.argv:
    import shutil
    for found in list(metadata.distributions()):
        if is_hurt(found, 99):
            shutil.rmtree(found._path)
"""
"""Run by the environment's own Python. Every pinned package that is required directly is there, at its version, with
its upper modules. With `forget`, a package that lost a file loses its entry too, so that pip installs it again."""


def main(folder: str) -> int:
    """Create or repair the environment; return the exit code."""
    if sys.version_info < OLDEST:
        print(f"error: Python is {sys.version.split()[0]}, but must be at least 3.11: make PYTHON=python3.11 ...")
        return 2
    try:
        return make(folder)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(f"error: {ROOT / folder} cannot be made: {error.strerror or error}{where}", file=sys.stderr)
        return 2


def make(folder: str) -> int:
    """Make or repair the environment; return the exit code.

    Raises:
        OSError: when its folder, or one for temporary files, cannot be written.
    """
    target = ROOT / folder
    stamp = target / "made-from"
    if is_whole(target, stamp):
        return 0
    tempfile.gettempdir()  # pip needs one, and would end in a traceback
    print(f"making {folder} from {CONSTRAINTS.name} (several GB, some minutes)", flush=True)
    stamp.unlink(missing_ok=True)
    if not runs(target):
        if target.is_symlink() or target.is_file():
            target.unlink()
        shutil.rmtree(target, ignore_errors=True)
        venv.create(target, with_pip=True, symlinks=os.name != "nt")
    run_check(target, "", "forget")
    pins_to_use = ["--constraint", str(CONSTRAINTS), *requirements()]
    code = subprocess.call(
        [python_of(target), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins_to_use]
    )
    if code or missing(target):
        print(f"error: {folder} could not be made: {missing(target) or 'pip failed, see above'}", file=sys.stderr)
        return 1
    stamp.write_text(fingerprint())
    return 0


def is_whole(target: Path, stamp: Path) -> bool:
    """Return whether the environment was made from the present pins and still has what they ask for."""
    return stamp.is_file() and stamp.read_text() == fingerprint() and not missing(target)


def fingerprint() -> str:
    """Return a hash of everything that decides what is installed."""
    content = CONSTRAINTS.read_bytes() + "\n".join(requirements()).encode() + sys.version.encode()
    return hashlib.sha256(content).hexdigest()


def requirements() -> list[str]:
    """Return the requirements in setup.cfg, for use and for development."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    asked = config["options"]["install_requires"] + config["options.extras_require"]["dev"]
    return [line for line in asked.split("\n") if line]


def pins() -> list[str]:
    """Return `name==version` of every package that is required directly."""
    names = {normal(re.split(r"[\[<>=!~ ]", line)[0]) for line in requirements()}
    lines = [line.strip() for line in CONSTRAINTS.read_text().splitlines() if "==" in line]
    return [line for line in lines if normal(line.split("==")[0]) in names]


def normal(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def python_of(target: Path) -> str:
    """Return the path of the environment's Python."""
    return str(target / "bin" / "python")


def runs(target: Path) -> bool:
    """Return whether the environment's Python starts, is of the version that makes it now, and has pip."""
    check = f"import pip, sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    try:
        return subprocess.run([python_of(target), "-c", check], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def missing(target: Path) -> str:
    """Return what the environment lacks; "" if it is complete."""
    try:
        done = run_check(target, "\n".join(pins()))
    except OSError as error:
        return f"its Python does not run: {error}"
    return (done.stderr.strip() or "its Python does not run").splitlines()[-1] if done.returncode else ""


def run_check(target: Path, lines: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run CHECK in the environment's own Python, on these pins."""
    command = [python_of(target), "-I", "-c", CHECK, *options]
    return subprocess.run(command, input=lines, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default=".venv", help="folder of the environment (default: .venv)")
    sys.exit(main(parser.parse_args().folder))

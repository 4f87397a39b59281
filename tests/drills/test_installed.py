"""Drill: wheel and sdist are built, installed into an empty environment, and used from an empty folder."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from drills import ROOT

pytestmark = pytest.mark.drill


def run(*words: object, cwd: Path) -> str:
    """Return what a command prints; one that fails ends the test with its words."""
    hidden = ("PYTHONPATH", "BDDSEG_EXPERIMENTS")
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*map(str, words)], cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both distributions from a copy of the tracked files; return their folder."""
    copy = tmp_path_factory.mktemp("project")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True)
    if names.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, names.stdout.split("\0")):
        if not name.startswith("tests/") and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", copy / "dist", copy, cwd=copy)
    return copy / "dist"


def install(distribution: Path, folder: Path) -> Path:
    """Install a distribution into a new environment that sees the packages of this one; return its commands' folder."""
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next((folder / "lib").glob("python*")) / "site-packages"
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        folder / "bin" / "python",
        "install",
        *options,
        distribution,
        cwd=folder,
    )
    return folder / "bin"


@pytest.fixture(scope="module")
def commands(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the commands that the wheel installs."""
    (wheel,) = distributions.glob("*.whl")
    return install(wheel, tmp_path_factory.mktemp("wheel") / "venv")


def test_the_wheel_owns_two_names_only(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"bddseg", "sweeps"}


def test_a_wheel_made_from_the_sdist_has_the_same_files(distributions: Path, tmp_path: Path) -> None:
    (sdist,), (wheel,) = distributions.glob("*.tar.gz"), distributions.glob("*.whl")
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", tmp_path, sdist, cwd=tmp_path)
    (rebuilt,) = tmp_path.glob("*.whl")
    assert sorted(zipfile.ZipFile(rebuilt).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


def test_every_command_starts_in_an_empty_folder(commands: Path, tmp_path: Path) -> None:
    scripts = sorted(commands.glob("bddseg-*"))
    assert len(scripts) == 6
    for script in scripts:
        assert run(script, "--help", cwd=tmp_path).startswith(f"usage: {script.name} ")
    assert list(tmp_path.iterdir()) == []


def test_the_shipped_spaces_are_listed(commands: Path, tmp_path: Path) -> None:
    assert re.search(r"^grid_lr_loss +\d+ ", run(commands / "bddseg-tune", "--list", cwd=tmp_path), re.MULTILINE)


def test_a_sweep_and_its_report_are_in_the_working_folder(commands: Path, tmp_path: Path) -> None:
    printed = run(commands / "bddseg-tune", "--space", "smoke", "--profile", "quick", cwd=tmp_path)
    command = re.search(r"^report: (.+)$", printed, re.MULTILINE)
    assert command and command[1].startswith(str(commands / "bddseg-report"))
    run("sh", "-c", command[1], cwd=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reports", "runs"]
    (page,) = tmp_path.glob("reports/*/index.html")
    assert "bddseg-predict @smoke" in page.read_text() and "tune_main.py" not in page.read_text()

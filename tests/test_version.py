"""The version: its number, and the commit of the project's files."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import report
import tune_main
from sweeps import explore, export, predict, suspects
from sweeps.paths import ROOT
from sweeps.version import DISTRIBUTION, code_version, describe_version, digest_code

SETUP = "[metadata]\nname = {}\nversion = 7.8.9\n"
LIBRARIES = ("torch", "ray", "mlflow")


def in_repository(folder: Path, *commands: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for command in commands:
        subprocess.run(["git", "-C", str(folder), *identity, *command.split()], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with one committed file, taken for the project's."""
    (tmp_path / "a.py").write_text("x = 1\n")
    in_repository(tmp_path, "init -q", "add a.py", "commit -q -m one")
    monkeypatch.setattr("sweeps.version.ROOT", tmp_path)
    return tmp_path


def test_the_code_version_is_the_commit(repository: Path) -> None:
    assert len(code_version()) == 12 and int(code_version(), 16) >= 0


def test_changed_files_make_the_code_version_dirty(repository: Path) -> None:
    (repository / "a.py").write_text("x = 2\n")
    assert code_version().endswith("-dirty")


def test_files_that_are_not_tracked_do_not(repository: Path) -> None:
    (repository / "b.txt").touch()
    assert not code_version().endswith("-dirty")


def test_outside_git_the_code_version_is_a_digest_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr("sweeps.version.ROOT", tmp_path)
    assert code_version() == f"files-{digest_code()}"


def test_without_git_the_environment_may_say_the_code_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("BDDSEG_CODE_VERSION", "abc1234")
    assert code_version() == "abc1234"


def test_a_copy_of_the_code_elsewhere_has_the_same_digest(tmp_path: Path) -> None:
    for package in ("bddseg", "sweeps"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    program = "import sweeps.version; print(sweeps.version.digest_code())"
    printed = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == digest_code()


def test_the_version_is_that_of_the_folder_with_its_commit(repository: Path) -> None:
    (repository / "setup.cfg").write_text(SETUP.format(DISTRIBUTION))
    assert describe_version() == f"7.8.9 (commit {code_version()})"


def test_without_git_the_version_is_the_number(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "setup.cfg").write_text(SETUP.format(DISTRIBUTION))
    monkeypatch.setenv("PATH", "")
    assert describe_version() == "7.8.9"


def test_an_installed_project_has_the_version_of_its_package(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder around it, a repository with a setup.cfg, is another project's."""
    (repository / "setup.cfg").write_text(SETUP.format("another"))
    package = repository / "bddseg_sweeps-4.5.6.dist-info"
    package.mkdir()
    (package / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: 4.5.6\n")
    monkeypatch.syspath_prepend(repository)
    assert describe_version() == "4.5.6"


@pytest.mark.parametrize("main", [c.main for c in (tune_main, report, explore, export, predict, suspects)])
def test_every_command_prints_the_version(main: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert re.fullmatch(r"\S+( -m \S+)? \d+\.\d+\.\d+( \(commit \S+\))?\n", capsys.readouterr().out)


def test_the_version_is_printed_without_loading_libraries(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import tune_main\n"
        f"try: tune_main.main(['--version'])\nexcept SystemExit: print(sorted({set(LIBRARIES)} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"tune_main.py {describe_version()}\n[]\n"

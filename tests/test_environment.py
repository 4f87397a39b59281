"""Unusable home, cache and temporary folders: their replacements and the messages."""

import os
import tempfile
from pathlib import Path

import pytest
from users import NOBODY, UNKNOWN, folder_of, needs_another_user, run_as

from sweeps.environment import cache_folder, own_folder, prepare_environment
from sweeps.errors import StorageError

ASK = (
    "import getpass; from pathlib import Path; from sweeps.environment import *;"
    "print(*prepare_environment(), cache_folder(), Path.home(), getpass.getuser(), sep='\\n')"
)
VARIABLES = (
    "BDDSEG_CACHE",
    "XDG_CACHE_HOME",
    "HOME",
    "TMPDIR",
    "MPLCONFIGDIR",
    "OMP_NUM_THREADS",
    "TORCHINDUCTOR_CACHE_DIR",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder; no other variable is set."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_our_own_cache_variable_beats_the_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BDDSEG_CACHE", str(tmp_path / "ours"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "theirs"))
    assert cache_folder() == tmp_path / "ours"


def test_the_systems_cache_variable_beats_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "theirs"))
    assert cache_folder() == tmp_path / "theirs" / "bddseg"


def test_without_variables_the_cache_is_in_the_home_folder(home: Path) -> None:
    assert (prepare_environment(), cache_folder()) == ([], home / ".cache" / "bddseg")


def test_a_relative_cache_of_ours_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BDDSEG_CACHE", "near")
    prepare_environment()
    assert os.environ["BDDSEG_CACHE"] == str(cache_folder()) == str(tmp_path / "near")


def test_a_relative_cache_of_the_systems_is_ignored(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "near")
    assert prepare_environment() == ["XDG_CACHE_HOME is near, which is not an absolute path: it is ignored"]
    assert cache_folder() == home / ".cache" / "bddseg" and "XDG_CACHE_HOME" not in os.environ


def test_a_home_that_is_not_there_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    (sentence,) = prepare_environment()
    assert sentence.startswith(f"HOME is {tmp_path / 'none'}, which is no folder: what is kept between commands is in ")
    assert not (tmp_path / "none").exists() and cache_folder() == tmp_path / f"bddseg-{os.getuid()}/.cache/bddseg"


def test_with_a_cache_of_ours_nothing_is_said_of_a_missing_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    monkeypatch.setenv("BDDSEG_CACHE", str(tmp_path / "ours"))
    assert prepare_environment() == [] and os.environ["HOME"] == str(tmp_path / "ours")


def test_a_cache_that_is_a_file_is_refused_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BDDSEG_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match=r"file is not a folder: set BDDSEG_CACHE to a folder that you can write$"):
        cache_folder()


def test_a_cache_below_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BDDSEG_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StorageError, match=r"cannot be made: .*file is not a folder: set BDDSEG_CACHE"):
        cache_folder()


def test_a_temporary_folder_that_is_not_there_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    (sentence,) = prepare_environment()
    assert sentence.startswith(f"TMPDIR is {tmp_path / 'none'}, which is no folder: temporary files go to /")
    assert "TMPDIR" not in os.environ


def test_a_relative_temporary_folder_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", "home")
    assert prepare_environment() == [] and os.environ["TMPDIR"] == str(tmp_path / "home")


def test_the_users_temporary_folder_is_closed_to_others() -> None:
    assert own_folder().stat().st_mode & 0o777 == 0o700


def test_a_temporary_folder_of_our_name_that_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"bddseg-{os.getuid()}").mkdir()
    (tmp_path / f"bddseg-{os.getuid()}").chmod(0o777)
    with pytest.raises(StorageError, match="others can write it: set BDDSEG_CACHE to a folder of yours"):
        own_folder()


def test_a_working_folder_that_is_gone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(StorageError, match="the working folder is gone"):
        prepare_environment()


@needs_another_user
def test_a_user_whom_the_system_does_not_know_gets_home_and_name() -> None:
    with folder_of(UNKNOWN) as folder:
        code, printed = run_as(UNKNOWN, "-c", ASK, TMPDIR=str(folder))
    own = folder / f"bddseg-{UNKNOWN}"
    assert (code, printed.splitlines()[1:]) == (0, [f"{own}/.cache/bddseg", str(own), f"uid-{UNKNOWN}"])
    assert printed.startswith("there is no home folder: what is kept between commands is in ")


@needs_another_user
def test_a_home_that_can_only_be_read_stays_home() -> None:
    with folder_of(NOBODY) as folder, folder_of(0) as readable:
        code, printed = run_as(NOBODY, "-c", ASK, TMPDIR=str(folder), HOME=str(readable))
    cache = folder / f"bddseg-{NOBODY}/.cache/bddseg"
    assert (code, printed.splitlines()[1:]) == (0, [str(cache), str(readable), "nobody"])
    assert "cannot be made (Permission denied; " in printed and "belongs to root)" in printed


@needs_another_user
def test_a_cache_of_somebody_else_is_refused_with_its_owner() -> None:
    with folder_of(0) as theirs:
        code, printed = run_as(NOBODY, "tune_main.py", "--space", "smoke", BDDSEG_CACHE=str(theirs), HOME="/")
    assert code == 2
    assert printed.splitlines()[-1].startswith(f"error: the cache folder {theirs} cannot be written (Permission denied")
    assert "belongs to root): set BDDSEG_CACHE" in printed

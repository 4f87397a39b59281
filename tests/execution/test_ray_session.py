"""Where a Ray keeps its files: paths short enough for its sockets, one for each user, and nothing left."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from users import NOBODY, folder_of, needs_another_user, start_as

from sweeps.errors import ClusterError
from sweeps.execution.ray_session import (
    LONGEST_SOCKET,
    PREFIX,
    SOCKET_PATH_LIMIT,
    make_token,
    open_session,
    short_path,
    user_folder,
)

ROOT = Path(__file__).resolve().parent.parent.parent
LONG = "c" * 90

HOLD = """
import os, sys
from pathlib import Path
from sweeps.execution.ray_session import open_session
with open_session(Path(sys.argv[1])) as path:
    print(path, flush=True)
    sys.stdin.readline()
    {end}
"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a short path, in which temporary files are made too."""
    with folder_of(os.getuid()) as path:
        monkeypatch.setattr(tempfile, "tempdir", str(path))
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        yield path


def short_ones(folder: Path) -> list[Path]:
    return list(folder.glob(f"{PREFIX}*"))


def test_under_a_short_path_a_session_lies_in_the_cache_itself(folder: Path) -> None:
    with open_session(folder) as path:
        assert path.parent == user_folder(folder) == folder / f"ray-{os.getuid()}"


def test_under_a_long_path_it_lies_there_too_and_a_short_link_leads_to_it(folder: Path) -> None:
    with open_session(folder / LONG) as path:
        assert path.parent.parent == folder and path.resolve().parent == user_folder(folder / LONG)


def test_the_length_of_a_path_is_counted_in_bytes(folder: Path) -> None:
    with open_session(folder / "üüü") as path:
        assert len(str(path.resolve() / LONGEST_SOCKET)) <= SOCKET_PATH_LIMIT and path.is_symlink()


def test_a_session_leaves_nothing_behind(folder: Path) -> None:
    with open_session(folder / LONG):
        pass
    assert [path.name for path in user_folder(folder / LONG).iterdir()] == ["lock"] and short_ones(folder) == []


def test_what_a_short_link_lies_in_is_closed_to_others(folder: Path) -> None:
    with open_session(folder / LONG) as path:
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_temporary_folder_that_cannot_be_used_is_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "none"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / LONG))
    with open_session(folder / LONG) as path:
        assert path.parent.parent == Path("/tmp")


def test_where_every_path_is_too_long_one_line_says_what_was_tried(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / LONG).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / LONG))
    monkeypatch.setattr("sweeps.execution.ray_session.SHORT_PARENTS", ("/nowhere",))
    with pytest.raises(ClusterError, match=r"Tried: .*\(1\d\d bytes\), .* /nowhere \(No such file .* Set TMPDIR"):
        short_path(folder / LONG)
    assert short_ones(folder / LONG) == []


def test_what_a_killed_process_left_is_removed_by_the_next(folder: Path) -> None:
    command = [sys.executable, "-c", HOLD.format(end="os._exit(1)"), str(folder / LONG)]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"TMPDIR": str(folder)}, input=b"\n", check=False)
    assert len(short_ones(folder)) == 1
    with open_session(folder / LONG) as path:
        assert short_ones(folder) == [path.parent]
        assert len(list(user_folder(folder / LONG).glob("r-*"))) == 1


def test_a_session_of_a_living_process_stays(folder: Path) -> None:
    with open_session(folder / LONG) as first, open_session(folder / LONG) as second:
        assert first.exists() and second.exists()


def test_a_folder_of_our_name_that_belongs_to_somebody_else_is_refused(folder: Path) -> None:
    user_folder(folder)
    os.chown(folder / f"ray-{os.getuid()}", NOBODY, NOBODY)
    with pytest.raises(ClusterError, match=r"ray-\d+ belongs to nobody: move it away, or set BDDSEG_CACHE"):
        user_folder(folder)


def test_the_token_stays_the_same_and_is_the_users_alone(folder: Path) -> None:
    path = make_token(folder)
    before = path.read_text()
    assert (make_token(folder).read_text(), path.stat().st_mode & 0o777) == (before, 0o600)


@needs_another_user
def test_two_users_share_a_cache_and_a_temporary_folder(folder: Path) -> None:
    for path in (folder, folder / LONG):
        path.mkdir(exist_ok=True)
        path.chmod(0o1777)
    with open_session(folder / LONG) as ours:
        other = start_as(NOBODY, "-c", HOLD.format(end=""), str(folder / LONG), TMPDIR=str(folder))
        assert other.stdout
        theirs = Path(other.stdout.readline().strip())
        assert theirs.parent.parent == ours.parent.parent == folder and theirs.resolve() != ours.resolve()
        other.communicate("\n")
        assert other.returncode == 0


def test_processes_that_start_together_have_one_token(folder: Path) -> None:
    ask = "import sys; from pathlib import Path; from sweeps.execution.ray_session import make_token\n"
    ask += "sys.stdin.readline(); print(make_token(Path(sys.argv[1])).read_text())"
    command = [sys.executable, "-c", ask, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    started = [subprocess.Popen(command, **pipes) for _ in range(4)]  # type: ignore[call-overload]
    tokens = {process.communicate("go\n")[0] for process in started}
    assert len(tokens) == 1 and len(tokens.pop().strip()) == 64

"""Locks between processes, also of several users."""

import fcntl
import os
import threading
from pathlib import Path

import pytest
from users import NOBODY, folder_of, needs_another_user, run_as

from bddseg.file_locks import locked

TRY = """
import sys
from pathlib import Path
from bddseg.file_locks import locked
with locked(Path(sys.argv[1])):
    print("held")
"""


def is_free(path: Path) -> bool:
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def test_a_lock_is_held_within_the_context_alone(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"):
        assert not is_free(tmp_path / "lock")
    assert is_free(tmp_path / "lock")


def test_an_error_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / "lock"):
        raise KeyError
    assert is_free(tmp_path / "lock")


def test_a_second_thread_waits(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path / "lock"):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path / "lock"):
        thread.start()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@needs_another_user
@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_file_that_another_user_made_will_do_where_it_can_be_read(mode: int) -> None:
    with folder_of(0) as folder:
        folder.chmod(0o1777)
        (folder / "lock").touch()
        (folder / "lock").chmod(mode)
        code, printed = run_as(NOBODY, "-c", TRY, str(folder / "lock"))
    assert (code == 0 and printed == "held\n") if mode == 0o644 else "lock belongs to root" in printed


@needs_another_user
def test_another_users_wait_is_a_real_one() -> None:
    with folder_of(0) as folder, locked(folder / "lock"):
        code, _ = run_as(
            NOBODY, "-c", TRY.replace("with", "import signal; signal.alarm(3)\nwith"), str(folder / "lock")
        )
    assert code != 0

"""Attempts at a sweep: numbers that are taken once, and whose holders end when a later one is taken."""

import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.errors import FencedError, StorageError
from sweeps.storage.attempts import FOLDER, newest_number, take_number
from sweeps.storage.events import PARENT, Start
from sweeps.storage.outbox import Outbox

ROOT = Path(__file__).resolve().parent.parent.parent
TAKE = "import sys; from pathlib import Path; from sweeps.storage.attempts import take_number\n\
for _ in range(50): print(take_number(Path(sys.argv[1])).number)"


def test_numbers_count_from_one(tmp_path: Path) -> None:
    assert newest_number(tmp_path) == 0
    assert [take_number(tmp_path).number for _ in range(3)] == [1, 2, 3] and newest_number(tmp_path) == 3


def test_processes_that_take_numbers_at_the_same_time_take_each_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKE, str(tmp_path)]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    numbers = [int(line) for process in processes for line in process.communicate()[0].split()]
    assert sorted(numbers) == list(range(1, 151))


def test_the_holder_of_an_earlier_number_is_told_who_has_taken_over(tmp_path: Path) -> None:
    first = take_number(tmp_path)
    first.check()
    take_number(tmp_path)
    with pytest.raises(FencedError, match=r"attempt 2 \(process \d+ on .+\) has taken over; attempt 1 ends"):
        first.check()


def test_a_damaged_number_ends_earlier_attempts_all_the_same(tmp_path: Path) -> None:
    first = take_number(tmp_path)
    (tmp_path / FOLDER / "0002").touch()
    with pytest.raises(FencedError, match=r"attempt 2 \(an unknown process\)"):
        first.check()


def test_an_earlier_attempt_writes_no_event_and_delivers_none(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox")
    outbox.attempt = take_number(tmp_path)
    outbox.append(Start(PARENT, "first"))
    take_number(tmp_path)
    size = outbox.path.stat().st_size
    with pytest.raises(FencedError):
        outbox.append(Start(PARENT, "second"))
    with pytest.raises(FencedError):
        outbox.commit(size)
    assert outbox.path.stat().st_size == size and outbox.pending() == 1


def test_an_earlier_attempt_does_not_note_what_it_has_uploaded_or_set_aside(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox")
    outbox.attempt = take_number(tmp_path)
    take_number(tmp_path)
    with pytest.raises(FencedError):
        outbox.save_uploads(1, [])
    with pytest.raises(FencedError):
        outbox.reject([(Start(PARENT, "first"), "too long")])
    assert [path.name for path in outbox.folder.iterdir()] == [outbox.path.name]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file")
    with pytest.raises(StorageError, match="attempts cannot be written: "):
        take_number(tmp_path)

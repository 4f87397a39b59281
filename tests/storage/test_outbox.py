"""The event file: written with single writes, cut where it is torn, read from a cursor."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sweeps.errors import StorageError
from sweeps.storage.append_file import BLOCK_BYTES
from sweeps.storage.events import Epoch
from sweeps.storage.outbox import Outbox

ROOT = Path(__file__).resolve().parent.parent.parent

WRITER = """
import sys
from pathlib import Path
from sweeps.storage.events import Epoch
from sweeps.storage.outbox import Outbox
outbox, number = Outbox(Path(sys.argv[1])), 0
while True:
    number += 1
    outbox.append(Epoch("a", number, {}, newer={"padding": "x" * 5000}))
"""


def event(step: int) -> Epoch:
    return Epoch("a", step, {"val/miou": step / 10}, time_ms=1000 + step)


def filled(folder: Path, events: int) -> Outbox:
    outbox = Outbox(folder)
    for step in range(1, events + 1):
        outbox.append(event(step))
    return outbox


def test_a_patient_outbox_waits_for_a_disk_that_fails_for_a_while(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, patience_seconds=20)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    room_again = threading.Timer(0.2, resource.setrlimit, (resource.RLIMIT_FSIZE, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limit[1]))
    room_again.start()
    try:
        outbox.append(event(1))
    finally:
        room_again.join()
        signal.signal(signal.SIGXFSZ, ignored)
    assert list(outbox.events()) == [event(1)]


def test_events_come_back_in_order(tmp_path: Path) -> None:
    events, _ = filled(tmp_path, 3).read(10)
    assert events == [event(1), event(2), event(3)]


def test_reading_stops_at_the_limit_and_goes_on_behind_the_cursor(tmp_path: Path) -> None:
    outbox = filled(tmp_path, 3)
    first, offset = outbox.read(2)
    outbox.commit(offset)
    assert ([entry.step for entry in first], outbox.read(2)[0]) == ([1, 2], [event(3)])


def test_what_was_read_but_not_committed_is_read_again(tmp_path: Path) -> None:
    outbox = filled(tmp_path, 2)
    assert outbox.read(1) == outbox.read(1)


def test_pending_counts_what_is_not_committed(tmp_path: Path) -> None:
    outbox = filled(tmp_path, 3)
    outbox.commit(outbox.read(2)[1])
    assert outbox.pending() == 1


def test_the_cursor_outlives_the_process(tmp_path: Path) -> None:
    outbox = filled(tmp_path, 3)
    outbox.commit(outbox.read(2)[1])
    assert Outbox(tmp_path).read(10)[0] == [event(3)]


def test_a_torn_last_line_is_cut_at_opening(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    with (tmp_path / "outbox.jsonl").open("ab") as file:
        file.write(b'{"kind":"epoch","tri')
    outbox = Outbox(tmp_path)
    outbox.append(event(3))
    assert outbox.read(10)[0] == [event(1), event(2), event(3)]


def test_a_torn_line_longer_than_a_block_is_cut(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    with (tmp_path / "outbox.jsonl").open("ab") as file:
        file.write(b"x" * (2 * BLOCK_BYTES + 7))
    outbox = Outbox(tmp_path)
    assert (outbox.read(10)[0], outbox.pending()) == ([event(1)], 1)


def test_a_file_that_is_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    (tmp_path / "outbox.jsonl").write_bytes(b'{"kind"')
    assert Outbox(tmp_path).read(10) == ([], 0)


def test_a_line_that_is_still_being_written_is_not_read(tmp_path: Path) -> None:
    outbox = filled(tmp_path, 1)
    with (tmp_path / "outbox.jsonl").open("ab") as file:
        file.write(b'{"kind":')
    assert outbox.read(10)[0] == [event(1)]


@pytest.mark.parametrize("cursor", ["", "abc", "-5", "99999"])
def test_a_cursor_that_cannot_be_right_starts_again(tmp_path: Path, cursor: str) -> None:
    outbox = filled(tmp_path, 1)
    (tmp_path / "outbox.cursor").write_text(cursor)
    assert outbox.read(10)[0] == [event(1)]


@pytest.mark.parametrize("line", [b"\x00\x00\x00\n", b"[1]\n", b"\n", b"\xff\xfe{\n"])
def test_a_damaged_line_is_handed_on_as_unreadable(tmp_path: Path, line: bytes) -> None:
    outbox = filled(tmp_path, 1)
    with (tmp_path / "outbox.jsonl").open("ab") as file:
        file.write(line)
    outbox.append(event(2))
    assert [entry.kind for entry in outbox.read(10)[0]] == ["epoch", "unreadable", "epoch"]


def test_nan_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        outbox.append(Epoch("a", 1, {"val/loss": float("nan")}))
    assert outbox.pending() == 0


def test_a_write_that_finds_no_room_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox, write = filled(tmp_path, 1), os.write
    monkeypatch.setattr(os, "write", lambda handle, line: write(handle, line[:5]))
    with pytest.raises(OSError, match="no room"):
        outbox.append(event(2))
    monkeypatch.undo()
    outbox.append(event(3))
    assert outbox.read(10)[0] == [event(1), event(3)]


def test_rejected_events_are_kept_with_the_reason(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.reject([(event(1), "too long")])
    content = {"trial": "a", "time_ms": 1001, "kind": "epoch", "step": 1, "metrics": {"val/miou": 0.1}}
    assert json.loads((tmp_path / "outbox.rejected.jsonl").read_text()) == {"why": "too long", "event": content}


def test_an_event_that_is_refused_again_is_kept_once(tmp_path: Path) -> None:
    Outbox(tmp_path).reject([(event(1), "too long")])
    outbox = Outbox(tmp_path)
    for why in ("too long", "far too long"):
        outbox.reject([(event(1), why)])
    outbox.reject([(event(2), "too long")])
    assert outbox.rejects() == [(event(1), "too long"), (event(2), "too long")]


def test_a_torn_reject_is_passed_over(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.reject([(event(1), "too long")])
    with (tmp_path / "outbox.rejected.jsonl").open("ab") as file:
        file.write(b'{"why": "too l')
    assert len(outbox.rejects()) == 1


def test_a_cursor_in_the_middle_of_a_line_starts_again(tmp_path: Path) -> None:
    outbox = filled(tmp_path, 3)
    outbox.commit(7)
    assert outbox.read(10)[0] == [event(1), event(2), event(3)]


def test_every_event_is_there_also_when_delivered(tmp_path: Path) -> None:
    outbox = filled(tmp_path, 2)
    outbox.commit(outbox.read(2)[1])
    assert list(outbox.events()) == [event(1), event(2)]


def test_an_outbox_is_delivered_by_one_at_a_time(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    refused = pytest.raises(StorageError, match="is being delivered by another process")
    with outbox.claimed(), refused, Outbox(tmp_path).claimed():
        pass
    with Outbox(tmp_path).claimed():
        assert outbox.pending() == 0


def test_a_claim_ends_with_its_process(tmp_path: Path) -> None:
    claim = "import sys, time; from pathlib import Path; from sweeps.storage.outbox import Outbox;"
    claim += "outbox = Outbox(Path(sys.argv[1])); claim = outbox.claimed(); claim.__enter__();"
    claim += "print('ready', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", claim, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"ready\n"
        with pytest.raises(StorageError), Outbox(tmp_path).claimed():
            pass
        process.kill()
    with Outbox(tmp_path).claimed():
        assert Outbox(tmp_path).pending() == 0


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/outbox cannot be written \(Not a directory\)"):
        Outbox(tmp_path / "file" / "outbox")


def test_threads_do_not_tear_each_others_lines(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)

    def write() -> None:
        for step in range(200):
            outbox.append(event(step))

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [entry.kind for entry in outbox.read(1000)[0]] == ["epoch"] * 800


def kill_while_writing(folder: Path, new_bytes: int) -> None:
    """Start a writer in a process of its own and kill -9 it in the middle of its work."""
    path = folder / "outbox.jsonl"
    enough = new_bytes + (path.stat().st_size if path.exists() else 0)
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], cwd=ROOT)
    try:
        while process.poll() is None and not (path.exists() and path.stat().st_size > enough):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_no_event_is_lost_or_torn_when_the_writer_is_killed(tmp_path: Path) -> None:
    for _ in range(2):
        kill_while_writing(tmp_path, new_bytes=500_000)
    events, _ = Outbox(tmp_path).read(10**6)
    restarts = [index for index, event_read in enumerate(events) if event_read.step == 1]
    first, second = events[: restarts[1]], events[restarts[1] :]
    for part in (first, second):
        assert [event_read.step for event_read in part] == list(range(1, len(part) + 1))

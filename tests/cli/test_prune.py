"""`--prune` removes exactly what it showed: no sweep that runs, that others need, or that MLflow has not in full."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from earlier import unpack
from recording import SWEEP
from storages import make_storage, tree

import tune_main
from sweeps.storage import removable
from sweeps.storage.attempts import newest_number
from sweeps.storage.event_file import EventFile
from sweeps.storage.events import PARENT, End, Start
from sweeps.storage.heartbeat import this_pulse, write_pulse
from sweeps.storage.outbox import Outbox
from sweeps.storage.removable import Removable, find_in_storage

OLD = "old-20260101-000000-aaaa"
YOUNG = "young-20260102-000000-bbbb"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BDDSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_sweep(storage: Path, name: str, *, days: float = 40, tags: dict[str, str] | None = None) -> Path:
    """Write a finished sweep that is delivered, with one trial."""
    folder = storage / name
    trial = {"trial_id": "a", "settings": {"train.epochs": 1}}
    (folder / "pass-1").mkdir(parents=True)
    (folder / "sweep.json").write_text(json.dumps({"version": 1, "trials": [trial], "data": {"fingerprint": name}}))
    outbox = Outbox(folder / "outbox")
    outbox.extend([Start(PARENT, name), Start("a", "trial a", {}, tags or {}), End("a", "FINISHED", {}, step=1)])
    outbox.append(End(PARENT, "FINISHED", {}, step=1))
    outbox.commit(outbox.path.stat().st_size)
    return aged(folder, days)


def aged(folder: Path, days: float) -> Path:
    events = EventFile(folder / "outbox").path
    last = events.stat().st_mtime - days * removable.DAY_SECONDS
    os.utime(events, (last, last))
    return folder


def listed(storage: Path, keep: tuple[str, ...] = (), registered: str = "") -> dict[str, str]:
    rows = find_in_storage(storage, 30, keep, lambda _: registered)
    return {row.path.name: row.stays for row in rows if row.kind == removable.SWEEP}


def prune(storage: Path, *options: str) -> int:
    return tune_main.main(["--prune", "--storage", str(storage), *options])


def test_a_finished_sweep_may_go_once_it_is_old(tmp_path: Path) -> None:
    write_sweep(tmp_path, OLD)
    write_sweep(tmp_path, YOUNG, days=29)
    assert listed(tmp_path) == {OLD: ""}


def test_a_running_sweep_stays(tmp_path: Path) -> None:
    write_pulse(write_sweep(tmp_path, OLD), this_pulse())
    assert listed(tmp_path)[OLD].startswith("running: process ")


def test_a_sweep_with_undelivered_events_stays(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, OLD)
    (folder / "outbox" / "outbox.cursor").unlink()
    assert listed(tmp_path) == {OLD: "4 events not delivered to MLflow: --sync"}


@pytest.mark.parametrize("tag", ["sweep.reused_from", "sweep.confirms"])
def test_a_sweep_that_a_younger_one_needs_stays(tag: str, tmp_path: Path) -> None:
    write_sweep(tmp_path, OLD)
    write_sweep(tmp_path, YOUNG, days=1, tags={tag: OLD})
    assert listed(tmp_path) == {OLD: f"{YOUNG} confirms it, or reused its trials"}


def test_a_confirmation_of_a_sweep_that_stays_stays(tmp_path: Path) -> None:
    write_sweep(tmp_path, OLD, tags={"sweep.confirms": YOUNG})
    write_sweep(tmp_path, YOUNG, days=1)
    assert listed(tmp_path) == {OLD: f"it confirms {YOUNG}, or reused its trials"}


def test_old_sweeps_that_need_each_other_go_together(tmp_path: Path) -> None:
    write_sweep(tmp_path, OLD)
    write_sweep(tmp_path, YOUNG, tags={"sweep.reused_from": OLD})
    assert listed(tmp_path) == {OLD: "", YOUNG: ""}
    assert listed(tmp_path, keep=(YOUNG,))[OLD] == f"{YOUNG} confirms it, or reused its trials"


def test_a_sweep_that_cannot_be_read_stays(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, OLD)
    (folder / "sweep.json").write_text("{")
    os.utime(folder, (0, 0))
    assert listed(tmp_path)[OLD].startswith("it cannot be read: ")


def test_only_the_last_checkpoint_of_a_finished_trial_is_kept(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, YOUNG, days=0)
    for number in (1, 2):
        (folder / f"pass-1/a/checkpoint_00000{number}").mkdir(parents=True)
    (row,) = find_in_storage(tmp_path, 30, (), lambda _: "")
    assert [path.name for path in row.parts] == ["checkpoint_000001"]


def test_a_file_with_a_link_elsewhere_frees_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("in/a", "in/b"):
        (tmp_path / name).write_bytes(bytes(8192))
    os.link(tmp_path / "in/a", tmp_path / "out")
    assert removable.freed_bytes([tmp_path / "in"]) == 8192


def test_a_sweep_with_a_registered_model_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    storage = make_storage(tmp_path)
    manifest = storage / SWEEP / "sweep.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": 1}))
    aged(storage / SWEEP, 40)
    assert prune(storage, "--yes") == 0
    assert "stays: a registered model is from it" in capsys.readouterr().out and manifest.exists()


@pytest.mark.parametrize("state", ["finished", "interrupted", "killed"])
def test_of_an_earlier_version_only_what_has_ended_is_listed(state: str, tmp_path: Path) -> None:
    recorded = unpack("0.1.0", state, tmp_path)
    stays = listed(Path(aged(recorded.folder, 40).parent))[recorded.sweep_id]
    assert (stays == "") == (state != "killed")


def test_without_a_terminal_nothing_is_removed(tmp_path: Path) -> None:
    write_sweep(tmp_path, OLD)
    before = tree(tmp_path)
    command = [sys.executable, "tune_main.py", "--prune", "--storage", str(tmp_path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "add --yes, or --dry-run to look only" in done.stderr
    assert tree(tmp_path) == before


def test_yes_removes_exactly_what_was_shown(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sweeps.cli.prune.registered_models", lambda _: lambda _: "")
    storage, frames = tmp_path / "runs", cache / "frames-1"
    write_sweep(storage, OLD)
    young = tree(write_sweep(storage, YOUNG, days=1))
    frames.mkdir(parents=True)
    (frames / "images.npy").write_bytes(b"1")
    os.utime(frames / "images.npy", (0, 0))
    os.utime(frames, (0, 0))
    assert prune(storage, "--dry-run") == 0 and (storage / OLD).exists() and frames.exists()
    assert prune(storage, "--yes") == 0
    assert [path.name for path in storage.iterdir()] == [YOUNG] and tree(storage / YOUNG) == young
    assert not frames.exists() and "removed 2 things" in capsys.readouterr().out


def test_frames_that_a_sweep_names_stay(tmp_path: Path, cache: Path) -> None:
    write_sweep(tmp_path / "runs", YOUNG)
    frames = cache / "frames-1"
    frames.mkdir(parents=True)
    (frames / "uses.json").write_text(json.dumps({"fingerprints": [YOUNG]}))
    os.utime(frames / "uses.json", (0, 0))
    (row,) = removable.find_frames(cache, tmp_path / "runs", 30)
    assert row.stays == f"the data of {YOUNG}"


def test_a_sweep_that_started_again_since_it_was_shown_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sweeps.cli.prune import remove_all

    folder = write_sweep(tmp_path, OLD)
    write_pulse(folder, this_pulse())
    assert remove_all([Removable(removable.SWEEP, folder, "", 0)]) == 1
    assert "stays: running: process" in capsys.readouterr().err and newest_number(folder) == 0


def test_the_sessions_of_a_ray_that_was_killed_go(tmp_path: Path, cache: Path) -> None:
    session = cache / f"ray-{os.getuid()}" / "r-1"
    session.mkdir(parents=True)
    (session / "owner.lock").touch()
    assert prune(tmp_path, "--yes") == 0 and not session.exists()


def test_a_sweep_to_keep_must_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune(tmp_path, "--yes", "--keep", "nothing-1") == 2
    assert "no sweep 'nothing-1'" in capsys.readouterr().err

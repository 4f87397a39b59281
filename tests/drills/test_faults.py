"""Drills: files are torn or cannot be written, processes of trials die, MLflow is away; nothing is lost."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch
from drills import SMALL, Site, audit, site, survived, trial_process
from servers import server

from bddseg.checkpoint import BEST, LAST, load_checkpoint
from bddseg.result import OBJECTIVE
from sweeps.storage.folder import SweepFolder
from sweeps.storage.sweep_json import read_manifest
from sweeps.tracking.reader import Store

pytestmark = pytest.mark.drill

LONG = ("--set", "data.max_images=180", "--set", "train.epochs=40", "--scheduler", "none")
ALWAYS = ("--checkpoint-every", "0")
OUTAGE_S = 5.0


def kill_trial(place: Site, trial_id: str, *others: int) -> int:
    """Kill the process of a trial, but for those that were killed before; return its number."""
    place.await_that(lambda: trial_process(place, trial_id) not in (0, *others))
    number = trial_process(place, trial_id)
    os.kill(number, signal.SIGKILL)
    return number


def test_torn_files_cost_an_epoch_and_missing_events_are_refused(place: Site) -> None:
    driver = place.start(*SMALL, *LONG, *ALWAYS)
    place.await_that(lambda: len(place.running()) == 2 and min(place.running().values()) >= 3)
    processes = {trial_process(place, trial_id) for trial_id in place.running()}
    driver.kill()
    driver.wait()
    place.await_that(lambda: not any(map(psutil.pid_exists, processes)))  # a trial may write for a moment longer
    outbox, manifest = place.folder / "outbox" / "outbox.jsonl", place.folder / "sweep.json"
    whole, told = manifest.read_bytes(), outbox.read_bytes()

    manifest.write_bytes(whole[:1000])
    assert refusal(place).startswith(f"error: {manifest} cannot be read: it is damaged (it is no JSON at line ")
    manifest.write_bytes(whole)
    outbox.write_bytes(b"")
    assert "has no events of 2 trials that have checkpoints" in refusal(place)
    outbox.unlink()
    assert "has no events" in refusal(place)

    outbox.write_bytes(told[:-20])
    for trial_id in place.running():
        torn = SweepFolder(place.folder).checkpoints(trial_id)[0] / LAST
        torn.write_bytes(torn.read_bytes()[:5000])
    assert place.run("--resume") == 0
    survived("torn_files", place, 4, repeated_at_most=2 * 3)


def refusal(place: Site) -> str:
    """Return the one line with which a resume is refused; nothing in the sweep's folder may have changed."""
    before, said = contents(place.folder), len(place.said())
    assert place.run("--resume", place.sweep_id) == 2
    assert contents(place.folder) == before
    (line,) = place.said()[said:].splitlines()
    return line


def contents(folder: Path) -> dict[str, int]:
    """Return the files of a folder with what tells one content from another."""
    return {
        str(path): hash(path.read_bytes()) for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"
    }


def test_a_trial_whose_process_is_killed_is_tried_once_more(place: Site) -> None:
    driver = place.start(*SMALL, *LONG, *ALWAYS)
    place.await_that(lambda: len(place.running()) == 2 and min(place.running().values()) >= 3)
    once, always = place.running()
    kill_trial(place, once)
    first = kill_trial(place, always)
    kill_trial(place, always, first)
    assert driver.wait(300) == 0, place.said()
    found = survived("kill9_worker", place, 3, repeated_at_most=3)
    assert (found.reasons[once], found.reasons[always]) == (["max_epochs"], ["error"])
    assert sorted(found.statuses.values()) == ["FAILED", *["FINISHED"] * 4]
    tags = {event["trial"]: event["tags"] for event in place.events() if event["kind"] == "end"}
    assert (tags[once]["sweep.retries"], tags[always]["sweep.retries"]) == ("1", "1")
    assert "continues after epoch" in SweepFolder(place.folder).log(once).read_text()


def test_a_trial_that_failed_is_continued_when_that_is_asked_for_with_so_many_retries(place: Site) -> None:
    driver = place.start(*SMALL, *LONG, *ALWAYS, "--replicates", "0", "--max-failures", "0")
    place.await_that(lambda: len(place.running()) == 2 and min(place.running().values()) >= 3)
    failed, _ = place.running()
    process = kill_trial(place, failed)
    assert driver.wait(300) == 0, place.said()
    assert audit(place).reasons[failed] == ["error"]
    driver = place.start("--resume", "--failed", "--max-failures", "2")
    for _ in range(2):
        process = kill_trial(place, failed, process)
    assert driver.wait(300) == 0, place.said()
    continued = survived("failed_continued", place, 3, repeated_at_most=3)
    assert continued.reasons[failed] == ["error", "max_epochs"]
    assert set(continued.statuses.values()) == {"FINISHED"}
    ends = [event["tags"] for event in place.events() if event["kind"] == "end" and event["trial"] == failed]
    assert [tags["sweep.retries"] for tags in ends] == ["0", "2"]


def test_a_daemon_of_ray_that_is_killed_ends_the_sweep_in_one_line_and_a_resume_goes_on(place: Site) -> None:
    driver = place.start(*SMALL, *LONG, *ALWAYS)
    place.await_that(lambda: len(place.running()) == 2 and min(place.running().values()) >= 3)
    (raylet,) = [child for child in psutil.Process(driver.pid).children() if child.name() == "raylet"]
    raylet.kill()
    assert driver.wait(60) == 2, place.said()
    assert re.search(r"^error: raylet of Ray ended unexpectedly.*--resume ", place.said(), re.MULTILINE)
    assert "Traceback" not in place.said()
    assert place.run("--resume") == 0
    survived("kill9_raylet", place, 1, repeated_at_most=4)


def test_a_trial_that_the_memory_monitor_kills_is_tried_again_and_then_gets_a_larger_share(
    tmp_path: Path, template: Path
) -> None:
    memory = psutil.virtual_memory()
    limit = memory.total - memory.available + 3 * 2**30
    if limit > 0.7 * memory.total:
        pytest.skip("too little memory is free to run out of it safely")
    knobs = {"RAY_memory_usage_threshold": f"{limit / memory.total:.4f}", "RAY_memory_monitor_refresh_ms": "100"}
    with site(tmp_path, template, **knobs) as place:
        driver = place.start(*SMALL, *LONG, *ALWAYS)
        place.await_that(lambda: len(place.running()) == 2 and min(place.running().values()) >= 3)
        with taken_memory(limit + 2**29):
            place.await_that(lambda: "oom" in reasons(place), 60)
        assert driver.wait(300) == 0, place.said()
        killed = [trial_id for trial_id, told in audit(place).reasons.items() if "oom" in told]
        found = survived("memory_monitor", place, 2 * len(killed), repeated_at_most=8 * len(killed))
        assert "out of memory: another pass, with twice the share of the device" in place.said()
        assert all(found.reasons[trial_id] == ["oom", "max_epochs"] for trial_id in killed)


def reasons(place: Site) -> list[str]:
    return [event["tags"].get("sweep.stop_reason", "") for event in place.events() if event["kind"] == "end"]


HOG = """
import sys, time, psutil
kept = []
while True:
    memory = psutil.virtual_memory()
    if memory.total - memory.available < int(sys.argv[1]):
        kept.append(bytearray(b"x") * 2**26)
    time.sleep(0.02)
"""


@contextmanager
def taken_memory(used: int) -> Iterator[None]:
    """Take memory in a second process until so many bytes of the machine's are used, by whomever."""
    hog = subprocess.Popen([sys.executable, "-c", HOG, str(used)])
    try:
        yield
    finally:
        hog.kill()
        hog.wait()


def test_a_folder_that_cannot_be_written_for_seconds_costs_nothing(place: Site) -> None:
    driver = place.start(*SMALL, *LONG, *ALWAYS)
    place.await_epochs(8)
    with unwritable(place.folder):
        time.sleep(OUTAGE_S)
    known = len(place.epochs())
    place.await_epochs(known + 6)
    with unwritable(place.folder / "outbox"):
        time.sleep(OUTAGE_S)
    assert driver.wait(300) == 0, place.said()
    found = survived("read_only_5s", place, 2)
    assert {told[-1] for told in found.reasons.values()} == {"max_epochs"}
    assert "writing failed, next attempt" in logs(place)


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """Make the kernel refuse every write below a folder, root's and those to open files too."""
    if subprocess.run(["chattr", "-R", "+i", str(folder)], stderr=subprocess.DEVNULL).returncode:
        subprocess.run(["chattr", "-R", "-i", str(folder)], stderr=subprocess.DEVNULL)
        pytest.skip("no right to make files immutable")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-R", "-i", str(folder)], check=True)


def logs(place: Site) -> str:
    return "".join(path.read_text() for path in SweepFolder(place.folder).logs.glob("*.log"))


def test_a_disk_that_is_full_for_seconds_costs_nothing(tmp_path: Path, template: Path) -> None:
    with small_disk(tmp_path / "runs", template) as place:
        driver = place.start(*SMALL, *LONG, *ALWAYS)
        place.await_epochs(8)
        fill(place.storage / "filler")
        time.sleep(OUTAGE_S)
        (place.storage / "filler").unlink()
        assert driver.wait(300) == 0, place.said()
        found = survived("disk_full_5s", place, 1)
        assert {told[-1] for told in found.reasons.values()} == {"max_epochs"}
        assert "writing failed, next attempt" in logs(place)


@contextmanager
def small_disk(folder: Path, template: Path) -> Iterator[Site]:
    """Give a storage folder on a disk of its own, of 64 MB."""
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], stderr=subprocess.DEVNULL
    ).returncode:
        pytest.skip("no right to mount a small disk")
    place = Site(folder)
    try:
        shutil.copy(template, folder / "mlflow.db")
        yield place
    finally:
        place.close()
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(2**14)):
                pass
        except OSError:
            return


def test_a_tracking_server_that_is_away_for_a_while_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with server(tmp_path) as mlflow:
        place = Site(tmp_path / "runs")
        try:
            driver = place.start(*SMALL, *LONG, "--tracking-uri", mlflow.uri)
            place.await_epochs(8)
            mlflow.kill()
            place.await_epochs(len(place.epochs()) + 30)
            mlflow.start()
            assert driver.wait(300) == 0, place.said()
            assert "did not reach MLflow" not in place.said()
            survived("mlflow_outage", place, 1, audit(place, mlflow.uri))
        finally:
            place.close()


RICH = ("--set", "model.name=attention_unet", "--set", "model.dropout=0.2", "--set", "data.augment=standard")


def test_faults_change_no_bit_of_the_weights(tmp_path: Path, template: Path) -> None:
    words = (*SMALL, *RICH, "--set", "train.epochs=16", "--scheduler", "none", "--keep-weights", "all", *ALWAYS)
    with site(tmp_path / "calm", template) as calm, site(tmp_path / "rough", template) as rough:
        assert calm.run(*words) == 0, calm.said()
        driver = rough.start(*words)
        rough.await_that(lambda: len(rough.running()) == 2 and min(rough.running().values()) >= 3)
        victim = min(rough.running())
        kill_trial(rough, victim)
        rough.await_that(
            lambda: sum(event["kind"] == "start" and event["trial"] == victim for event in rough.events()) > 1
        )
        rough.await_epochs(len(rough.epochs()) + 5)
        driver.kill()
        driver.wait()
        assert rough.run("--resume") == 0, rough.said()
        survived("same_weights", rough, 2, repeated_at_most=6)
        assert histories(calm) == histories(rough)
        for trial in read_manifest(calm.folder).trials:
            ours, theirs = (SweepFolder(found.folder).checkpoints(trial.trial_id)[0] for found in (calm, rough))
            for name in (BEST, LAST):
                assert same(load_checkpoint(ours / name), load_checkpoint(theirs / name)), (trial.name, name)


def starts(place: Site) -> list[str]:
    return [event["trial"] for event in place.events() if event["kind"] == "start"]


def histories(place: Site) -> dict[str, list[tuple[int, float]]]:
    store = Store(place.uri)
    found = store.histories(store.read_sweep(place.sweep_id), [OBJECTIVE])
    return {trial_id: sorted(points[OBJECTIVE]) for trial_id, points in found.items()}


def same(one: object, other: object) -> bool:
    """Return whether two checkpoints are bitwise the same."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and one.numpy().tobytes() == other.numpy().tobytes()
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or one != one)

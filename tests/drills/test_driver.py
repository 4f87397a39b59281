"""Drills: the driver of a sweep is killed, ended by a signal, started twice; the sweep comes to its end all the same.

Every driver is a real second process, the signals are the kernel's own.
"""

import contextlib
import os
import random
import signal
import subprocess
import time
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from drills import PATIENCE_S, SMALL, Site, audit, family, leftovers, session_folders, survived

from bddseg.result import OBJECTIVE
from sweeps.execution.searcher import build_scheduler
from sweeps.planning.manifest import recorded_experiment, recorded_plan
from sweeps.schedulers.rungs import BEST
from sweeps.storage.events import PARENT
from sweeps.storage.sweep_json import read_manifest

pytestmark = pytest.mark.drill

LONG = ("--set", "data.max_images=180", "--set", "train.epochs=40", "--scheduler", "none")
SHORT = ("--set", "data.max_images=90", "--set", "train.epochs=9", "--scheduler", "none")
EIGHT = ("--space", "grid_lr_loss", "--profile", "quick", "--set", "data.size=32", "--set", "model.base_filters=4")
HALVED = (*EIGHT, "--set", "data.max_images=180", "--set", "train.epochs=27", "--set", "train.precision=fp32")
KILLS = 5
EPOCHS_PER_KILL = 2 * 6
"""Two trials run, and two checkpoints are a second, or about six epochs of these, apart."""


def test_a_sweep_whose_driver_is_killed_five_times_loses_nothing(place: Site) -> None:
    moments = random.Random(20261123)
    words: tuple[str, ...] = (*HALVED, "--checkpoint-every", "1")
    for _ in range(KILLS):
        driver, known = place.start(*words), len(place.epochs())
        place.await_epochs(known + 1)
        time.sleep(moments.uniform(0, 1.2))
        assert driver.poll() is None, "the sweep was done too soon"
        driver.kill()
        driver.wait()
        words = ("--resume",)
    assert place.run("--resume") == 0
    found = survived("kill9_driver", place, KILLS, repeated_at_most=KILLS * EPOCHS_PER_KILL)
    assert_rungs_as_if_never_killed(place, found.reasons)


def assert_rungs_as_if_never_killed(place: Site, reasons: dict[str, list[str]]) -> None:
    """Whoever was stopped early is whom a scheduler stops that hears every epoch once, in their order."""
    manifest = read_manifest(place.folder)
    scheduler = build_scheduler(recorded_experiment(manifest), recorded_plan(manifest))
    heard: dict[str, dict[int, float]] = {}
    for event in (event for event in place.events() if event["kind"] == "epoch"):
        trial_id, epoch, values = event["trial"], int(event["step"]), heard.setdefault(event["trial"], {})
        if epoch not in values:
            values[epoch] = event["metrics"][OBJECTIVE]
            result = {"epoch": epoch, OBJECTIVE: values[epoch], BEST: max(values.values())}
            trial: Any = SimpleNamespace(config={"trial": trial_id})
            scheduler.on_trial_result(None, trial, result | {"stop_reason": event.get("ending")})  # type: ignore[arg-type]
    stopped = {trial_id for trial_id, found in reasons.items() if "asha" in found}
    assert stopped == set(scheduler.stops) and stopped
    assert all(found.count("asha") <= 1 for found in reasons.values())


def test_signals_end_a_sweep_gracefully_and_at_once_the_second_time(place: Site) -> None:
    ended, words = 0, (*SMALL, *LONG, "--checkpoint-every", "1")
    for number in (signal.SIGTERM, signal.SIGINT):
        driver, known = place.start(*words), len(place.epochs())
        place.await_epochs(known + 4)
        started = family(driver)
        os.killpg(driver.pid, number)
        assert driver.wait(120) == 128 + number
        assert any(line.endswith(f"--resume {place.sweep_id}") for line in place.said().splitlines()), place.said()
        assert place.running() == {}
        assert (leftovers(started), session_folders()) == ([], [])
        ended, words = ended + 1, ("--resume",)
    driver, known = place.start("--resume"), len(place.epochs())
    place.await_epochs(known + 2)
    started = family(driver)
    os.kill(driver.pid, signal.SIGTERM)
    place.await_that(lambda: place.said().count("SIGTERM: saving running trials") == 2 or driver.poll() is not None)
    if driver.poll() is None:
        os.kill(driver.pid, signal.SIGINT)
    assert driver.wait(120) == 128 + signal.SIGTERM
    assert (leftovers(started), session_folders()) == ([], [])
    assert place.run("--resume") == 0
    survived("sigterm_sigint", place, ended + 1, repeated_at_most=(ended + 1) * EPOCHS_PER_KILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_every_process_ends_a_sweep_as_one_to_its_driver_does(place: Site, number: signal.Signals) -> None:
    driver = place.start(*SMALL, *SHORT)
    place.await_epochs(4)
    started = family(driver)
    for process in (*started, psutil.Process(driver.pid)):
        process.send_signal(number)
    assert driver.wait(120) == 128 + number
    assert f"resume with: python tune_main.py --storage {place.storage} --resume {place.sweep_id}" in place.said()
    assert (place.running(), leftovers(started), session_folders()) == ({}, [], [])
    assert set(audit(place).statuses.values()) == {"KILLED"}
    assert place.run("--resume") == 0
    survived(f"{number.name.lower()}_to_all", place, 1, repeated_at_most=EPOCHS_PER_KILL)


def test_a_signal_ends_a_sweep_whose_ray_does_not_answer(place: Site) -> None:
    driver = place.start(*SMALL, *SHORT)
    place.await_epochs(4)
    started = family(driver)
    for process in started:
        process.suspend()  # its ports still take connections
    os.kill(driver.pid, signal.SIGTERM)
    assert driver.wait(PATIENCE_S) == 128 + signal.SIGTERM, place.said()
    assert "Ray has not ended the trials within 30 s: ending without it" in place.said()
    assert f"resume with: python tune_main.py --storage {place.storage} --resume {place.sweep_id}" in place.said()
    assert (place.running(), leftovers(started)) == ({}, [])
    assert set(audit(place).statuses.values()) == {"KILLED"}
    assert place.run("--resume") == 0
    survived("sigterm_ray_silent", place, 1, repeated_at_most=EPOCHS_PER_KILL)


def test_a_ray_whose_first_start_takes_too_long_is_started_again(place: Site) -> None:
    driver = place.start(*SMALL, "--limit", "1")
    place.await_that(lambda: agents(driver))
    for process in agents(driver):
        process.suspend()
    place.await_sentence(": starting it again")
    assert driver.wait(PATIENCE_S) == 0, place.said()
    assert "error: Ray cannot be started" not in place.said()
    survived("ray_starts_late", place, 1)


def agents(driver: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Return the helpers of Ray's node, for which it waits 30 s."""
    helpers = []
    for process in family(driver):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(word.endswith("agent.py") for word in process.cmdline()) or "Agent" in process.name():
                helpers.append(process)
    return helpers


def test_a_signal_while_ray_starts_leaves_nothing_behind(place: Site) -> None:
    driver = place.start(*SMALL)
    place.await_sentence("starting Ray")
    place.await_that(lambda: family(driver))
    started = family(driver)
    os.killpg(driver.pid, signal.SIGTERM)
    assert driver.wait(120) == 128 + signal.SIGTERM
    assert f"resume with: python tune_main.py --storage {place.storage} --resume {place.sweep_id}" in place.said()
    assert (leftovers(started), session_folders()) == ([], [])
    assert place.run("--resume") == 0
    survived("sigterm_early", place, 1)


def test_a_running_sweep_is_not_started_again_and_a_cancelled_trial_stays_cancelled(place: Site) -> None:
    driver = place.start(*SMALL, *LONG, "--max-concurrent", "1")
    place.await_epochs(3)
    assert place.run("--resume", place.sweep_id) == 2
    assert f"error: sweep {place.sweep_id} is still running (process {driver.pid} on" in place.said()
    (first,) = place.running()
    assert place.run("--cancel", place.sweep_id, first) == 0
    place.await_that(lambda: first not in place.running())
    place.await_that(lambda: len(place.running()) == 1 and max(place.running().values()) >= 2)
    (second,) = place.running()
    waiting = [trial.trial_id for trial in read_manifest(place.folder).trials][2:]
    assert place.run("--cancel", place.sweep_id, waiting[1]) == 0
    driver.kill()
    driver.wait()
    known = len(place.events())
    assert place.run("--resume") == 0
    order = [event["trial"] for event in place.events()[known:] if event["kind"] == "start" and event.get("name")]
    assert [trial for trial in order if trial != PARENT] == [second, *waiting]
    found = audit(place)
    assert {trial: told[-1] for trial, told in found.reasons.items()} == {
        first: "user",
        second: "max_epochs",
        waiting[0]: "max_epochs",
        waiting[1]: "user",
    }
    assert (found.reasons[first], found.statuses[first]) == (["user"], "KILLED")
    survived("cancel_and_kill9", place, 3, found, repeated_at_most=40)
    assert place.run("--resume") == 2
    assert "nothing to resume" in place.said().splitlines()[-1]

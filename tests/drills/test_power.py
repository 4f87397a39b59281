"""Drill: the power fails in the middle of a sweep, which then goes on from what the disk has."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import power
import pytest
from drills import SMALL, Site, audit, family, survived

pytestmark = pytest.mark.drill

LAST_MS = 2000
"""Events of the last moments may be lost on a disk that is slow; this one is watched besides."""


def test_a_sweep_goes_on_after_a_power_cut(place: Site, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    shutil.copy(power.__file__, code / "sitecustomize.py")
    watch = {power.ROOT: str(place.storage), power.MEMORY: str(tmp_path / "memory"), "PYTHONPATH": str(code)}
    place = replace(place, environment=watch)
    driver = place.start(*SMALL, "--scheduler", "none", "--checkpoint-every", "0", "--set", "train.epochs=8")
    place.await_epochs(11)
    processes = family(driver)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    reported = place.events()
    for process in processes:
        process.kill()
    after = replace(place, storage=tmp_path / "after", environment={}, processes=[])
    power.after_a_power_cut(place.storage, tmp_path / "memory", after.storage)
    kept = after.events()
    assert kept == reported[: len(kept)]
    assert all(event["time_ms"] > reported[-1]["time_ms"] - LAST_MS for event in reported[len(kept) :])
    assert after.run("--resume") == 0, after.said()[-3000:]
    survived("power cut", after, injected=1, result=audit(after), repeated_at_most=8)
    assert json.loads((after.folder / "sweep.json").read_text())["version"] == 1

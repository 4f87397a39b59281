"""Promotion on a real Ray whose driver is killed: who waited waits again, and rungs are as they were."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from bddseg.result import OBJECTIVE
from sweeps.schedulers.state_file import load_memory

ROOT = Path(__file__).resolve().parent.parent.parent
TRIALS, EPOCHS = 9, 9

DRIVER = f"""
import json, sys, time
from pathlib import Path
from ray import tune
from sweeps.execution.cluster import ray_cluster
from sweeps.schedulers.asha_promote import AshaPromote
from sweeps.schedulers.scheduler import HalvingSetup

FOLDER = Path(sys.argv[1])

def train(config):
    checkpoint, done = tune.get_checkpoint(), 0
    if checkpoint:
        with checkpoint.as_directory() as folder:
            done = json.loads(Path(folder, "epoch.json").read_text())
    for epoch in range(done + 1, {EPOCHS} + 1):
        time.sleep(0.2)
        with (FOLDER / "reports").open("a") as file:
            file.write(json.dumps([config["trial"], epoch]) + "\\n")
        made = FOLDER / f"{{config['trial']}}-{{epoch}}"
        made.mkdir(parents=True, exist_ok=True)
        (made / "epoch.json").write_text(json.dumps(epoch))
        reason = {{"stop_reason": "max_epochs"}} if epoch == {EPOCHS} else {{}}
        result = {{"epoch": epoch, "{OBJECTIVE}": int(config["trial"]) * 5 % 9 / 10 + epoch / 100, **reason}}
        tune.report(result, checkpoint=tune.Checkpoint.from_directory(made))

names = [str(number) for number in range({TRIALS})]
space = {{"trial": tune.grid_search(names)}}
with ray_cluster(FOLDER / "c"):
    if (FOLDER / "ray" / "tuner.pkl").exists():
        tuner = tune.Tuner.restore(str(FOLDER / "ray"), train, param_space=space, resume_errored=True)
        assert tuner._local_tuner._tune_config.scheduler.recall()
    else:
        setup = HalvingSetup((1, 3), 3, dict.fromkeys(names, "m"), "0", FOLDER / "scheduler.json")
        scheduler = AshaPromote(setup, slots=2)
        tuner = tune.Tuner(
            tune.with_resources(train, {{"CPU": 1}}), param_space=space,
            tune_config=tune.TuneConfig(scheduler=scheduler),
            run_config=tune.RunConfig(name="ray", storage_path=str(FOLDER), verbose=0),
        )
    tuner.fit()
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TUNE_GLOBAL_CHECKPOINT_S": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder)], env=environment, cwd=ROOT, start_new_session=True
    )


def waiting(folder: Path) -> int:
    """Return how many trials wait at a rung, as far as is written down."""
    state = load_memory(folder / "scheduler.json")
    return len(state["paused"]) if state else 0


@pytest.mark.drill
def test_a_killed_driver_goes_on_with_its_rungs(tmp_path: Path) -> None:
    with start(tmp_path) as driver:
        deadline = time.monotonic() + 240
        while waiting(tmp_path) < 2 and driver.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(driver.pid, signal.SIGKILL)
    before = load_memory(tmp_path / "scheduler.json")
    assert before is not None and len(before["paused"]) >= 2
    with start(tmp_path) as driver:
        assert driver.wait(timeout=360) == 0
    after = load_memory(tmp_path / "scheduler.json")
    assert after is not None and after["paused"] == {}
    for rung, values in before["rungs"].items():
        assert list(after["rungs"][rung].items())[: len(values)] == list(values.items())
    reports = Counter(tuple(json.loads(line)) for line in (tmp_path / "reports").read_text().splitlines())
    reached = {trial: max(epoch for name, epoch in reports if name == trial) for trial in map(str, range(TRIALS))}
    assert set(after["stops"]) == {trial for trial, epoch in reached.items() if epoch < EPOCHS}
    assert (reached["0"], reached["7"]) == (EPOCHS, EPOCHS)  # the reference, and the best: 7 * 5 % 9 = 8
    assert sum(count - 1 for count in reports.values()) <= 9  # what was trained since Ray's last snapshot

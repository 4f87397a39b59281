"""Drill: the shipped batch script for one node under a real Slurm of one node, in namespaces of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from drills import CACHE, ROOT, Site, survived
from slurm import Slurm, missing, slurm

pytestmark = [pytest.mark.drill, pytest.mark.skipif(bool(missing()), reason=f"Slurm: {missing()}")]

SCRIPT = ROOT / "deploy" / "slurm" / "sweep.sbatch"
SWEEP = ("--space", "smoke", "--profile", "quick", "--set", "data.max_images=90", "--set", "train.epochs=9",
         "--set", "train.precision=fp32", "--scheduler", "none")  # fmt: skip
CORES = ("--cpus-per-task=2",)
STARTED_S = 900
"""How long a job may take to start, which includes the imports of Ray and MLflow on a busy machine."""

EPOCHS_LOST = 2 * 30
"""What two trials may repeat: all since their last checkpoints."""


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[Slurm]:
    with slurm(tmp_path / "slurm") as running:
        yield running


def variables() -> dict[str, str]:
    return {"BDDSEG_CACHE": str(CACHE), "OMP_NUM_THREADS": "1", "PYTHON": str(ROOT / ".venv" / "bin" / "python")}


def test_a_job_that_is_signalled_and_one_that_is_requeued_goes_on_and_finishes(place: Site, batch: Slurm) -> None:
    log = place.storage / "driver.log"
    words = ("night", *SWEEP, "--storage", str(place.storage))
    options = (*CORES, f"--output={log}", "--time=60")
    job = batch.submit(SCRIPT, *words, folder=ROOT, options=options, **variables())
    place.await_that(lambda: len(place.epochs()) >= 3, STARTED_S)
    batch.run("scancel", "--batch", "--signal=TERM", job)  # as --signal=B:TERM@120 does before the time limit
    batch.await_restarts(job, 1)
    assert "SIGTERM: saving running trials" in place.said()
    reported = len(place.epochs())
    place.await_that(lambda: len(place.epochs()) >= reported + 3, STARTED_S)
    batch.run("scontrol", "requeue", job)  # a preemption without grace: every process is killed
    batch.await_restarts(job, 2)
    batch.await_state(job, "COMPLETED")
    survived("slurm", place, 2, repeated_at_most=EPOCHS_LOST)
    again = batch.submit(SCRIPT, *words, folder=ROOT, options=options, **variables())
    batch.await_state(again, "COMPLETED")
    assert "sweep night is finished; report: " in place.said().splitlines()[-1]

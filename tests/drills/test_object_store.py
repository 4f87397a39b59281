"""Drills: checkpoints are in a real S3 server; the driver is killed, the server pauses, another machine goes on.

The other machine is another cache folder: nothing but the records folder and the store is common.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from drills import Site, site, survived
from object_store import BUCKET, ObjectStore, object_store

pytestmark = pytest.mark.drill

OUTAGE_S = 20
WORDS = ("--space", "grid_lr_loss", "--profile", "quick", "--set", "data.size=32", "--set", "model.base_filters=4",
         "--set", "data.max_images=180", "--set", "train.epochs=9", "--set", "train.precision=fp32",
         "--replicates", "0",
         "--checkpoint-every", "1", "--checkpoints", f"s3://{BUCKET}/drill")  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    with object_store(tmp_path) as running:
        yield running


def test_a_sweep_outlives_its_driver_and_an_outage_of_its_store(
    tmp_path: Path, template: Path, store: ObjectStore
) -> None:
    with site(tmp_path, template, **store.environment) as first:
        driver = first.start(*WORDS)
        first.await_epochs(12)
        driver.kill()
        driver.wait()
        other_cache = {"BDDSEG_CACHE": str(tmp_path / "cache")}
        second = Site(first.storage, {**store.environment, **other_cache}, first.began)
        resumed, reported = second.start("--resume"), len(second.epochs())
        second.await_epochs(reported + 12)
        store.pause()
        time.sleep(OUTAGE_S)
        store.go_on()
        assert resumed.wait(600) == 0, second.said()[-4000:]
        result = survived("object_store", second, 2, repeated_at_most=24)
        assert len(result.reasons) == 8
        assert not list(second.folder.glob("pass-*"))
        assert all("/checkpoint_" in key for key in store.keys("drill/"))


def test_a_signal_during_an_outage_ends_a_sweep_that_can_be_resumed(
    tmp_path: Path, template: Path, store: ObjectStore
) -> None:
    with site(tmp_path, template, **store.environment) as place:
        driver = place.start(*WORDS)
        place.await_epochs(6)
        store.pause()
        os.kill(driver.pid, signal.SIGTERM)
        assert driver.wait(180) == 128 + signal.SIGTERM
        store.go_on()
        assert place.run("--resume") == 0
        survived("object_store_signal", place, 1, repeated_at_most=24)

"""Drills: checkpoints are in a real S3 server; the driver is killed, the server pauses, another machine goes on.

The other machine is another cache folder: nothing but the records folder and the store is common.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from drills import CACHE, PATIENCE_S, SMALL, Site, site, survived
from hosts import Host, network
from object_store import BUCKET, KEYS, ObjectStore, object_store
from recording import until

from sweeps.paths import ROOT

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


MAKE_BUCKET = f"import boto3; boto3.client('s3').create_bucket(Bucket='{BUCKET}')"


def serve(host: Host) -> dict[str, str]:
    """Start an S3 server with a bucket on a host; return the variables under which others find it."""
    environment = {**KEYS, "AWS_ENDPOINT_URL": f"http://{host.address}:5000"}
    host.start(str(Path(sys.executable).with_name("moto_server")), "-H", host.address, "-p", "5000")
    words = (sys.executable, "-c", MAKE_BUCKET)
    assert until(lambda: host.start(*words, **environment).wait(60) == 0, 120), (host.folder / "log").read_text()
    return environment


def test_a_node_that_does_not_see_the_folder_trains_and_is_asked_to_save(tmp_path: Path, template: Path) -> None:
    with network("head", "apart", hidden={"apart": [tmp_path]}) as (head, apart), site(tmp_path, template) as place:
        environment = serve(head)
        head.start_head()
        apart.join(head, **environment)
        words = ["--checkpoints", f"s3://{BUCKET}/hosts", "--set", "train.epochs=12", "--scheduler", "none"]
        command = [sys.executable, "tune_main.py", "--storage", str(place.storage), "--address", head.ray]
        driven = {"BDDSEG_CACHE": str(CACHE), "OMP_NUM_THREADS": "1", **environment}
        driver = head.start(*command, *SMALL, *words, log=place.storage / "driver.log", cwd=ROOT, **driven)
        place.await_epochs(3)
        psutil.Process(driver.pid).children()[0].send_signal(signal.SIGTERM)  # the other side of nsenter
        assert driver.wait(PATIENCE_S) == 128 + signal.SIGTERM, place.said()[-3000:]
        resumed = head.start(*command, "--resume", log=place.storage / "driver.log", cwd=ROOT, **driven)
        assert resumed.wait(2 * PATIENCE_S) == 0, place.said()[-3000:]
        survived("node_without_folder", place, 1)
        logs = [path.read_text() for path in (place.folder / "logs").glob("*.log")]
        assert len(logs) == 4 and all("on apart, process" in text for text in logs)

"""Drill: the frames of a dataset reach a node of a cluster once, through the object store, whoever reads them."""

import json
import sys
from pathlib import Path

import pytest
from drills import ROOT
from hosts import network

pytestmark = pytest.mark.drill

IMAGES, SIZE_PX = 3426, 128
STORE = "--object-store-memory=700000000"

PROGRAM = """
import json, sys, time
from pathlib import Path
import numpy as np
import ray

images, size, address, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
ray.init(address=address, log_to_driver=False, logging_level=50)
generator = np.random.default_rng(0)
frames = {
    "images": generator.integers(0, 255, (images, size, size, 3), np.uint8),
    "masks": generator.integers(0, 5, (images, size, size), np.uint8),
}


@ray.remote(num_cpus=1, max_calls=1)
def read(frames):
    return int(frames["images"][:, 0, 0, 0].sum())


@ray.remote(num_cpus=1)
def received():
    return int(Path("/sys/class/net/eth0/statistics/rx_bytes").read_text())


started = time.monotonic()
reference = ray.put(frames)
rows = [{"seconds": time.monotonic() - started, "received": 0}]
for _ in range(3):
    before, started = ray.get(received.remote()), time.monotonic()
    ray.get(read.remote(reference))
    seconds = time.monotonic() - started
    rows.append({"seconds": seconds, "received": ray.get(received.remote()) - before})
out.write_text(json.dumps({"bytes": sum(array.nbytes for array in frames.values()), "rows": rows}))
"""


def test_the_frames_reach_a_node_once(tmp_path: Path) -> None:
    with network("head", "node") as (head, node):
        head.start_head(STORE)
        node.join(head, STORE)
        words = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(IMAGES), str(SIZE_PX), head.ray]
        asking = head.start(*words, str(tmp_path / "figures.json"), cwd=ROOT)
        assert asking.wait(300) == 0, (head.folder / "log").read_text()[-3000:]
    figures = json.loads((tmp_path / "figures.json").read_text())
    print(figures)
    put, first, *later = figures["rows"]
    assert first["received"] > figures["bytes"]
    assert max(row["received"] for row in later) < figures["bytes"] / 20
    assert put["received"] == 0

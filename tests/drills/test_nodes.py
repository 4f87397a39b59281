"""Drill: a sweep on a Ray of two nodes that was there before; one node is killed, one drained, one joins meanwhile.

All nodes are on this machine and on loopback: what they do not show is a storage that is not shared.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from drills import SMALL, Site, site, survived

pytestmark = pytest.mark.drill

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
LONG = ("--set", "data.max_images=180", "--set", "train.epochs=100", "--scheduler", "none", "--checkpoint-every", "0")

HOLDER = """
import os, signal, sys
from ray._private import ray_constants
from ray._raylet import GcsClient
from ray.cluster_utils import Cluster

shared = {"node_ip_address": "127.0.0.1", "object_store_memory": 100 * 2**20}
head = {"num_cpus": 0, "temp_dir": sys.argv[1], "include_dashboard": False, **shared}
cluster = Cluster(initialize_head=True, head_node_args=head)
nodes = {name: cluster.add_node(num_cpus=1, **shared) for name in ("a", "b")}
print(cluster.address, flush=True)
for line in sys.stdin:
    word, _, name = line.strip().partition(" ")
    if word == "kill":
        os.kill(nodes[name].all_processes[ray_constants.PROCESS_TYPE_RAYLET][0].process.pid, signal.SIGKILL)
    elif word == "drain":
        GcsClient(address=cluster.address).drain_node(nodes[name].node_id, 2, "preempted", 1000)
        cluster.remove_node(nodes[name], allow_graceful=True)
    elif word == "add":
        nodes[name] = cluster.add_node(num_cpus=1, **shared)
    print(word, name, flush=True)
cluster.shutdown()
"""


class Nodes:
    """The nodes of a Ray that a second process holds."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.address = self._answer()

    def tell(self, word: str) -> None:
        """Do something to a node: `kill a`, `drain b`, `add c`."""
        assert self._process.stdin
        print(word, file=self._process.stdin, flush=True)
        assert self._answer() == word

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


@contextmanager
def nodes() -> Iterator[Nodes]:
    """Hold a head without a core and two nodes with one each."""
    folder = tempfile.mkdtemp(prefix="n-")  # short: sockets lie below it
    Path(folder, "ray").mkdir()  # where Ray notes the address of its latest cluster, and makes no folder for it
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", HOLDER, folder],
        env=os.environ | LOOPBACK | {"RAY_TMPDIR": folder}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield Nodes(process)
    finally:
        process.communicate(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_node_that_is_killed_and_one_that_is_drained_cost_no_trial(tmp_path: Path, template: Path) -> None:
    with nodes() as ray, site(tmp_path, template, **LOOPBACK) as place:
        driver = place.start(*SMALL, *LONG, "--address", ray.address)
        place.await_that(lambda: len(place.running()) == 2 and min(place.running().values()) >= 3)
        ray.tell("kill a")
        ray.tell("add c")
        place.await_sentence(" continues on another node: its own was lost or cannot be reached; see ")
        place.await_that(lambda: len(place.running()) == 2)
        ray.tell("drain b")
        assert driver.wait(900) == 0, place.said()  # one node is left, and others may use it
        assert retried(place)
        found = survived("node_killed_node_drained", place, 2, repeated_at_most=4)
        assert {told[-1] for told in found.reasons.values()} == {"max_epochs"}


def retried(place: Site) -> bool:
    """Return whether a trial was started again."""
    starts = [event["trial"] for event in place.events() if event["kind"] == "start"]
    return len(starts) > len(set(starts))

"""The nodes of the present Ray: which can run a trial, how many trials at a time, and the wait for one that joins."""

import time
from collections.abc import Mapping
from typing import Any

import ray

from bddseg.words import count
from sweeps.errors import ExperimentError
from sweeps.formatting import duration
from sweeps.notes import notes

SAID_SECONDS = 30
"""How often the wait for a node is reported."""

LOWER = "lower --cpus-per-trial or --gpus-per-trial"


def alive_nodes() -> list[dict[str, Any]]:
    """Return the entries of `ray.nodes()` that are alive."""
    return [node for node in ray.nodes() if node["Alive"]]


def fitting_nodes(resources: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the nodes that can run a trial with these resources."""
    need = _needed(resources)
    nodes = alive_nodes()
    return [node for node in nodes if all(node["Resources"].get(name, 0) >= amount for name, amount in need.items())]


def slots(resources: Mapping[str, float], max_concurrent: int) -> int:
    """Return the number of trials that run in parallel on the present Ray.

    Raises:
        ExperimentError: when no node has the resources of one trial, which would wait forever.
    """
    need = _needed(resources)
    totals = [node["Resources"] for node in fitting_nodes(resources)]
    fits = sum(min(int(total[name] // amount) for name, amount in need.items()) for total in totals)
    if not fits:
        raise ExperimentError(f"a trial needs {needed_words(resources)}, but no node has that: {LOWER}")
    return min(fits, max_concurrent or fits)


def room(resources: Mapping[str, float], max_concurrent: int) -> int:
    """Return the number of trials that may be started or waiting: those that run in parallel, and one more.

    Ray keeps a process for reuse only when a trial waits for it. Nodes come and go: without any, one trial may wait.
    """
    try:
        fits = slots(resources, 0)
    except ExperimentError:
        return 1
    return min(fits + 1, max_concurrent or fits + 1)


def await_node(resources: Mapping[str, float], wait_seconds: float) -> None:
    """Wait until a node can run a trial. A task with a trial's needs is queued, for which an autoscaler starts a node.

    Raises:
        ExperimentError: when there is none in time.
    """
    need = needed_words(resources)
    if fitting_nodes(resources):
        return
    if not wait_seconds:
        raise ExperimentError(
            f"a trial needs {need}, but no node has that: {LOWER}; or, where nodes join on demand, give "
            "--wait-for-nodes SECONDS"
        )
    demand = ray.remote(num_cpus=resources.get("CPU", 0), num_gpus=resources.get("GPU", 0))(lambda: None).remote()
    ends = time.monotonic() + wait_seconds
    try:
        while not fitting_nodes(resources):
            remaining = ends - time.monotonic()
            if remaining <= 0:
                raise ExperimentError(
                    f"a trial needs {need}, but no node has had that within {wait_seconds:g} s ({_present()}): "
                    f"{LOWER}, or give a larger --wait-for-nodes"
                )
            notes.info(f"no node has {need} yet ({_present()}): waiting, at most {duration(remaining)} more")
            ray.wait([demand], timeout=min(SAID_SECONDS, remaining))
    finally:
        ray.cancel(demand)


def needed_words(resources: Mapping[str, float]) -> str:
    """Return what a trial needs as text: `CPU 1, GPU 0.5`."""
    return _words(_needed(resources))


def _present() -> str:
    """Return how many nodes there are, and what they have together, as text."""
    total = {name: ray.cluster_resources().get(name, 0.0) for name in ("CPU", "GPU")}
    return f"{count(len(alive_nodes()), 'node')} with {_words(total)}"


def _needed(resources: Mapping[str, float]) -> dict[str, float]:
    return {name: amount for name, amount in resources.items() if amount > 0}


def _words(amounts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {amount:g}" for name, amount in amounts.items())

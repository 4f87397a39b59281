"""What a cluster offers to a sweep, asked before data are read: resources per trial, device and precision."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bddseg.words import count
from sweeps.errors import ClusterError
from sweeps.execution.cluster import ray_cluster, token_flaw
from sweeps.execution.cluster_nodes import alive_nodes, await_node, fitting_nodes
from sweeps.execution.code_package import modules_to_send, size_bytes
from sweeps.execution.native_stderr import kept_stderr
from sweeps.execution.node_probe import NodeReport, check_reports, probe_nodes
from sweeps.storage.object_store import ObjectStoreCheckpoints

log = logging.getLogger(__name__)

REFUSED = "InvalidAuthToken"
"""Part of Ray's messages about a token that is missing or wrong."""


@dataclass(frozen=True)
class ClusterSurvey:
    """The resources of one trial on a cluster, and what its nodes train on."""

    resources: dict[str, float]
    device: str
    """cpu or cuda."""
    device_name: str
    precision: str
    """What "auto" means on all nodes; fp32 where they differ."""
    sentence: str
    """All of this for the user."""


def survey_cluster(
    address: str,
    cache: Path,
    storage: Path,
    *,
    cpus: int,
    gpus: float | None,
    wait_seconds: float = 0,
    store: ObjectStoreCheckpoints | None = None,
) -> ClusterSurvey:
    """Join the cluster for a moment, and ask each node that can run trials.

    Args:
        address: the cluster's.
        cache: the user's cache folder.
        storage: the storage folder.
        cpus: cores of one trial.
        gpus: GPUs of one trial; None is 1 where the cluster has any.
        wait_seconds: how long to wait for a first node that can run a trial.
        store: the object store of the checkpoints; then nodes need not see the storage folder.

    Raises:
        ClusterError: when the cluster cannot be joined, or a node would fail every trial.
        ExperimentError: when no node has the resources of a trial.
    """
    with ExitStack() as stack:
        _join(stack, cache, address)
        if gpus is None:
            gpus = 1.0 if any(node["Resources"].get("GPU", 0) >= 1 for node in alive_nodes()) else 0.0
        resources = {"CPU": float(cpus), "GPU": gpus}
        await_node(resources, wait_seconds)
        reports = probe_nodes(fitting_nodes(resources), storage, needs_gpu=gpus > 0, store=store)
    check_reports(reports)
    return _survey(address, resources, reports)


def _join(stack: ExitStack, cache: Path, address: str) -> None:
    """Join the cluster for as long as the stack lasts. Ray's compiled code alone says that a token is wrong.

    Raises:
        ClusterError: when it cannot be joined.
    """
    lines: list[str] = []
    try:
        with kept_stderr() as lines:
            stack.enter_context(ray_cluster(cache, address=address))
    except ClusterError as error:
        if any(REFUSED in line for line in lines):
            raise ClusterError(f"the Ray at {address} refuses: {token_flaw()}") from error
        raise
    finally:
        for line in lines:
            log.info("Ray: %s", line)


def _survey(address: str, resources: dict[str, float], reports: list[NodeReport]) -> ClusterSurvey:
    if not reports:
        raise ClusterError(f"the nodes of {address} left while they were asked: run the command again")
    precisions = {report.precision for report in reports}
    precision = reports[0].precision if len(precisions) == 1 else "fp32"
    devices = ", ".join(dict.fromkeys(report.device_name for report in reports))
    mixed = "" if len(precisions) == 1 else ", since not all of them have bf16 in hardware"
    cores = count(int(resources["CPU"]), "core")
    share = f" and {resources['GPU']:g} GPU" if resources["GPU"] else ", no GPU"
    nodes = f"{count(len(reports), 'node')} can run trials ({devices})"
    modules = modules_to_send()
    code = f"; code sent to each node: {size_bytes(modules) / 1e6:.1f} MB" if modules else ""
    sentence = f"cluster {address}: {nodes}, in {precision}{mixed}; a trial takes {cores}{share}{code}"
    return ClusterSurvey(resources, reports[0].device, devices, precision, sentence)

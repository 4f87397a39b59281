"""One task on each node of a cluster, before the first trial: can the node run trials of this sweep, and on what?"""

import contextlib
import os
import platform
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bddseg.words import count
from sweeps.errors import ClusterError
from sweeps.execution.cluster_address import first_line
from sweeps.storage.folder import nearest_folder
from sweeps.storage.object_store import ObjectStoreCheckpoints, explain
from sweeps.version import digest_code

ANSWER_SECONDS = 120
"""How long all nodes together may take to answer; a node unpacks the code and imports torch, which takes 5 s."""

MISSING_MODULE = r"No module named"
HIDDEN = ("", "NoDevFiles")
"""Values of CUDA_VISIBLE_DEVICES with which Ray hides the GPUs from a task that asked for none."""


@dataclass(frozen=True)
class NodeReport:
    """What a node of the cluster is and lacks."""

    name: str
    device: str = "cpu"
    device_name: str = ""
    precision: str = "fp32"
    """The precision that "auto" means there."""
    flaws: tuple[str, ...] = ()
    """What the node lacks, each with its remedy."""


def look_around(
    expected: Mapping[str, str], marker: str, needs_gpu: bool, store: ObjectStoreCheckpoints | None = None
) -> NodeReport:  # runs on the node
    """Return the report of the node on which this runs.

    Args:
        expected: versions of the driver: "Python", "torch", "recipe" and "code".
        marker: a file with the driver's word, in the storage folder or above it; its name is the word.
        needs_gpu: whether trials are to use CUDA.
        store: the object store of the checkpoints, which the node must reach instead of the storage folder.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES") in HIDDEN:  # nothing is computed on them here
        del os.environ["CUDA_VISIBLE_DEVICES"]
    import torch

    from bddseg.device import describe, resolve_device, resolve_precision

    device = resolve_device("auto" if needs_gpu else "cpu")
    flaws = [*_other_versions(expected), *(_store_flaws(store) if store else _storage_flaws(Path(marker)))]
    if needs_gpu and device.type == "cpu":
        flaws.append(f"has no usable CUDA, though Ray counts a GPU there (torch {torch.__version__} finds none)")
    return NodeReport(
        platform.node(), device.type, describe(device), resolve_precision("auto", device), flaws=tuple(flaws)
    )


def own_versions() -> dict[str, str]:
    """Return the versions that must be the same on all nodes."""
    import torch

    from bddseg.config import RECIPE

    return {
        "Python": ".".join(map(str, sys.version_info[:2])),
        "torch": torch.__version__,
        "recipe": str(RECIPE),
        "code": digest_code(),
    }


def _other_versions(expected: Mapping[str, str]) -> list[str]:
    present = own_versions()
    return [
        f"has {name} {present[name]} instead of {version} (install the same packages and files there)"
        for name, version in expected.items()
        if present[name] != version
    ]


def _storage_flaws(marker: Path) -> list[str]:
    try:
        is_same = marker.read_text(encoding="utf-8") == marker.name
    except OSError:
        is_same = False
    if not is_same:
        return [f"does not see the storage folder {marker.parent} (mount it there under the same path)"]
    try:
        own = marker.with_name(f"{marker.name}-{os.getpid()}-{secrets.token_hex(2)}")
        own.write_bytes(b"x")
        own.unlink()
    except OSError as error:
        return [f"cannot write into {marker.parent} ({error.strerror})"]
    return []


def _store_flaws(store: ObjectStoreCheckpoints) -> list[str]:
    try:
        store.check()
    except OSError as error:
        return [f"cannot use {store.uri} for checkpoints: {explain(error)}"]
    return []


def probe_nodes(
    nodes: Sequence[Mapping[str, Any]], storage: Path, *, needs_gpu: bool, store: ObjectStoreCheckpoints | None = None
) -> list[NodeReport]:
    """Return the report of each node that can run a trial.

    Args:
        nodes: entries of `ray.nodes()`.
        storage: the storage folder, which need not exist yet.
        needs_gpu: whether trials are to use CUDA.
        store: the object store of the checkpoints; None where they are in the storage folder.
    """
    ask, expected = ray.remote(num_cpus=0, max_retries=0)(look_around), own_versions()
    with _marker(storage) as marker:
        reports = {}
        for node in nodes:
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ask.options(scheduling_strategy=here).remote(expected, str(marker), needs_gpu, store)
            reports[_name(node)] = task
        ray.wait(list(reports.values()), num_returns=len(reports), timeout=ANSWER_SECONDS)
        return [_answer(name, task) for name, task in reports.items()]


def _answer(name: str, task: Any) -> NodeReport:
    try:
        report: NodeReport = ray.get(task, timeout=0)
    except GetTimeoutError:
        return NodeReport(name, flaws=(f"has not answered within {ANSWER_SECONDS} s",))
    except (RayError, ImportError, RuntimeError) as error:
        return NodeReport(name, flaws=(_why_unanswered(str(error)),))
    return NodeReport(name, report.device, report.device_name, report.precision, report.flaws)


def _why_unanswered(traceback: str) -> str:
    """Return why a node could not run the task; the last line that names a missing module says it best."""
    missing = [line.strip() for line in traceback.splitlines() if MISSING_MODULE in line]
    if missing:
        return f"cannot import the project ({missing[-1]}): install the packages of constraints.txt there"
    return f"cannot run a task ({first_line(RuntimeError(traceback))})"


def check_reports(reports: Iterable[NodeReport]) -> None:
    """Refuse nodes that would fail every trial.

    Raises:
        ClusterError: naming the nodes, what they lack and a remedy.
    """
    lacking: dict[str, list[str]] = {}
    for report in reports:
        for flaw in report.flaws:
            lacking.setdefault(flaw, []).append(report.name)
    if lacking:
        parts = [f"{count(len(names), 'node')} ({', '.join(names)}) {flaw}" for flaw, names in lacking.items()]
        raise ClusterError(f"the cluster cannot run this sweep: {'; '.join(parts)}; or take such nodes out of it")


@contextlib.contextmanager
def _marker(storage: Path) -> Iterator[Path]:
    """Yield a file in the storage folder, or in the nearest folder above it that exists, with its own name in it."""
    marker = nearest_folder(storage) / f".probe-{secrets.token_hex(6)}"
    try:
        marker.write_text(marker.name, encoding="utf-8")
        yield marker
    finally:
        marker.unlink(missing_ok=True)


def _name(node: Mapping[str, Any]) -> str:
    host, address = str(node["NodeManagerHostname"]), str(node["NodeManagerAddress"])
    return address if host in ("", address) else f"{host} {address}"

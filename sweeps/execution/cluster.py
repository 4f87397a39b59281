"""Starts a Ray on this machine with its files in the user's cache, or joins an existing cluster."""

import contextlib
import logging
import os
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import ray

from bddseg.cores import usable_cores
from sweeps.environment import flaw_of
from sweeps.errors import ClusterError, ExperimentError
from sweeps.execution.metrics_discovery import announced, discovery_file
from sweeps.execution.ray_patches import (
    daemons_apart,
    dashboard_url,
    few_daemons,
    forget_token,
    messages_logged,
    private_start_options,
    running_ray_address,
    signals_kept,
    stay_on_loopback,
)
from sweeps.execution.ray_session import LOOPBACK, PROBE_SECONDS, make_token, open_session
from sweeps.execution.ray_variables import ADDRESS, environment, set_ray_variables
from sweeps.paths import ROOT

PROCESS_SECONDS = 120
"""How long the first process for trials may take to start; it takes 3 s on two idle cores."""

ERROR_LINE = re.compile(
    r"^\[[^]]* [EC] [^]]*\](?: \(\w+\))? \S+ (?P<daemon>.+?)(?: /\S+/.*)?$|^(?P<python>\w+Error: .+)$"
)
"""Log lines of Ray's daemons that give the reason of a failure; they start with time, level and location."""

LOG_CHARS = 300

AUTO, LOCALLY = "auto", "--address local"

MIN_OBJECT_STORE = 150 * 1024**2
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the kernel's, where Ray keeps objects; not a temporary file


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dashboard:
    """The address of Ray's dashboard and the file with its token."""

    url: str
    token_file: Path | None
    metrics: str = ""
    """Where Ray and the sweep's gauges are served for Prometheus."""

    def sentence(self) -> str:
        """Return the address and how to log in."""
        login = f"; it asks for the token in {self.token_file}" if self.token_file else ""
        metrics = f"; metrics for Prometheus: {self.metrics}" if self.metrics else ""
        return (
            f"Ray dashboard: {self.url} (each trial has an actor of its own name, at some seconds per trial)"
            f"{login}{metrics}"
        )


@contextlib.contextmanager
def ray_cluster(
    cache: Path, *, address: str | None = None, object_bytes: int = 0, dashboard: bool = False
) -> Iterator[Dashboard | None]:
    """Start a Ray on this machine, or join the one at `address`, for the duration of the context.

    A Ray that was joined is left, never stopped. A Ray that is started keeps its session and token in `cache` and
    listens on 127.0.0.1 only.

    Args:
        cache: the user's cache folder.
        address: the cluster to join; None starts a Ray here.
        object_bytes: size of the data that trials share, for the object store.
        dashboard: whether to start the dashboard; the context then yields its address.

    Raises:
        ClusterError: when no Ray answers at `address`, or none can be started.
    """
    if sentence := set_ray_variables(is_joining=bool(address)):
        log.warning(sentence)
    if ray.is_initialized():
        yield None
        return
    if address:
        check_address(address)
    own = contextlib.nullcontext() if address else open_session(cache)
    with own as session, environment(_own(session, cache)), messages_logged():
        forget_token()
        try:
            with signals_kept():
                if session:
                    _start(session, object_bytes, dashboard)
                else:
                    _join(str(address))
            url = dashboard_url() if dashboard and session else ""
            with _metrics_announced(cache) if session else contextlib.nullcontext("") as metrics:
                yield Dashboard(f"http://{url}", make_token(cache), metrics) if url else None
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _metrics_announced(cache: Path) -> Iterator[str]:
    """Yield the address at which our own Ray serves metrics; Prometheus finds it in the user's discovery file."""
    target = f"{LOOPBACK}:{ray.nodes()[0]['MetricsExportPort']}"
    address = f"http://{target}/metrics"
    log.info("metrics for Prometheus: %s, listed in %s", address, discovery_file(cache))
    with announced(cache, target):
        yield address


def trial_variables() -> dict[str, str]:
    """Return the environment of the trials' processes; the user's own modules stay importable."""
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.environ.get("PYTHONPATH") else []
    folders = [str(ROOT), *map(os.path.abspath, paths), str(Path.cwd())]  # trials run in folders of their own
    return {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(folders)),
        "OMP_WAIT_POLICY": "PASSIVE",
        "RAY_AIR_NEW_OUTPUT": "0",
        # each trial is a new thread: glibc would give each an arena, whose memory is never returned
        "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "1"),
    }


def slots(resources: dict[str, float], max_concurrent: int) -> int:
    """Return the number of trials that run in parallel on the present Ray.

    Raises:
        ExperimentError: when no node has the resources of one trial, which would wait forever.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    need = {name: amount for name, amount in resources.items() if amount > 0}
    fits = sum(min(int(node.get(name, 0) // amount) for name, amount in need.items()) for node in nodes)
    if not fits:
        needed = ", ".join(f"{name} {amount:g}" for name, amount in need.items())
        raise ExperimentError(
            f"a trial needs {needed}, but no node has that: lower --cpus-per-trial or --gpus-per-trial"
        )
    return min(fits, max_concurrent or fits)


def room(resources: dict[str, float], max_concurrent: int) -> int:
    """Return the number of trials that may be started or waiting: those that run in parallel, and one more.

    Ray keeps a process for reuse only when a trial waits for it. Nodes come and go: without any, one trial may wait.
    """
    try:
        fits = slots(resources, 0)
    except ExperimentError:
        return 1
    return min(fits + 1, max_concurrent or fits + 1)


def _join(address: str) -> None:
    variables = trial_variables()
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": variables},
        )
    except Exception as error:  # Ray raises plain exceptions besides those of its own
        if "merge" in str(error):  # Ray's own message repeats the values of all variables
            raise ClusterError(
                f"the job that this runs in sets one of {', '.join(variables)}, as every sweep does: do not set it"
            ) from None
        why = _first_line(error)
        raise ClusterError(f"no Ray answers at {address}: {why}; on this machine alone: {LOCALLY}") from error


def check_address(address: str) -> None:
    """Check that something listens at host:port, or at the address that "auto" finds.

    Ray itself would wait for minutes and could not be interrupted.

    Raises:
        ClusterError: when nothing answers.
    """
    try:
        target = running_ray_address() if address == AUTO else address
        host, _, port = target.removeprefix("ray://").rpartition(":")
        if host and port.isdigit():
            socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_SECONDS).close()
        elif address != AUTO:
            raise ValueError("an address is HOST:PORT, auto or local")
        else:
            raise ClusterError(f"no Ray runs on this machine: start one with `ray start --head`, or give {LOCALLY}")
    except (OSError, OverflowError, ValueError) as error:
        named = f"{address} ({ADDRESS})" if os.environ.get(ADDRESS) == address else address
        raise ClusterError(
            f"no Ray answers at {named}: {_first_line(error)}; on this machine alone: {LOCALLY}"
        ) from error


def _first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type."""
    message = getattr(error, "strerror", None) or str(error)
    return next((line.strip() for line in message.splitlines() if line.strip()), type(error).__name__)


def _own(session: Path | None, cache: Path) -> dict[str, str]:
    """Return the environment of a Ray that is started here; empty when one is joined."""
    if session is None:
        return {}
    return {
        "RAY_AUTH_TOKEN_PATH": str(make_token(cache)),  # otherwise Ray writes a token into the home folder
        # otherwise `ray.init` waits for these processes, forever if they cannot start, and handles no signal
        "RAY_prestart_worker_first_driver": "0",
        # Ray turns 127.0.0.1 into the machine's public address, and listens there, unless it may have no second node.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }


def _start(session: Path, object_bytes: int, dashboard: bool) -> None:
    stay_on_loopback()
    store_bytes = max(MIN_OBJECT_STORE, int(1.5 * object_bytes) + MIN_OBJECT_STORE)
    children = {child.pid for child in psutil.Process().children()}
    try:
        with daemons_apart(), few_daemons(keep_all=dashboard), environment(trial_variables()):
            ray.init(
                address="local",
                num_cpus=usable_cores(),
                include_dashboard=dashboard,
                dashboard_host=LOOPBACK,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=store_bytes,
                **private_start_options(session, _object_folder(store_bytes, session), LOOPBACK),
            )
        _await_process()
    except BaseException as error:
        _end_children(children)
        if not isinstance(error, Exception):
            raise
        why = _why_ended(session)
        reasons = [_first_line(error)] if isinstance(error, TimeoutError) or not why else []
        raise ClusterError(f"Ray cannot be started: {'; '.join([*reasons, why] if why else reasons)}") from error


def _await_process() -> None:
    """Start one process for trials per core, and wait for the first."""
    ask = ray.remote(lambda: None)
    started, _ = ray.wait([ask.remote() for _ in range(usable_cores())], timeout=PROCESS_SECONDS)
    if not started:
        raise TimeoutError(f"no process for trials has started within {PROCESS_SECONDS} s")


def _object_folder(store_bytes: int, session: Path) -> Path:
    """Return the folder of Ray's object store: shared memory, or with a warning the disk when it is too small."""
    flaw = flaw_of(SHARED_MEMORY)
    if not flaw:
        free = shutil.disk_usage(SHARED_MEMORY).free
        if free >= store_bytes:
            return SHARED_MEMORY
        flaw = f"has room for {free / 1e6:.0f} MB of {store_bytes / 1e6:.0f} (in a container: --shm-size)"
    log.warning("%s %s: frames are kept in %s, which is slower", SHARED_MEMORY, flaw, session)
    return session


def _end_children(before: set[int]) -> None:
    """Kill the daemons of a Ray that could not be started: without a node Ray does not stop them."""
    started = [child for child in psutil.Process().children() if child.pid not in before]
    for child in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(started, timeout=PROBE_SECONDS)


def _why_ended(folder: Path) -> str:
    """Return the first error that a daemon logged during a failed start, with the daemon's name; "" without one."""
    logs = [path for end in ("err", "out") for path in sorted(folder.glob(f"session_2*/logs/*.{end}"))]
    for path in logs:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for error in filter(None, map(ERROR_LINE.match, lines)):
            return f"{path.stem}: {(error['daemon'] or error['python'])[:LOG_CHARS]}"
    return ""

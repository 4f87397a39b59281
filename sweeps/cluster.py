"""The Ray that trials run on: one of our own with its files in the user's cache, or one that is there already."""

import contextlib
import functools
import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import ray
from filelock import FileLock, Timeout
from ray._private import parameter, ray_constants, services, utils

from bddseg.files import write_file
from sweeps.errors import ExperimentError

ROOT = Path(__file__).resolve().parent.parent
SOCKET_PATH_LIMIT, SESSION_CHARS = 107, 78
"""Longest path of a Unix socket, and how much of it our folder's name and Ray's session below `cache/ray` take."""

PROBE_SECONDS = 5

AUTO, LOCALLY = "auto", "--address local"

REMOVALS = 25
"""Attempts to remove a session folder: daemons that outlive their Ray for moments still write into it."""

OWNER = "owner.lock"
"""Held by the process whose Ray a session folder belongs to."""

MIN_OBJECT_STORE = 150 * 1024**2

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune prints nothing under verbose=0 only with its former output
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our own tracking replaces its CSV, JSON and TensorBoard files
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune's own would take the first Ctrl-C, and nobody else would hear of it
    "TUNE_WARN_THRESHOLD_S": "5",
    "TUNE_MAX_PENDING_TRIALS_PG": "16",
}


TRIALS = {
    "PYTHONPATH": str(ROOT),
    "OMP_WAIT_POLICY": "PASSIVE",
    "RAY_AIR_NEW_OUTPUT": "0",
    # each trial is a new thread: glibc would give each an arena, and what it held stays there
    "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "1"),
}
"""What the processes of trials find in their environment."""


@dataclass(frozen=True)
class Dashboard:
    """Where Ray's dashboard is and what it asks for."""

    url: str
    token_file: Path | None

    def sentence(self) -> str:
        """Return the address and how to log in."""
        how = f"; it asks for the token in {self.token_file}" if self.token_file else ""
        return f"Ray dashboard: {self.url} (each trial has an actor of its own name, at some seconds per trial){how}"


@contextlib.contextmanager
def ray_cluster(
    cache: Path, *, address: str | None = None, object_bytes: int = 0, dashboard: bool = False
) -> Iterator[Dashboard | None]:
    """Start a Ray on this machine, or join the one at `address`, for as long as the context lasts.

    A Ray that was not started here is joined and left, never stopped. An own Ray keeps session and token in `cache`
    and listens on 127.0.0.1 alone.

    Raises:
        ExperimentError: when no Ray answers at `address`.
    """
    os.environ.update({key: os.environ.get(key, value) for key, value in QUIET.items()})
    if ray.is_initialized():
        yield None
        return
    if address:
        check_address(address)
    with contextlib.nullcontext() if address else _session_folder(cache) as folder:
        try:
            with _signals_kept():
                if folder:
                    _start(folder, cache, object_bytes, dashboard)
                else:
                    _join(str(address))
            url = ray.get_runtime_context().worker.node.address_info.get("webui_url") if dashboard and folder else None
            yield Dashboard(f"http://{url}", _token_file()) if url else None
        finally:
            ray.shutdown()


def slots(resources: dict[str, float], max_concurrent: int) -> int:
    """Return how many trials run side by side on the Ray that is up.

    Raises:
        ExperimentError: when no node has what one trial needs: it would wait for ever.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    need = {name: amount for name, amount in resources.items() if amount > 0}
    fits = sum(min(int(node.get(name, 0) // amount) for name, amount in need.items()) for node in nodes)
    if not fits:
        asked = ", ".join(f"{name} {amount:g}" for name, amount in need.items())
        raise ExperimentError(
            f"a trial needs {asked}, but no node has that: lower --cpus-per-trial or --gpus-per-trial"
        )
    return min(fits, max_concurrent or fits)


def room(resources: dict[str, float], max_concurrent: int) -> int:
    """Return how many trials may be under way now: as many as run side by side, and one that waits for its turn.

    Ray keeps a process for reuse only when a trial waits for it. Nodes come and go: without any, one may wait.
    """
    try:
        fits = slots(resources, 0)
    except ExperimentError:
        return 1
    return min(fits + 1, max_concurrent or fits + 1)


def _join(address: str) -> None:
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": TRIALS},
        )
    except (OSError, RuntimeError, ValueError) as error:
        if "merge" in str(error):  # Ray's own words repeat the values of all variables
            raise ExperimentError(
                f"the job that this runs in sets one of {', '.join(TRIALS)}, as every sweep does: leave that out"
            ) from None
        why = str(error).splitlines()[0]
        raise ExperimentError(f"no Ray answers at {address}: {why}; on this machine alone: {LOCALLY}") from error


def is_started_here() -> bool:
    """Return whether this process started the Ray that is up: then trials inherit its environment."""
    node = ray._private.worker._global_node
    return node is not None and bool(node.head)


def check_address(address: str) -> None:
    """Knock at host:port, or at what "auto" finds: Ray itself would wait for minutes, and not be interrupted.

    Raises:
        ExperimentError: when nothing answers.
    """
    try:
        place = (services.canonicalize_bootstrap_address(address) or "") if address == AUTO else address
        host, _, port = place.removeprefix("ray://").rpartition(":")
        if host and port.isdigit():
            socket.create_connection((host, int(port)), timeout=PROBE_SECONDS).close()
        elif address == AUTO:
            raise ExperimentError(f"no Ray runs on this machine: start one with `ray start --head`, or give {LOCALLY}")
    except OSError as error:
        why = error.strerror or str(error).splitlines()[0]
        raise ExperimentError(f"no Ray answers at {address}: {why}; on this machine alone: {LOCALLY}") from error


def _start(folder: Path, cache: Path, object_bytes: int, dashboard: bool) -> None:
    if "RAY_AUTH_TOKEN" not in os.environ:  # otherwise Ray writes a token into the home folder
        os.environ.setdefault("RAY_AUTH_TOKEN_PATH", str(_make_token(cache)))
    # Ray turns 127.0.0.1 into the machine's public address, and listens there, unless it may have no second node.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    with _daemons_apart(), _few_daemons(keep_all=dashboard), _inherited(TRIALS):
        ray.init(
            address="local",
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=max(MIN_OBJECT_STORE, int(1.5 * object_bytes) + MIN_OBJECT_STORE),
            _temp_dir=str(folder),
            _node_ip_address="127.0.0.1",
        )


@contextlib.contextmanager
def replaced(module: ModuleType, **parts: Any) -> Iterator[None]:
    """Put parts of ours in the place of a module's own while the context lasts: what Ray has no setting for."""
    before = {name: getattr(module, name) for name in parts}
    vars(module).update(parts)
    try:
        yield
    finally:
        vars(module).update(before)


@contextlib.contextmanager
def _daemons_apart() -> Iterator[None]:
    """Give each daemon that Ray starts a process group of its own.

    A signal to our group (a scheduler that ends a job, Ctrl-C) must reach us alone: without its daemons a sweep cannot
    be ended gracefully. They end with us all the same, since the kernel kills them when their parent is gone.
    """
    with replaced(services, ConsolePopen=functools.partial(services.ConsolePopen, process_group=0)):
        yield


@contextlib.contextmanager
def _few_daemons(*, keep_all: bool) -> Iterator[None]:
    """Start Ray without the daemons that one machine without a dashboard has no use for: they cost seconds.

    One scales clusters, one copies the logs of trials to the driver, which has them in the sweep's folder, one serves
    the dashboard.
    """
    if keep_all:
        yield
        return
    fewer = functools.partial(parameter.RayParams, no_monitor=True, include_log_monitor=False)
    nothing = ("", None)  # no address, no process
    with replaced(parameter, RayParams=fewer), replaced(services, start_api_server=lambda *_, **__: nothing):
        yield


@contextlib.contextmanager
def _inherited(variables: Mapping[str, str]) -> Iterator[None]:
    """Let the daemons that are started here, and by them the trials' processes, find variables in their environment.

    A runtime environment would say the same, but the processes that Ray starts beforehand do not have one and would
    have to be started twice. The daemons have no need of them, but take no harm.
    """
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep Ray from putting its own handlers of SIGTERM in the place of those that are there.

    Two are Python's: one exits where the program stands, the other, of an own Ray, ends the daemons at once. The third,
    abseil's, is put below Python's and aborts the process three seconds later, whatever it is doing then.
    """
    try:
        with replaced(utils, set_sigterm_handler=lambda handler: None):
            yield
    finally:
        handler = signal.getsignal(signal.SIGTERM)
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def _session_folder(cache: Path) -> Iterator[Path]:
    """Give a new folder for one Ray, short enough for the sockets in it; remove it, and those of killed processes."""
    parent = cache / "ray"
    if len(str(parent)) + SESSION_CHARS > SOCKET_PATH_LIMIT:
        parent = Path(tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    with FileLock(parent / "r.lock", is_singleton=False):
        for lost in parent.glob(f"r-*/{OWNER}"):
            if _is_abandoned(lost):
                shutil.rmtree(lost.parent, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix="r-", dir=parent))
        owner = FileLock(folder / OWNER, is_singleton=False)
        owner.acquire()
    try:
        yield folder
    finally:
        owner.release()
        for _ in range(REMOVALS):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.2)


def _is_abandoned(lock: Path) -> bool:
    """Return whether the process that held the lock is gone."""
    try:
        with FileLock(lock, timeout=0, is_singleton=False):
            return True
    except (Timeout, OSError):
        return False


def _token_file() -> Path | None:
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return Path(path) if path else None


def _make_token(cache: Path) -> Path:
    path = cache / "ray" / "token"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_file(path, secrets.token_hex(32), private=True)
    return path

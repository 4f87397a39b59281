"""Starts a Ray on this machine with its files in the user's cache, or joins an existing cluster."""

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import ray
from ray.exceptions import AuthenticationError

from bddseg.cores import usable_cores
from sweeps.environment import flaw_of
from sweeps.errors import ClusterError
from sweeps.execution.cluster_address import LOCALLY, check_address, first_line
from sweeps.execution.code_package import EXCLUDED, modules_to_send
from sweeps.execution.metrics_discovery import announced, discovery_file
from sweeps.execution.ray_patches import (
    daemons_apart,
    dashboard_url,
    few_daemons,
    forget_token,
    messages_logged,
    private_start_options,
    signals_kept,
    stay_on_loopback,
)
from sweeps.execution.ray_session import LOOPBACK, PROBE_SECONDS, make_token, open_session
from sweeps.execution.ray_variables import environment, set_ray_variables
from sweeps.notes import notes
from sweeps.paths import ROOT

PROCESS_SECONDS = 120
"""How long the first process for trials may take to start; it takes 3 s on two idle cores."""

ERROR_LINE = re.compile(
    r"^\[[^]]* [EC] [^]]*\](?: \(\w+\))? \S+ (?P<daemon>.+?)(?: /\S+/.*)?$|^(?P<python>\w+Error: .+)$"
)
"""Log lines of Ray's daemons that give the reason of a failure; they start with time, level and location."""

LOG_CHARS = 300

LATE = re.compile(r"Timed out waiting for file|timed out during startup")
"""What Ray says when a daemon has missed one of its fixed limits of 30 s, as on a machine with much other work."""

LATE_STARTS = 2
"""How often such a start is repeated; on two cores with a load of 20, the second was too late as well."""

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
    cache: Path,
    *,
    address: str | None = None,
    object_bytes: int = 0,
    dashboard: bool = False,
    own_names: Iterable[tuple[str, str]] = (),
) -> Iterator[Dashboard | None]:
    """Start a Ray on this machine, or join the one at `address`, for the duration of the context.

    A Ray that was joined is left, never stopped. A Ray that is started keeps its session and token in `cache` and
    listens on 127.0.0.1 only.

    Args:
        cache: the user's cache folder.
        address: the cluster to join; None starts a Ray here.
        object_bytes: size of the data that trials share, for the object store.
        dashboard: whether to start the dashboard; the context then yields its address.
        own_names: settings and the user's own models and losses, whose code travels to the nodes of a cluster.

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
                    _join(str(address), modules_to_send(own_names))
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


def _join(address: str, modules: Sequence[Path]) -> None:
    variables = trial_variables()
    code = {"py_modules": [str(path) for path in modules], "excludes": list(EXCLUDED)} if modules else {}
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": variables, **code},
        )
    except AuthenticationError as error:
        raise ClusterError(f"the Ray at {address} refuses: {token_flaw()}") from error
    except Exception as error:  # Ray raises plain exceptions besides those of its own
        if "merge" in str(error):  # Ray's own message repeats the values of all variables
            raise ClusterError(
                f"the job that this runs in sets one of {', '.join(variables)}, as every sweep does: do not set it"
            ) from None
        why = first_line(error)
        raise ClusterError(f"no Ray answers at {address}: {why}; on this machine alone: {LOCALLY}") from error


def token_flaw() -> str:
    """Return what is wrong with the token of this process, with a remedy."""
    path = os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token"
    has_token = bool(os.environ.get("RAY_AUTH_TOKEN")) or Path(path).expanduser().is_file()
    if not has_token:
        return (
            f"it asks for a token, and there is none in RAY_AUTH_TOKEN or {path}: set RAY_AUTH_TOKEN to the cluster's"
        )
    if os.environ.get("RAY_AUTH_MODE") == "disabled":
        return "it asks for a token, but RAY_AUTH_MODE is disabled here: set it to token"
    return f"the token in RAY_AUTH_TOKEN or {path} is not the cluster's"


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
    """Start Ray; again if its daemons were too late, since no option gives them more time."""
    for _ in range(LATE_STARTS):
        try:
            _start_once(session, object_bytes, dashboard)
        except ClusterError as error:
            if not LATE.search(str(error)):
                raise
            log.info("%s", error)
            notes.info("Ray was not up within its own limit of 30 s (is this machine busy?): starting it again")
            ray.shutdown()
        else:
            return
    _start_once(session, object_bytes, dashboard)


def _start_once(session: Path, object_bytes: int, dashboard: bool) -> None:
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
        reasons = [first_line(error)] if isinstance(error, TimeoutError) or not why else []
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
    newest = sorted(folder.glob("session_2*"))[-1:]  # of several starts
    logs = [path for session in newest for end in ("err", "out") for path in sorted(session.glob(f"logs/*.{end}"))]
    for path in logs:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for error in filter(None, map(ERROR_LINE.match, lines)):
            return f"{path.stem}: {(error['daemon'] or error['python'])[:LOG_CHARS]}"
    return ""
